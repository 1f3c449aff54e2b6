"""Timers: never early, at most a little late, in order, and fired together."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.replica.step.effects import SetTimer
from decreed.registry.replica.step.events import Expire, Timer
from decreed.registry.server.timers import Timers

TIMES = st.floats(0, 1e9)
DELAYS = st.floats(0, 600_000)


@given(TIMES, DELAYS, st.floats(0, 1_000))
def test_a_timer_never_fires_early_and_late_only_if_it_has_a_spread(
    now_ms: float, delay_ms: float, spread_ms: float
) -> None:
    timers = Timers(random.Random(1))
    exact_ms = now_ms + delay_ms + random.Random(1).random() * spread_ms
    timers.set(now_ms, SetTimer(Expire(1), delay_ms, spread_ms))
    late_ms = max(delay_ms, 1.0) / 16 + 1e-6 if spread_ms else 0.0
    assert exact_ms <= timers.next_ms <= exact_ms + late_ms
    assert timers.due(math.nextafter(timers.next_ms, -1.0)) == []
    assert timers.due(timers.next_ms) == [Expire(1)]
    assert timers.next_ms == math.inf


@given(st.lists(st.tuples(TIMES, DELAYS), max_size=30))
def test_timers_fire_once_in_the_order_of_their_times(wanted: list[tuple[float, float]]) -> None:
    timers = Timers(random.Random(1))
    for number, (now_ms, delay_ms) in enumerate(wanted):
        timers.set(now_ms, SetTimer(Expire(number), delay_ms))
    fired, times = list[object](), list[float]()
    while timers.next_ms < math.inf:
        times.append(timers.next_ms)
        fired += timers.due(times[-1])
    assert times == sorted(set(times))
    assert sorted(fired, key=repr) == sorted(map(Expire, range(len(wanted))), key=repr)


def test_timers_set_one_after_the_other_end_together() -> None:
    timers = Timers(random.Random(1))
    for number in range(100):
        timers.set(1_000.0 + number, SetTimer(Expire(number), 500.0, 1.0))
    turns = 0
    while timers.next_ms < math.inf:
        assert timers.due(timers.next_ms)
        turns += 1
    assert turns <= 8


def test_timers_that_no_longer_count_are_dropped_and_not_waited_for() -> None:
    over: set[Timer] = set()
    timers = Timers(random.Random(1), lambda timer: timer not in over)
    for number in range(1, 5):
        timers.set(0.0, SetTimer(Expire(number), 100.0 * (number // 2)))
    over |= {Expire(2), Expire(4)}
    assert timers.due(timers.next_ms) == [Expire(1)]
    assert timers.due(timers.next_ms) == [Expire(3)]
    timers.set(0.0, SetTimer(Expire(4), 100.0))
    assert timers.next_ms == math.inf
