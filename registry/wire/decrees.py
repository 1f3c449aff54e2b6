"""Messages in CBOR, where a decree is encoded once for all the messages that carry it.

A decree travels to every acceptor and then to whoever claimed or reads it, always as the same bytes.
To encode one costs more than all the rest of such a message, so what was encoded lately is kept. What
leaves is what `codec.encode` gives, byte for byte, since values that are equal have fields of the same
types: they come from our own decoders, or from our own code.
"""

from collections.abc import Sequence
from functools import lru_cache

from cbor2 import dumps
from msgspec.structs import astuple

from ..paxos.messages import AcceptMany
from ..types import Ballot, Decree, Value
from .codec import array_header, encode
from .peers import Fetched
from .requests import Decreed

KEPT = 16_384
"""How many encoded decrees are kept: some 13 MiB of the usual kind, and three times that at most."""
SHORT_BYTES = 512
"""What is kept has no more than this in its value and its texts, where a character may take four."""


def encode_message(message: Value) -> bytes:
    """The CBOR of a message to a peer or a client."""
    match message:
        case Decreed():
            return _DECREED + dumps(message.id) + encode_decree(message.decree)
        case AcceptMany():
            head = _ACCEPT_MANY + _ballot(message.ballot) + dumps(message.number)
            return head + _each(message.decrees)
        case Fetched():
            return _FETCHED + _each(message.decrees)
        case _:
            return encode(message)


def _each(decrees: Sequence[Decree]) -> bytes:
    return array_header(len(decrees)) + b"".join(map(encode_decree, decrees))


def encode_decree(decree: Decree) -> bytes:
    """The CBOR of a decree."""
    characters = len(decree.note) + len(decree.claimant) + len(decree.content_type)
    short = len(decree.value) + len(decree.key) + 4 * characters <= SHORT_BYTES
    return kept(decree) if short else encode(decree)


@lru_cache(maxsize=KEPT)
def kept(decree: Decree) -> bytes:
    """The CBOR of a decree that is asked for again, as a rule."""
    *plain, _ = fields = astuple(decree)
    begun = dumps(plain)[len(array_header(len(plain))) :]
    return array_header(len(fields)) + begun + _ballot(decree.ballot)  # arrays are what is dear


@lru_cache(maxsize=16)
def _ballot(ballot: Ballot) -> bytes:
    return encode(ballot)


def _start(kind: type[Value]) -> bytes:
    """What a message of this kind begins with: it is an array of its tag and its fields."""
    return array_header(1 + len(kind.__struct_fields__)) + encode(kind.__struct_config__.tag)


_DECREED = _start(Decreed)
_ACCEPT_MANY = _start(AcceptMany)
_FETCHED = _start(Fetched)
