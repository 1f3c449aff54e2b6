"""When a node scrubs by itself."""

import random

import pytest
import trio

from decreed.registry.replica.step.events import Event, ScrubDue
from decreed.registry.server.scrub_times import SECONDS_OF_AN_HOUR, scrub_at_times

WEEK_S = 168 * SECONDS_OF_AN_HOUR


async def times(every_hours: float, seed: int, for_s: float) -> list[float]:
    """When scrubs are due, in seconds after the start."""
    found: list[float] = []
    began = trio.current_time()

    def post(event: Event) -> None:
        assert event == ScrubDue()
        found.append(trio.current_time() - began)

    with trio.move_on_after(for_s):
        await scrub_at_times(every_hours, random.Random(seed), post)
    return found


@pytest.mark.trio
async def test_the_first_one_comes_at_a_random_moment_of_a_period_and_then_one_each_period(
    autojump_clock: trio.testing.MockClock,
) -> None:
    firsts: set[float] = set()
    for seed in range(5):
        first, *others = await times(168, seed, 3 * WEEK_S)
        assert 0 <= first <= WEEK_S
        assert (
            others[:2]
            == [pytest.approx(first + WEEK_S), pytest.approx(first + 2 * WEEK_S)][: len(others)]
        )
        firsts.add(first)
    assert len(firsts) == 5


@pytest.mark.trio
async def test_it_never_comes_if_it_is_switched_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert await times(0, 1, 10 * WEEK_S) == []
