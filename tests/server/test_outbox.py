"""The queue to a slow receiver: bounded, without repetitions while a message waits."""

import cbor2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from decreed.registry.server.clients import PORTION
from decreed.registry.server.outbox import Outbox
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import TARGET_BYTES, TARGET_MESSAGES, FrameCutter, portions

LARGE = bytes(1_000_000)


def nothing(data: bytes | memoryview) -> int:
    """A system whose send buffer is full."""
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


@pytest.mark.trio
async def test_a_message_that_still_waits_is_not_queued_again_and_a_sent_one_is() -> None:
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


@pytest.mark.trio
async def test_a_message_counts_until_it_is_written() -> None:
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


@pytest.mark.trio
async def test_a_message_dropped_at_a_full_queue_may_be_queued_again() -> None:
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


@pytest.mark.trio
async def test_messages_that_the_system_takes_leave_immediately_and_in_order() -> None:
    taken: list[bytes] = []
    room = [7]

    def send_some(data: bytes | memoryview) -> int:
        count = min(room[0], len(data))
        room[0] -= count
        taken.append(bytes(data[:count]))
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


@pytest.mark.trio
async def test_messages_encoded_together_share_a_frame_with_others_and_none_is_over_the_target() -> (
    None
):
    frames: list[bytes] = []

    def send_some(data: bytes | memoryview) -> int:
        frames.extend(FrameCutter(1 << 30).feed(bytes(data)))
        return len(data)

    outbox = Outbox(10_000_000, send_some)
    outbox.put(b"".join(map(encode, [1, 2, 3])), 3)
    outbox.put_once(encode(4))
    outbox.put(encode(bytes(TARGET_BYTES // 2)) * 2, 2)
    outbox.put(encode(5) * TARGET_MESSAGES, TARGET_MESSAGES)
    outbox.flush()
    sent = [cbor2.loads(frame) for frame in frames]
    assert [len(messages) for messages in sent] == [4, 2, TARGET_MESSAGES]
    assert sent[0] == [1, 2, 3, 4]


@given(st.lists(st.sampled_from([0, 1_000, TARGET_BYTES // 3, 2 * TARGET_BYTES]), max_size=600))
def test_answers_are_queued_in_portions_that_hold_all_in_order(sizes: list[int]) -> None:
    answers = [number.to_bytes(2, "big") + bytes(size) for number, size in enumerate(sizes)]
    some = list(portions(answers, len, TARGET_BYTES // 2, PORTION))
    assert [answer for portion in some for answer in portion] == answers
    for portion in some:
        assert len(portion) == 1 or sum(map(len, portion)) <= TARGET_BYTES // 2
        assert len(portion) <= PORTION
