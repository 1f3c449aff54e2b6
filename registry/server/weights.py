"""The bytes of values in a message, which the bounds on memory count.

The rest of a message is small and bounded by its types; it is counted by number, not by bytes.
"""

from collections.abc import Callable
from typing import Any

from ..paxos.messages import Accept, AcceptMany, Commit, Promise
from ..wire.peers import Fetched, PeerMessage, QueryAnswer, ScanAnswer
from ..wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    ListPage,
    Request,
    WatchPage,
)


def weight(message: PeerMessage | Request | Answer) -> int:
    """The bytes of all values in `message`."""
    weigh = _WEIGHTS.get(type(message))
    return weigh(message) if weigh is not None else 0


def _of_claim(message: ClaimRequest | ClaimNextRequest) -> int:
    return len(message.claim.value)


def _of_decree(message: Accept | Commit | Decreed) -> int:
    return len(message.decree.value)


def _of_promise(message: Promise) -> int:
    return len(message.accepted.decree.value) if message.accepted else 0


def _of_query(message: QueryAnswer) -> int:
    return len(message.learned.value) if message.learned else 0


def _of_scan(message: ScanAnswer) -> int:
    return sum(len(decree.value) for decree in message.learned)


def _of_many(message: AcceptMany | Fetched | ListPage | WatchPage) -> int:
    return sum(len(decree.value) for decree in message.decrees)


# looked up by type: this runs for every message, and most messages carry no value
_WEIGHTS: dict[type[object], Callable[[Any], int]] = {
    ClaimRequest: _of_claim,
    ClaimNextRequest: _of_claim,
    Accept: _of_decree,
    Commit: _of_decree,
    AcceptMany: _of_many,
    Decreed: _of_decree,
    Fetched: _of_many,
    Promise: _of_promise,
    QueryAnswer: _of_query,
    ScanAnswer: _of_scan,
    ListPage: _of_many,
    WatchPage: _of_many,
}
