"""``scrub``: it follows the scrubs of all nodes, and says what they have found."""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from decreed.client.requests.results import NodeDown
from decreed.registry.errors import Denied, Exit, Unreachable
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.scrub import ScrubReport

from ..fakes import Cli

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
SOUND = ScrubReport(
    1, N1, False, 1, 1_203, 1_203, 250_000, 400, 5, (N2, N3), (), 0, 0, (), 0, (), ()
)
RUNNING = replace(SOUND, running=True, keys=600, ended_ms=None)
DOWN = NodeDown(N3, "127.0.0.1:7402", Unreachable("connection refused"))


class FakeScrubs:
    """The scrubs of a cluster.

    Args:
        rounds: what the next questions find; the last one stays.
    """

    def __init__(self, *rounds: list[Any]) -> None:
        self.rounds = list(rounds)
        self.asked: list[tuple[tuple[str, ...], bool, int]] = []
        self.interrupted = False

    def deadline(self) -> float:
        return 0.0

    async def ask(
        self, nodes: Collection[str], deadline: float, *, begin: bool, bytes_per_second: int
    ) -> list[Any]:
        self.asked.append((tuple(nodes), begin, bytes_per_second))
        return self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]

    async def pause(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    @contextmanager
    def of(self, call: Any) -> "Generator[FakeScrubs]":
        """Stands in for `decreed.cli.options.connection.scrubs_of`."""
        yield self


@pytest.fixture
def scrubs(monkeypatch: pytest.MonkeyPatch) -> FakeScrubs:
    fake = FakeScrubs([SOUND])
    monkeypatch.setattr("decreed.cli.options.connection.scrubs_of", fake.of)
    return fake


def test_it_waits_until_the_scrubs_are_over_and_shows_how_far_they_are(
    cli: Cli, scrubs: FakeScrubs
) -> None:
    scrubs.rounds = [[RUNNING], [RUNNING], [SOUND]]
    result = cli("scrub")
    assert result.code == 0
    assert result.text == (
        "n1       sound    1203 keys, 250,000 bytes in 0.4 s; compared with n2 n3\n"
    )
    assert result.err == "n1: 600 of about 1,203 keys, 250,000 bytes\n"
    assert [begin for _, begin, _ in scrubs.asked] == [True, False, False]


def test_who_lacks_the_right_is_denied_and_not_told_that_the_nodes_are_down(
    cli: Cli, scrubs: FakeScrubs
) -> None:
    denied = Denied("'admin' is not granted to client/ci by policy 1")
    scrubs.rounds = [[NodeDown(N1, "127.0.0.1:7400", denied), DOWN]]
    result = cli("scrub")
    assert result.code == Exit.DENIED
    assert "scrub: 'admin' is not granted to client/ci by policy 1" in result.err
    scrubs.rounds = [[SOUND, NodeDown(N2, "127.0.0.1:7401", denied)]]
    assert cli("scrub").code == Exit.UNREACHABLE


def test_damage_that_was_repaired_is_told_and_exits_with_0(cli: Cli, scrubs: FakeScrubs) -> None:
    scrubs.rounds = [[replace(SOUND, harmed=2, repaired=2)]]
    result = cli("scrub")
    assert result.code == 0
    assert "2 of 2 damaged records repaired" in result.text


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({"harmed": 1, "unrepaired": (Key("a/b"),)}, "  damaged: a/b"),
        ({"differing": 1, "differing_keys": (Key("a/b"),)}, "  two decrees: a/b"),
        ({"faults": ("the feed from entry 0 on is damaged",)}, "  fault: the feed from entry 0 on"),
        ({"faults": ("feed",)}, "  way out: no other node can repair this; stop n1, move its"),
        ({"harmed": 70, "unrepaired": (Key("a"),)}, "  and 69 more keys"),
    ],
)
def test_what_is_left_is_named_and_exits_with_7(
    cli: Cli, scrubs: FakeScrubs, found: dict[str, Any], line: str
) -> None:
    scrubs.rounds = [[replace(SOUND, **found), replace(SOUND, node=N2)]]
    result = cli("scrub")
    assert result.code == 7
    assert result.text.startswith("n1       damaged ") and line in result.text


@pytest.mark.parametrize("other", [DOWN, replace(SOUND, node=N2, compared=(N1,), silent=(N3,))])
def test_a_node_that_is_down_or_was_not_compared_with_exits_with_5(
    cli: Cli, scrubs: FakeScrubs, other: Any
) -> None:
    scrubs.rounds = [[SOUND, other]]
    result = cli("scrub")
    assert result.code == 5
    assert "connection refused" in result.text or "not wholly compared with n3" in result.text


def test_a_node_that_was_restarted_meanwhile_begins_again_and_no_other(
    cli: Cli, scrubs: FakeScrubs
) -> None:
    blank = replace(SOUND, node=N2, number=0, keys=0, size=0)
    second = replace(SOUND, node=N2)
    scrubs.rounds = [[SOUND, RUNNING], [SOUND, blank], [second], [SOUND, second]]
    assert cli("scrub").code == 0
    assert scrubs.asked[2] == ((N2,), True, 0)


def test_one_node_at_another_pace(cli: Cli, scrubs: FakeScrubs) -> None:
    assert cli("scrub", "--node", "n1", "--bytes-per-second", "50000").code == 0
    assert scrubs.asked == [(("n1",), True, 50_000)]


def test_a_node_that_is_no_member_is_bad_usage(cli: Cli, scrubs: FakeScrubs) -> None:
    scrubs.rounds = [[]]
    result = cli("scrub", "--node", "n9")
    assert result.code == 2 and "'n9' is no member" in result.err


def test_last_begins_nothing(cli: Cli, scrubs: FakeScrubs) -> None:
    scrubs.rounds = [[RUNNING, replace(SOUND, node=N2, number=0)]]
    result = cli("scrub", "--last")
    assert scrubs.asked == [((), False, 0)]
    assert result.text.splitlines()[0].startswith("n1       running  600 ")
    assert "it has not scrubbed since it was started" in result.text
    assert cli("scrub", "--last", "--bytes-per-second", "50000").code == 2


def test_an_interrupt_says_that_the_nodes_go_on(cli: Cli, scrubs: FakeScrubs) -> None:
    scrubs.rounds, scrubs.interrupted = [[RUNNING]], True
    result = cli("scrub")
    assert result.code == 130
    assert "the nodes go on: see 'decreed scrub --last'" in result.err


def test_the_report_as_json(cli: Cli, scrubs: FakeScrubs) -> None:
    scrubs.rounds = [[replace(SOUND, harmed=1, unrepaired=(Key("a"),)), DOWN]]
    result = cli("scrub", "--json")
    assert result.code == 7 and result.err == ""
    first, second = result.json["nodes"]
    assert (first["sound"], first["damaged"], first["unrepaired"]) == (False, 1, ["a"])
    assert second == {"node": "n3", "up": False, "error": "connection refused"}
