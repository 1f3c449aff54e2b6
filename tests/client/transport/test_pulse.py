"""The pulse of a link, on a mock clock: when a node is pinged, silent, slow, or gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from decreed.client.transport.pulse import (
    DEAD_SECONDS,
    LAST_LOOK_SECONDS,
    LONGEST_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    PING_SECONDS,
    Pulse,
)
from decreed.client.transport.task_link import watch
from decreed.client.transport.wakeup import Wakeup
from decreed.registry.errors import Unreachable

pytestmark = pytest.mark.trio


class Patient:
    """A link for the pulse, with a node that answers after `delay` seconds, or never if None."""

    def __init__(self) -> None:
        self.waits = False
        self.seconds_more = 0.0
        self.wakeup = Wakeup()
        self.pulse = Pulse(self, trio.current_time)
        self.delay: float | None = 0.0
        self.pings: list[float] = []
        self.fell: list[float] = []
        self.nursery: trio.Nursery | None = None

    def expects(self) -> bool:
        return self.waits

    def allowance(self) -> float:
        return self.seconds_more

    def wake_watcher(self) -> None:
        self.wakeup.wake()

    def ping(self) -> None:
        self.pings.append(trio.current_time())
        if self.delay is not None and self.nursery is not None:
            self.nursery.start_soon(self._answer, self.delay)

    async def _answer(self, delay: float) -> None:
        await trio.sleep(delay)
        self.pulse.heard()

    def fall_silent(self) -> None:
        self.fell.append(trio.current_time())

    def wait(self) -> None:
        """Let a request wait from now on."""
        self.waits = True
        self.pulse.stir()


@asynccontextmanager
async def a_patient(clock: trio.testing.MockClock) -> AsyncIterator[Patient]:
    clock.autojump_threshold = 0.0
    async with trio.open_nursery() as nursery:
        patient = Patient()
        patient.nursery = nursery
        nursery.start_soon(watch, patient.pulse, patient.wakeup)
        yield patient
        nursery.cancel_scope.cancel()


async def test_a_link_without_waiting_requests_is_not_pinged(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        await trio.sleep(100)
        assert not patient.pings
        patient.wait()
        await trio.sleep(10 * PING_SECONDS + 0.01)
        assert len(patient.pings) == 10
        patient.waits = False
        await trio.sleep(100)
        assert len(patient.pings) == 10


async def test_bytes_that_arrive_anyway_save_the_ping(mock_clock: trio.testing.MockClock) -> None:
    async with a_patient(mock_clock) as patient:
        patient.wait()
        for _ in range(50):
            await trio.sleep(PING_SECONDS * 0.9)
            patient.pulse.heard()
        assert not patient.pings


async def test_a_node_that_stops_is_silent_within_a_second(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        patient.wait()
        await trio.sleep(3.1 * PING_SECONDS)
        patient.delay = None
        stopped_at = trio.current_time()
        await trio.sleep(5)
        assert patient.pulse.silent
        [fell_at] = patient.fell
        assert fell_at - stopped_at <= 1


async def test_a_silent_node_is_not_pinged_again_and_is_used_again_once_it_answers(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        patient.delay = None
        patient.wait()
        await trio.sleep(DEAD_SECONDS / 2)
        assert len(patient.pings) == 1
        patient.pulse.heard()
        assert not patient.pulse.silent
        patient.delay = 0.0
        await trio.sleep(DEAD_SECONDS)
        assert len(patient.pings) > 10 and len(patient.fell) == 1


async def test_a_node_that_was_silent_for_long_is_given_up(
    mock_clock: trio.testing.MockClock,
) -> None:
    mock_clock.autojump_threshold = 0.0
    patient = Patient()
    patient.delay = None
    patient.wait()
    with pytest.raises(Unreachable, match="10 seconds"):
        await watch(patient.pulse, patient.wakeup)
    usual = PING_SECONDS + PATIENCE_SECONDS + LAST_LOOK_SECONDS
    assert trio.current_time() == pytest.approx(usual + DEAD_SECONDS)


async def test_a_slow_node_is_given_more_time_until_it_is_prompt_again(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        patient.delay = 2 * PATIENCE_SECONDS
        patient.wait()
        await trio.sleep(60)
        assert len(patient.fell) <= 2, "it answers as late as it did"
        patient.delay = 0.0
        await trio.sleep(60)
        fell = len(patient.fell)
        patient.delay = None
        stopped_at = trio.current_time()
        await trio.sleep(5)
        assert patient.fell[fell] - stopped_at <= 1


async def test_the_extra_time_of_a_slow_node_is_bounded(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        patient.delay = DEAD_SECONDS - 1
        patient.wait()
        await trio.sleep(100)
        patient.delay = None
        while patient.pulse.silent:
            await trio.sleep(0.01)
        before, spoke_at = len(patient.fell), trio.current_time()
        await trio.sleep(8)
        longest = PING_SECONDS + LONGEST_PATIENCE_SECONDS + LAST_LOOK_SECONDS
        assert 2 < patient.fell[before] - spoke_at <= longest + 0.01


async def test_megabytes_in_batch_get_extra_time(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        patient.seconds_more, patient.delay = 4.0, 3.0
        patient.wait()
        await trio.sleep(30)
        assert patient.pings and not patient.fell


async def test_a_client_that_was_held_up_itself_does_not_blame_the_node(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with a_patient(mock_clock) as patient:
        patient.delay = None
        patient.wait()
        while not patient.pings:
            await trio.sleep(0.01)
        # the answer has come, and was not read for long
        mock_clock.jump(5)
        await trio.sleep(LAST_LOOK_SECONDS / 2)
        patient.pulse.heard()
        await trio.sleep(1)
        assert not patient.fell
