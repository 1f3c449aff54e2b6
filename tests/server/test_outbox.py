"""What waits for a slow receiver: bounded, said once while it waits, and said again later."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from decreed.registry.server.outbox import Outbox
from decreed.registry.wire.frames import FrameCutter

pytestmark = pytest.mark.trio
LARGE = bytes(1_000_000)


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
    outbox, stream = Outbox(10_000_000), SlowStream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        for _ in range(50):
            assert outbox.put_once(LARGE)
            await wait_all_tasks_blocked()
        stream.turns.release()
        await outbox.drained()
        assert len(stream.taken) == 1
        assert outbox.put_once(LARGE)
        stream.turns.release()
        await outbox.drained()
        assert len(stream.taken) == 2
        nursery.cancel_scope.cancel()


async def test_what_is_being_written_counts_until_it_has_left() -> None:
    outbox, stream = Outbox(3_000_000), SlowStream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        queued = 0
        for number in range(10):
            queued += outbox.put(LARGE[:-1] + bytes([number]))
            await wait_all_tasks_blocked()
        assert queued == 3
        stream.turns.release()
        await wait_all_tasks_blocked()
        assert outbox.put(LARGE), "there is room again"
        nursery.cancel_scope.cancel()


async def test_what_was_dropped_at_a_full_queue_may_be_said_again() -> None:
    outbox, stream = Outbox(1_500_000), SlowStream()
    other = b"x" * 1_000_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write_to, stream)
        assert outbox.put_once(LARGE)
        assert not outbox.put_once(other)
        stream.turns.release()
        await outbox.drained()
        assert outbox.put_once(other)
        stream.turns.release()
        await outbox.drained()
        assert len(stream.taken) == 2
        nursery.cancel_scope.cancel()
