"""Large frames share a bounded room; the smallest goes first, and late ones are dropped."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from decreed.registry.server.incoming import GRACE_S, Frame, Incoming

pytestmark = pytest.mark.trio


def frame(size: int, late_s: float = 0.0, dropped: list[int] | None = None) -> Frame:
    return Frame(size, lambda: late_s, lambda: None if dropped is None else dropped.append(size))


async def test_frames_wait_for_room_and_the_smallest_goes_first(autojump_clock: Any) -> None:
    incoming, order = Incoming(100), list[int]()
    first = frame(80)
    await incoming.admit(first)

    async def admitted(one: Frame) -> None:
        await incoming.admit(one)
        order.append(one.size)

    waiting = [frame(90), frame(30), frame(60)]
    async with trio.open_nursery() as nursery:
        for one in waiting:
            nursery.start_soon(admitted, one)
            await wait_all_tasks_blocked()
        assert order == []
        incoming.release(first)
        await wait_all_tasks_blocked()
        assert sorted(order) == [30, 60]
        assert incoming.held == 90
        incoming.release(waiting[1])
        incoming.release(waiting[2])
    assert order[-1] == 90


async def test_the_largest_late_frame_is_dropped_for_a_waiting_one(autojump_clock: Any) -> None:
    incoming, dropped = Incoming(100), list[int]()
    for one in (frame(40, 9.0, dropped), frame(50, 9.0, dropped), frame(10, 0.0, dropped)):
        await incoming.admit(one)
    began = trio.current_time()
    await incoming.admit(frame(20))
    assert dropped == [50]
    assert trio.current_time() - began == pytest.approx(GRACE_S)
    await incoming.admit(frame(30))
    assert dropped == [50], "there was room"


async def test_a_complete_or_progressing_frame_is_never_dropped(autojump_clock: Any) -> None:
    incoming, dropped = Incoming(100), list[int]()
    whole, coming = frame(60, 9.0, dropped), frame(40, 0.0, dropped)
    whole.whole = True
    for one in (whole, coming):
        await incoming.admit(one)
    with trio.move_on_after(100 * GRACE_S) as patience:
        await incoming.admit(frame(10))
    assert patience.cancelled_caught and dropped == []
    incoming.release(whole)
    await incoming.admit(frame(60))
    assert incoming.held == 100, "who stopped waiting holds nothing"


async def test_a_frame_larger_than_the_room_is_admitted_alone(autojump_clock: Any) -> None:
    incoming = Incoming(100)
    large = frame(500)
    await incoming.admit(large)
    with trio.move_on_after(10) as patience:
        await incoming.admit(frame(1))
    assert patience.cancelled_caught
    incoming.release(large)
    await incoming.admit(frame(1))
