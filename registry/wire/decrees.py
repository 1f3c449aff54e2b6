"""Messages in CBOR, where a decree is encoded once for all the messages that carry it.

A decree travels to every acceptor and then to whoever claimed or reads it, always as the same bytes.
To encode one costs more than all the rest of such a message, so what was encoded lately is kept. What
leaves is what `codec.encode` gives, byte for byte.
"""

from functools import lru_cache

from ..paxos.messages import AcceptMany
from ..types import Decree, Value
from .codec import array_header, encode
from .requests import Decreed

KEPT = 16_384
"""How many encoded decrees are kept: some 10 MiB of the usual kind."""
SHORT_BYTES = 512
"""The largest value whose decree is kept."""


def encode_message(message: Value) -> bytes:
    """The CBOR of a message to a peer or a client."""
    match message:
        case Decreed(request_id, decree):
            return _DECREED + encode(request_id) + encode_decree(decree)
        case AcceptMany(ballot, number, decrees):
            head = _ACCEPT_MANY + encode(ballot) + encode(number) + array_header(len(decrees))
            return head + b"".join(map(encode_decree, decrees))
        case _:
            return encode(message)


def encode_decree(decree: Decree) -> bytes:
    """The CBOR of a decree."""
    return _kept(decree) if len(decree.value) <= SHORT_BYTES else encode(decree)


@lru_cache(maxsize=KEPT)
def _kept(decree: Decree) -> bytes:
    return encode(decree)


def _start(kind: type[Value]) -> bytes:
    """What a message of this kind begins with: it is an array of its tag and its fields."""
    return array_header(1 + len(kind.__struct_fields__)) + encode(kind.__struct_config__.tag)


_DECREED = _start(Decreed)
_ACCEPT_MANY = _start(AcceptMany)
