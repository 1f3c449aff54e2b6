"""A run as text: one short line for each event.

Nodes, keys and ballots are written in full; ``a/b`` of a claim is its key and its id. Times are those
of the world, in milliseconds.
"""

from typing import Any

from msgspec import Struct

from decreed.registry.disk import FeedEntry, ScanPage
from decreed.registry.replica.step.events import Fired, FromClient, FromPeer
from decreed.registry.replica.step.tokens import TOKEN_BITS
from decreed.registry.types import Ballot, Claim, Decree, Proposal
from decreed.registry.wire.handshake import PeerIdentity
from decreed.registry.wire.requests import Position

LONGEST = 160


def print_event(now_ms: float, node: str, kind: str, what: object) -> None:
    """Print one event of a world: when, on which node, what kind, and the event."""
    print(f"{now_ms:10.1f} {node:3} {kind:8} {short(what)}")


def short(what: object) -> str:
    """An event in few words."""
    text = _event(what)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _event(what: object) -> str:
    match what:
        case str() | BaseException():
            return str(what)
        case FromPeer(sender, message):
            return f"{sender}: {_named(message)}"
        case FromClient(_, requests):
            return f"client: {', '.join(map(_named, requests))}"
        case Fired(timer):
            return f"timer: {_named(timer)}"
        case _:
            return _named(what)


def _named(value: Any) -> str:
    """A value by its name and its fields."""
    fields = (_value(getattr(value, name)) for name in value.__struct_fields__)
    return " ".join([type(value).__name__, *(field for field in fields if field)])


def _value(value: object) -> str:
    match value:
        case Ballot():
            return str(value)
        case Proposal(ballot, decree):
            return f"{ballot}={_value(decree)}"
        case Claim() | Decree():
            return f"{value.key}/{value.claim_id.decode(errors='replace').replace(' ', '-')}"
        case PeerIdentity():
            return f"{value.node}#{value.incarnation} disk {_value(value.disk_id)} {value.feed_end}"
        case Position():
            return f"{value.node}@{value.index}"
        case FeedEntry():
            return f"{value.index}:{value.key}"
        case ScanPage():
            keys = ",".join(key for key, _ in value.instances)
            return f"[{keys}]{'' if value.complete else '…'}"
        case _:
            return _plain(value)


def _plain(value: object) -> str:
    match value:
        case bytes():
            return value.hex()[:6]
        case tuple() | list():
            return f"[{','.join(map(_value, value))}]"
        case None | False:
            return "-"
        case True:
            return "yes"
        case int() if value >> TOKEN_BITS:
            return f"{value >> TOKEN_BITS}:{value & (1 << TOKEN_BITS) - 1}"
        case Struct():
            return f"({_named(value)})"
        case _:
            return str(value)
