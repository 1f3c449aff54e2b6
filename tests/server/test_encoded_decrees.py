"""A decree is encoded once for all its receivers, and every message equals the codec's encoding."""

from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given
from msgspec import to_builtins
from msgspec.msgpack import encode as msgpack

from decreed.registry.errors import ProtocolError
from decreed.registry.paxos.decrees import MAX_BATCH, Decrees
from decreed.registry.paxos.messages import AcceptMany
from decreed.registry.types import (
    MAX_CLAIMANT_CHARS,
    MAX_CONTENT_TYPE_CHARS,
    MAX_NOTE_CHARS,
    Ballot,
    Decree,
    Key,
    NodeId,
    Process,
    decree_digest,
)
from decreed.registry.wire.codec import decode, encode
from decreed.registry.wire.decrees import KEPT, SHORT_BYTES, encode_decree, encode_message, kept
from decreed.registry.wire.requests import Decreed
from tests.fuzz.strategies import messages

BALLOT = Ballot.of_home(Process(NodeId("n1"), 1))
LATER = Ballot.of_home(Process(NodeId("n1"), 2))


def decree(
    name: str, size: int = 3, claimant: str = "me", note: str = "", kind: str = "text/plain"
) -> Decree:
    return Decree(Key(name), b"v" * size, kind, claimant, b"id", note, 5, BALLOT)


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    kept.cache_clear()


@given(messages())
def test_every_message_is_encoded_as_the_codec_does_it(message: Any) -> None:
    assert encode_message(message) == encode(message)
    assert encode_message(message) == encode(message), "also what was kept"


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 512])
def test_a_batch_of_any_size_travels_as_its_decrees_are_stored(count: int) -> None:
    decrees = Decrees(decree(f"k{at}") for at in range(count))
    batch = AcceptMany(BALLOT, 1 << 40, decrees)
    plain = [18, to_builtins(BALLOT), 1 << 40, msgpack(tuple(decrees))]
    assert encode_message(batch) == dumps(plain)
    read = decode(encode_message(batch), AcceptMany)
    assert read == batch
    assert isinstance(read.decrees, Decrees)
    assert read.decrees.bodies == tuple(map(msgpack, decrees)) == decrees.bodies
    assert read.decrees.digests == {each.key: decree_digest(each) for each in decrees}


@pytest.mark.parametrize(
    "packed", [b"", b"\x91", b"\x91\x01", b"\xc0", msgpack([decree("k")]) + b"\0", "text", 7, [1]]
)
def test_R02_what_is_no_batch_is_refused(packed: object) -> None:
    with pytest.raises(ProtocolError):
        decode(dumps([18, to_builtins(BALLOT), 1, packed]), AcceptMany)


def test_a_batch_of_too_many_decrees_is_refused() -> None:
    packed = msgpack([decree(f"k{at}") for at in range(MAX_BATCH + 1)])
    with pytest.raises(ProtocolError):
        decode(dumps([18, to_builtins(BALLOT), 1, packed]), AcceptMany)


@pytest.mark.parametrize("size", [0, SHORT_BYTES, SHORT_BYTES + 1, 1 << 17])
def test_a_value_of_any_size_is_encoded_as_the_codec_does_it(size: int) -> None:
    answer = Decreed(7, decree("k", size))
    assert encode_message(answer) == encode(answer)


def test_a_decree_is_not_encoded_again_for_claimers_and_readers() -> None:
    for reader in range(5):
        encode_message(Decreed(reader, decree("a")))
    assert (kept.cache_info().misses, kept.cache_info().hits) == (1, 4)


@pytest.mark.parametrize(
    "other",
    [
        Decree(Key("b"), b"vvv", "text/plain", "me", b"id", "", 5, BALLOT),
        Decree(Key("a"), b"vvw", "text/plain", "me", b"id", "", 5, BALLOT),
        Decree(Key("a"), b"vvv", "text/html", "me", b"id", "", 5, BALLOT),
        Decree(Key("a"), b"vvv", "text/plain", "you", b"id", "", 5, BALLOT),
        Decree(Key("a"), b"vvv", "text/plain", "me", b"ie", "", 5, BALLOT),
        Decree(Key("a"), b"vvv", "text/plain", "me", b"id", "n", 5, BALLOT),
        Decree(Key("a"), b"vvv", "text/plain", "me", b"id", "", 6, BALLOT),
        Decree(Key("a"), b"vvv", "text/plain", "me", b"id", "", 5, LATER),
    ],
)
def test_decrees_that_differ_in_anything_are_told_apart(other: Decree) -> None:
    for each in (decree("a"), other):
        assert encode_message(Decreed(1, each)) == encode(Decreed(1, each))
    assert kept.cache_info().misses == 2


# -- the cache is bounded: in number, and in the size of each


@pytest.mark.parametrize("over", [0, 1])
def test_a_decree_just_short_enough_is_cached(over: int) -> None:
    texts = len("k") + 4 * len("me" + "text/plain")
    encode_decree(decree("k", SHORT_BYTES - texts + over))
    assert kept.cache_info().currsize == 1 - over


def test_the_number_of_cached_decrees_is_bounded() -> None:
    assert kept.cache_info().maxsize == KEPT


@pytest.mark.parametrize(
    "long",
    [
        decree("k", note="\N{GRINNING FACE}" * MAX_NOTE_CHARS),
        decree("k", claimant="\N{GRINNING FACE}" * MAX_CLAIMANT_CHARS),
        decree("k", kind="\N{GRINNING FACE}" * MAX_CONTENT_TYPE_CHARS),
    ],
)
def test_long_texts_are_not_kept_either(long: Decree) -> None:
    """A character may take four bytes, in the decree and again in its encoding."""
    encode_decree(long)
    assert kept.cache_info().currsize == 0
