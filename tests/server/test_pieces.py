"""A large value is in memory once, for all its receivers, and is encoded as any other."""

import gc

import cbor2
import pytest

from decreed.registry.server.backlog import Backlog
from decreed.registry.server.outbox import Outbox
from decreed.registry.server.pieces import LARGE_BYTES, Encoded, Pieces, Shared, encode_answer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import FrameCutter
from decreed.registry.wire.packed import PackedPage
from decreed.registry.wire.requests import Answer, Decreed, ListPage, Position, WatchPage

BALLOT = Ballot(3, Process(NodeId("n1"), 2))
POSITION = Position(NodeId("n1"), bytes(16), 7)


def decree(key: str, size: int, fill: bytes = b"x") -> Decree:
    return Decree(Key(key), fill * size, "text/plain", "me", b"id", "a note", 5, BALLOT)


LARGE = decree("large", LARGE_BYTES)
SMALL = decree("small", 10)
ANSWERS: list[Answer] = [
    Decreed(1, LARGE),
    Decreed(2, decree("largest", 1 << 20)),
    ListPage(3, (SMALL, LARGE, SMALL, SMALL, decree("l", LARGE_BYTES + 1)), "after"),
    WatchPage(4, (LARGE,), POSITION, True),
    PackedPage(5, bytes(LARGE_BYTES), None),
    PackedPage(6, bytes(70_000 + LARGE_BYTES), "after"),
]


def joined(encoded: Encoded) -> bytes:
    return b"".join(encoded.data()) if isinstance(encoded, Pieces) else encoded


def values(encoded: Encoded) -> list[Shared]:
    assert isinstance(encoded, Pieces)
    return [item for item in encoded.items if isinstance(item, Shared)]


@pytest.mark.parametrize("answer", ANSWERS)
def test_pieces_joined_are_what_the_codec_gives(answer: Answer) -> None:
    encoded = encode_answer(answer)
    assert isinstance(encoded, Pieces)
    assert joined(encoded) == encode(answer)
    assert len(encoded) == len(encode(answer))


@pytest.mark.parametrize(
    "answer", [Decreed(1, SMALL), ListPage(1, (SMALL,), None), PackedPage(1, b"x", None)]
)
def test_small_answers_are_one_string(answer: Answer) -> None:
    assert encode_answer(answer) == encode(answer)


def test_a_value_that_was_read_twice_waits_once() -> None:
    first = encode_answer(Decreed(1, decree("k", LARGE_BYTES)))
    again = encode_answer(WatchPage(2, (decree("k", LARGE_BYTES),), POSITION, False))
    assert values(first)[0] is values(again)[0]
    assert joined(again) == encode(WatchPage(2, (decree("k", LARGE_BYTES),), POSITION, False))


def test_another_value_of_the_same_key_is_never_shared() -> None:
    first = encode_answer(Decreed(1, decree("k", LARGE_BYTES)))
    other = encode_answer(Decreed(1, decree("k", LARGE_BYTES, b"y")))
    assert values(first)[0].data != values(other)[0].data


def test_no_value_is_kept_once_no_answer_waits() -> None:
    encoded = encode_answer(Decreed(1, decree("gone", LARGE_BYTES)))
    shared = values(encoded)[0]
    again = encode_answer(Decreed(1, decree("gone", LARGE_BYTES)))
    assert values(again)[0] is shared
    number = id(shared.data)
    del encoded, again, shared
    gc.collect()
    fresh = decree("gone", LARGE_BYTES)
    assert values(encode_answer(Decreed(1, fresh)))[0].data is fresh.value, number


def test_all_outboxes_together_count_a_value_once_and_give_it_back() -> None:
    backlog = Backlog(2 * LARGE_BYTES)
    outboxes = [Outbox(10 * LARGE_BYTES, lambda _: 0, backlog) for _ in range(50)]
    for outbox in outboxes:
        assert outbox.put(encode_answer(Decreed(1, LARGE)))
        outbox.flush()
    assert LARGE_BYTES < backlog.held < LARGE_BYTES + 50 * 200
    assert not backlog.is_over
    assert outboxes[0].put(encode_answer(Decreed(1, decree("other", LARGE_BYTES))))
    assert outboxes[0].put(bytes(LARGE_BYTES))
    assert backlog.is_over
    for outbox in outboxes:
        outbox.close()
        assert outbox.size == 0 and not outbox.put(b"\x01")
    assert backlog.held == 0


def test_pieces_and_strings_leave_in_order_though_the_system_takes_little() -> None:
    taken = bytearray()

    def send_some(data: bytes | memoryview) -> int:
        taken.extend(data[:70_000])
        return min(len(data), 70_000)

    outbox, sent = Outbox(1 << 30, send_some), [encode(1), encode_answer(ANSWERS[2]), encode(2)]
    for message in sent:
        outbox.put(message)
    outbox.flush()
    assert 0 < len(taken) < outbox.size
    while not outbox._send_rest() or outbox.has_waiting:
        if not outbox._rest:
            outbox._end()
            outbox.flush()
    frames = FrameCutter(1 << 30).feed(bytes(taken))
    assert b"".join(frame[1:] for frame in frames) == b"".join(map(joined, sent))
    assert all(len(cbor2.loads(frame)) == 1 for frame in frames)
