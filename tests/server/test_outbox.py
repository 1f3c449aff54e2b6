"""What waits for a slow receiver: bounded, said once while it waits, and said again later."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from decreed.registry.server.outbox import Outbox
from decreed.registry.wire.frames import FrameCutter

pytestmark = pytest.mark.trio
LARGE = bytes(1_000_000)


def nothing(data: bytes) -> int:
    """A system that takes nothing at once."""
    return 0


class SlowStream(trio.abc.SendStream):
    """Takes a frame each time it is told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.turns = trio.Semaphore(0)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.turns.acquire()
        self.taken += FrameCutter(1 << 30).feed(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_what_still_waits_is_not_queued_again_and_what_has_left_is() -> None:
    outbox, stream = Outbox(10_000_000, nothing), SlowStream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        for _ in range(50):
            assert outbox.put_once(LARGE)
            outbox.flush()
            await wait_all_tasks_blocked()
        stream.turns.release()
        await outbox.drained()
        assert len(stream.taken) == 1
        assert outbox.put_once(LARGE)
        outbox.flush()
        stream.turns.release()
        await outbox.drained()
        assert len(stream.taken) == 2
        nursery.cancel_scope.cancel()


async def test_what_is_being_written_counts_until_it_has_left() -> None:
    outbox, stream = Outbox(3_000_000, nothing), SlowStream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        queued = 0
        for number in range(10):
            queued += outbox.put(LARGE[:-1] + bytes([number]))
            outbox.flush()
            await wait_all_tasks_blocked()
        assert queued == 3
        stream.turns.release()
        await wait_all_tasks_blocked()
        assert outbox.put(LARGE), "there is room again"
        nursery.cancel_scope.cancel()


async def test_what_was_dropped_at_a_full_queue_may_be_said_again() -> None:
    outbox, stream = Outbox(1_500_000, nothing), SlowStream()
    other = b"x" * 1_000_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        assert outbox.put_once(LARGE)
        assert not outbox.put_once(other)
        outbox.flush()
        stream.turns.release()
        await outbox.drained()
        assert outbox.put_once(other)
        outbox.flush()
        stream.turns.release()
        await outbox.drained()
        assert len(stream.taken) == 2
        nursery.cancel_scope.cancel()


async def test_what_the_system_takes_leaves_at_once_and_in_order() -> None:
    taken: list[bytes] = []
    room = [7]

    def send_some(data: bytes) -> int:
        count = min(room[0], len(data))
        room[0] -= count
        taken.append(data[:count])
        return count

    outbox, stream = Outbox(10_000, send_some), SlowStream()
    outbox.put(b"\x01")
    outbox.flush()
    assert taken == [b"\x00\x00\x00\x02\x81\x01"]
    outbox.put(b"\x02")
    outbox.flush()
    outbox.put(b"\x03")
    outbox.flush()
    assert b"".join(taken) == b"\x00\x00\x00\x02\x81\x01\x00", "one byte of the next frame"
    rest: list[bytes] = []

    async def send_all(data: bytes) -> None:
        rest.append(data)

    stream.send_all = send_all  # type: ignore[method-assign,assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        await outbox.drained()
        nursery.cancel_scope.cancel()
    assert b"".join(rest) == b"\x00\x00\x02\x81\x02\x00\x00\x00\x02\x81\x03"
