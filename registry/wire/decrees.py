"""Messages in CBOR; a decree is encoded once for all the messages that carry it.

A decree is sent to every acceptor, then to the claimer and to readers, always as the same bytes.
Encoding it costs more than the rest of such a message, so recently encoded decrees are cached. Those
that a peer fetches are usually old, and many: they are not cached, and push out none that is. The
result equals that of `codec.encode`, byte for byte: equal values have fields of equal types, since all
of them come from our own decoders or our own code.
"""

from functools import lru_cache

from cbor2 import dumps
from msgspec.structs import astuple

from ..paxos.decrees import Decrees
from ..paxos.messages import Accepted, AcceptMany, Commit
from ..types import Ballot, Decree, Value
from .codec import array_header, encode
from .requests import Decreed, Undecided

KEPT = 16_384
"""How many encoded decrees are cached: usually some 13 MiB, at most three times that."""
SHORT_BYTES = 512
"""A decree is cached if its value and texts have at most this many bytes, counting four a character."""


def encode_message(message: Value) -> bytes:
    """The CBOR of a message to a peer or a client."""
    match message:
        case Undecided():
            return _UNDECIDED + dumps(message.id)
        case Decreed():
            return _DECREED + dumps(message.id) + encode_decree(message.decree)
        case AcceptMany():
            head = _ACCEPT_MANY + _ballot(message.ballot) + dumps(message.number)
            return head + dumps(Decrees.of(message.decrees).packed)
        case Accepted():
            return _ACCEPTED + dumps(message.key) + _ballot(message.ballot)
        case Commit():
            return _COMMIT + dumps(message.key) + encode_decree(message.decree)
        case _:
            return encode(message)


def encode_decree(decree: Decree) -> bytes:
    """The CBOR of a decree."""
    characters = len(decree.note) + len(decree.claimant) + len(decree.content_type)
    short = len(decree.value) + len(decree.key) + 4 * characters <= SHORT_BYTES
    return kept(decree) if short else encode(decree)


@lru_cache(maxsize=KEPT)
def kept(decree: Decree) -> bytes:
    """The CBOR of a decree, from the cache if it is there."""
    return _encode_once(decree)


def _encode_once(decree: Decree) -> bytes:
    *plain, _, identity = fields = astuple(decree)
    begun = dumps(plain)[len(array_header(len(plain))) :]
    # the ballot is cached by itself: encoding a nested array is the expensive part
    return array_header(len(fields)) + begun + _ballot(decree.ballot) + _text(identity)


@lru_cache(maxsize=16)
def _ballot(ballot: Ballot) -> bytes:
    return encode(ballot)


@lru_cache(maxsize=1_024)
def _text(identity: str) -> bytes:
    """Few identities claim most keys."""
    return dumps(identity)


def _start(kind: type[Value]) -> bytes:
    """The first bytes of a message of this kind: it is an array of its tag and its fields."""
    return array_header(1 + len(kind.__struct_fields__)) + encode(kind.__struct_config__.tag)


_DECREED = _start(Decreed)
_UNDECIDED = _start(Undecided)
_ACCEPT_MANY = _start(AcceptMany)
_ACCEPTED = _start(Accepted)
_COMMIT = _start(Commit)
