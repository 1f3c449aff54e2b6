"""The search itself, on a model that one can count by hand: a token on a square board."""

from collections.abc import Sequence
from dataclasses import dataclass

from .checker import explore

Square = tuple[int, int]


@dataclass(frozen=True)
class Board:
    """The token moves right or up; the square `trap` is a violation, and so is the step `stumble`."""

    side: int
    trap: Square | None = None
    stumble: tuple[Square, Square] | None = None
    always: tuple[str, ...] = ("no trap", "no stumble")
    sometimes: tuple[str, ...] = ("the corner", "the moon")

    def initial(self) -> Square:
        return (0, 0)

    def successors(self, state: Square) -> list[tuple[Square, int]]:
        column, row = state
        squares = [(column + 1, row), (column, row + 1)]
        return [(s, 2 * ((state, s) == self.stumble)) for s in squares if max(s) < self.side]

    def judge(self, state: Square) -> int:
        return int(state == self.trap) | 4 * (state == (self.side - 1, self.side - 1))

    def retell(self, path: Sequence[Square]) -> list[str]:
        return [f"{column},{row}" for column, row in path[1:]]


def test_every_state_is_met_once_and_every_step_taken() -> None:
    report = explore(Board(10))
    assert (report.states, report.transitions, report.depth) == (100, 180, 18)
    assert report.complete and not report.broken


def test_a_property_that_never_occurs_is_missing() -> None:
    report = explore(Board(3))
    assert report.missing == ["the moon"]
    assert not report.holds


def test_a_wrong_state_is_found_by_a_shortest_path() -> None:
    report = explore(Board(10, trap=(2, 1)))
    assert report.broken == ["no trap"]
    assert len(report.trace) == 3
    assert report.trace[-1] == "2,1"
    assert not report.complete and not report.holds


def test_a_wrong_step_is_found_even_if_it_leads_to_a_known_state() -> None:
    report = explore(Board(10, stumble=((0, 1), (1, 1))))
    assert report.broken == ["no stumble"]
    assert report.trace == ["0,1", "1,1"]


def test_a_wrong_first_state_is_reported_without_a_step() -> None:
    report = explore(Board(10, trap=(0, 0)))
    assert report.broken == ["no trap"]
    assert report.trace == []


def test_a_search_that_ends_at_its_bound_is_incomplete() -> None:
    report = explore(Board(1_000), limit=50)
    assert 50 <= report.states < 60
    assert not report.complete and not report.holds
