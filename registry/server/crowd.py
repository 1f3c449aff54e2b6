"""The memory of all requests that wait at a node: bounded, and each caller has its share of it.

Every connection has a bound of its own on what it may have in flight. This one is of all together, so
that many connections cannot take what none of them could alone. Nobody is read less for it, since what
waits may wait for an hour: when there is too much, the newest requests of those callers are refused
that have more than their share, on those of their connections that have most (`shares`). Who has few
loses none.
"""

from collections.abc import Mapping
from math import ceil

from msgspec import Struct

from .shares import CallerOf, alone, fair

REQUEST_BYTES = 1_024
"""About what a request takes until it is answered, its key and other small texts included."""


class ClientShare(Struct, eq=False):
    """What one connection holds.

    Attributes:
        requests: how many of its requests are in flight.
        bytes: what those take.
        untaken: what those take that were read and are not in flight yet.
    """

    requests: int = 0
    bytes: int = 0
    untaken: int = 0

    @property
    def all(self) -> int:
        """All that is held for it, in bytes."""
        return self.bytes + self.untaken


class Crowd:
    """All requests of all connections.

    Args:
        max_bytes: what they may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held = 0

    def take(self, held: ClientShare, requests: int, further_bytes: int) -> None:
        """So many requests more, or fewer, are in flight, and take so much beyond the usual."""
        size = requests * REQUEST_BYTES + further_bytes
        held.requests += requests
        held.bytes += size
        self.held += size

    def leave_untaken(self, held: ClientShare, requests: int) -> None:
        """So many requests were read and are not in flight yet."""
        untaken = requests * REQUEST_BYTES
        self.held += untaken - held.untaken
        held.untaken = untaken

    def go(self, held: ClientShare) -> None:
        """The connection has ended."""
        self.held -= held.all
        held.requests = held.bytes = held.untaken = 0

    @property
    def is_over(self) -> bool:
        """Whether they take more than they may."""
        return self.held > self._max_bytes

    def refusals(
        self, holders: Mapping[int, ClientShare], caller_of: CallerOf = alone
    ) -> dict[int, int]:
        """How many of its newest requests each connection loses; `caller_of`: whose it is."""
        wanted = {number: held.all for number, held in holders.items() if held.all}
        given = fair(wanted, self._max_bytes, caller_of)
        lost = {number: wanted[number] - given[number] for number in wanted}
        return {
            n: _worth(holders[n], size) for n, size in lost.items() if size and holders[n].requests
        }


def _worth(held: ClientShare, size: int) -> int:
    """How many of its requests take `size` bytes together."""
    return min(held.requests, ceil(size * held.requests / held.bytes))
