"""Frames and messages: any bytes, in any pieces."""

import contextlib
import itertools
import time
import tracemalloc
from collections.abc import Iterable
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decreed.registry.errors import ProtocolError
from decreed.registry.wire.codec import decode, decode_batch, encode
from decreed.registry.wire.frames import HEADER_BYTES, TARGET_BYTES, FrameCutter, frame, pack

from . import targets
from .strategies import MESSAGES, UNIONS, messages, plain_values, values_of

MAX_BYTES = 64
KINDS = sorted(MESSAGES)


def chunked(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(st.binary(max_size=MAX_BYTES)), st.lists(st.integers(0, 10_000)), st.binary())
def test_any_chunking_cuts_the_same_payloads(
    payloads: list[bytes], cuts: list[int], tail: bytes
) -> None:
    tail = tail[: HEADER_BYTES - 1]
    data = b"".join(map(frame, payloads)) + tail
    cutter = FrameCutter(MAX_BYTES)
    assert [p for chunk in chunked(data, cuts) for p in cutter.feed(chunk)] == payloads
    assert cutter.pending == len(tail)


@given(st.binary(max_size=400), st.integers(1, 40))
def test_garbage_is_cut_or_refused_and_never_kept_beyond_the_bound(data: bytes, step: int) -> None:
    cutter = FrameCutter(MAX_BYTES)
    try:
        for start in range(0, len(data), step):
            for payload in cutter.feed(data[start : start + step]):
                assert len(payload) <= MAX_BYTES
            assert cutter.pending < HEADER_BYTES + MAX_BYTES
    except ProtocolError:
        pass


@given(st.integers(MAX_BYTES + 1, 2**32 - 1), st.lists(st.binary(max_size=9), max_size=3))
def test_a_length_over_the_limit_is_refused_with_its_last_byte(
    size: int, payloads: list[bytes]
) -> None:
    cutter = FrameCutter(MAX_BYTES)
    head = size.to_bytes(HEADER_BYTES, "big")
    before = b"".join(map(frame, payloads))
    assert list(cutter.feed(before + head[:-1])) == payloads
    with pytest.raises(ProtocolError, match="the limit is 64"):
        list(cutter.feed(head[-1:]))


@given(st.lists(st.sampled_from([0, 1, 40_000, TARGET_BYTES - 3, TARGET_BYTES + 1]), max_size=40))
def test_packed_messages_are_unpacked_in_order_from_frames_near_the_target(
    sizes: list[int],
) -> None:
    encoded = [encode(bytes(size)) for size in sizes]
    frames = list(pack(encoded))
    cutter = FrameCutter(2 * TARGET_BYTES)
    batches = [cbor2.loads(payload) for joined in frames for payload in cutter.feed(joined)]
    assert [len(item) for batch in batches for item in batch] == sizes
    assert all(batches)
    for joined, batch in zip(frames, batches, strict=True):
        assert len(batch) == 1 or len(joined) <= TARGET_BYTES + 16


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=max(30, settings().max_examples // 40))
@given(data=st.data())
def test_every_message_is_decoded_as_it_was_encoded(name: str, data: st.DataObject) -> None:
    union, kind = MESSAGES[name]
    sent = data.draw(st.lists(values_of(kind), min_size=1, max_size=3))
    payload = b"".join(pack(encode(message) for message in sent))[HEADER_BYTES:]
    received = decode_batch(payload, union)
    assert list(received) == sent
    assert all(type(message) is kind for message in received)


@given(st.binary(max_size=200), st.sampled_from(sorted(UNIONS)))
def test_any_bytes_are_messages_or_a_protocol_error(data: bytes, name: str) -> None:
    try:
        for message in decode_batch(data, UNIONS[name]):
            assert type(message) in UNIONS[name].__args__
    except ProtocolError:
        pass


@given(plain_values(), st.sampled_from(sorted(UNIONS)))
def test_any_sound_cbor_is_messages_or_a_protocol_error(value: Any, name: str) -> None:
    for payload in (cbor2.dumps(value), cbor2.dumps([value])):
        with contextlib.suppress(ProtocolError):
            decode_batch(payload, UNIONS[name])


@given(messages(), st.data())
def test_a_damaged_message_is_another_message_or_a_protocol_error(
    message: Any, data: st.DataObject
) -> None:
    payload = bytearray(encode([message]))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    targets.wire(bytes(payload))


@given(messages(), plain_values(), st.data())
def test_a_message_with_a_field_of_another_type_is_refused_or_sound(
    message: Any, strange: Any, data: st.DataObject
) -> None:
    plain = msgspec.to_builtins(message, builtin_types=(bytes,))
    plain[data.draw(st.integers(0, len(plain) - 1))] = strange
    with contextlib.suppress(cbor2.CBOREncodeError):
        targets.wire(cbor2.dumps([plain]))


BOMBS = {
    "nested arrays": b"\x81" * 100_000,
    "nested maps": b"\xa1\x00" * 100_000,
    "an array that claims to be huge": b"\x9b" + b"\x7f" + b"\xff" * 7,
    "a map that claims to be huge": b"\xbb" + b"\x7f" + b"\xff" * 7,
    "bytes that claim to be huge": b"\x5b" + b"\x7f" + b"\xff" * 7,
    "text that claims to be huge": b"\x7b" + b"\x7f" + b"\xff" * 7,
    "nested arrays that claim to be large": b"\x9a\x00\xff\xff\xff" * 11,
    "a big number": b"\xc2\x5a\x00\x01\x00\x00" + b"\xff" * 65_536,
    "a shared reference to itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a regular expression": b"\xd8\x23" + cbor2.dumps("(a+)+$" * 100),
    "indefinite bytes": b"\x5f" + b"\x41\x00" * 50_000,
    "many small items": b"\x9a\x00\x04\x00\x00" + b"\x80" * 0x40000,
    "an empty payload": b"",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_time_and_memory(name: str) -> None:
    data = BOMBS[name]
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(ProtocolError):
            decode_batch(data, UNIONS["peer"])
        assert tracemalloc.get_traced_memory()[1] < 100 * len(data) + 2_000_000
        assert time.process_time() - started < 5
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"\x80\x80", b"\x80\xff", b"\x80junk"])
def test_bytes_after_the_value_are_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_batch(data, UNIONS["peer"])


@given(plain_values())
def test_decode_gives_the_type_asked_for(value: Any) -> None:
    for kind in (bytes, str, int):
        with contextlib.suppress(ProtocolError):
            assert isinstance(decode(cbor2.dumps(value), kind), kind)
