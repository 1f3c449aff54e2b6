"""Callers: whose the connections of clients are, and what each caller may use of this node (S21).

A caller is an identity, over all its connections. Who has none is told apart by the address, and all
addresses of one network of IPv6 (a /64) are one caller, since one machine may have them all.

Limits of its own a caller has only by a policy. Without one it is bounded by what the node has for all:
connections, waiting requests and turns are shared among callers, so that who has few loses nothing to
who has many; and one caller's values take a quarter of what all values may take.

While several callers are active, each has at most `WINDOW` requests and `WINDOW_BYTES` of values in
work at a time; further ones wait in their connections. For all that a node has begun goes through the
same turns and batches and to the same disk: who comes while thousands of requests of somebody else are
in work would wait for all of them, however fairly they were taken. A caller that is alone has no such
bound.

Invariants kept here:

* a limit counts over all connections of a caller, and is asked before anything is held for a request;
* keys are charged when they are asked for, so a claim that fails, loses or is a repetition is charged;
* who leaves and comes again finds its use as it was: a caller is forgotten once its bucket is full.
"""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

import trio
from msgspec import Struct, field

from ..addresses import network_of
from ..config import Limits
from ..errors import Busy
from ..identity import Identity
from ..policy.document import ANYONE, Limit
from ..wire.gateways import ClientMessage, kind_of
from ..wire.requests import (
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPing,
    EndRequest,
    Failed,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    ListRequest,
    LockRequest,
    WaitRequest,
    WatchRequest,
)
from ..wire.scrub import ScrubRequest
from .budget import Budget

FAIR_PART = 4
"""The values of one caller may take one part in this many of what all may take."""
PAUSE_MS = 500
"""How long a connection is not read that asks for more than its caller may have in flight."""
_SECOND_MS = 1_000.0

WINDOW = 32
"""Enough for batches; a node works it off in some ten milliseconds."""
WINDOW_BYTES = 1 << 20
REST = 16.0
"""After a value of `WINDOW_BYTES` the next waits so many times as long as that one took.

All nodes write such a value, whichever node was asked. With this, three nodes that are asked by one
caller have two of its values in work at once for less than a hundredth of the time."""
ACTIVE_MS = 1_000
"""A caller is active that has asked for something in this time, or has something in work: who waits for
an answer asks for nothing more."""
LOOK_MS = 50
"""How often is looked who is active."""
STALLED_MS = 500
"""If a caller had no answer for so long, its requests may wait for something else than the node's work,
such as a quorum. Then another window of them may begin, and again after so long."""

KEYED = frozenset((ClaimRequest, ClaimNextRequest, LockRequest))
"""What freezes a key: a claim, a slot, or a term of a lock."""
UNUSUAL: Mapping[type[Any], int] = {
    **dict.fromkeys((WaitRequest, WatchRequest, LockRequest, HolderRequest), 0),
    **dict.fromkeys((ListRequest, ScrubRequest), 16),
}
"""How many requests' work it is, where it is not one. Some may wait for hours for somebody else, and
are no work meanwhile; a list reads up to a thousand keys at all nodes."""
EXEMPT = frozenset((Cancel, ClientPing, KeepAliveRequest, EndRequest, GiveUpRequest))
"""What ends or keeps something that has begun is never over a limit of requests in flight."""
OPEN = Limit()


class Caller(Struct, eq=False):
    """One caller.

    Attributes:
        name: for messages and the log.
        number: distinguishes it from all others of this process.
        budget: bounds the bytes of its large values.
        limit: what its policy allows it; `OPEN` without one.
        connections: how many are open.
        requests: how many of its requests are in flight.
        windows, stalled_ms: how many windows of work may be for it, and since when, without answers.
        bytes, since_ms: of the large values in work, and since when there are any.
        rests_until_ms: when the next large value may begin, while others are active.
        further: what their work is beyond that of as many usual requests.
        keys: how many keys it may ask for at the time `at_ms`.
        asked_ms, answered_ms: when it was last active, and had its last answer.
        freed: where is waited for less work.
    """

    name: str
    number: int
    budget: Budget
    limit: Limit = OPEN
    connections: int = 0
    requests: int = 0
    further: int = 0
    windows: int = 1
    stalled_ms: float = -inf
    bytes: int = 0
    since_ms: float = 0.0
    rests_until_ms: float = -inf
    asked_ms: float = -inf
    answered_ms: float = -inf
    freed: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)
    keys: float = 0.0
    at_ms: float = 0.0

    @property
    def work(self) -> int:
        """How much of the node's work is for it, as a number of usual requests."""
        return self.requests + self.further

    def is_active(self, now_ms: float) -> bool:
        """Whether it has asked for something lately, or waits for the node's work."""
        return self.work > 0 or now_ms - self.asked_ms < ACTIVE_MS

    def refill(self, now_ms: float) -> None:
        """Add the keys of the time that has passed: a second's worth at most."""
        rate = self.limit.keys_per_second
        if rate is not None:
            self.keys = min(rate, self.keys + rate * (now_ms - self.at_ms) / _SECOND_MS)
        self.at_ms = now_ms

    def bound(self, limit: Limit, max_bytes: int, now_ms: float) -> None:
        """Obey another limit from now on. What is held already stays."""
        self.refill(now_ms)
        if limit.keys_per_second != self.limit.keys_per_second:
            self.keys = float(limit.keys_per_second or 0)
        self.limit = limit
        self.budget.resize(max_bytes)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing would be lost if it were forgotten; its bucket was just refilled."""
        rate = self.limit.keys_per_second
        return not self.connections and (rate is None or self.keys >= rate)


class OverLimit(Struct, frozen=True):
    """Why a request is over a limit.

    Args:
        why: in words.
        wait_ms: when it is worth another try.
    """

    why: str
    wait_ms: int


class Callers:
    """All callers of a node.

    Args:
        limits: the bounds of the node.
        now_ms: the time.

    Attributes:
        now_ms: as given.
    """

    def __init__(
        self, limits: Limits, now_ms: Callable[[], float] = lambda: trio.current_time() * 1e3
    ) -> None:
        self._usual_bytes = max(
            limits.max_in_flight_bytes, limits.max_all_in_flight_bytes // FAIR_PART
        )
        self.now_ms = now_ms
        self._count = 0
        self._callers: dict[Identity | str, Caller] = {}
        self._limits: Mapping[str, Limit] = {}
        self._looked_ms = -inf
        self._share = False

    def __len__(self) -> int:
        """How many are known."""
        return len(self._callers)

    def obey(self, limits: Mapping[str, Limit]) -> None:
        """Obey the limits of a policy from now on; connections that are open stay open."""
        self._limits = limits
        for who, caller in self._callers.items():
            self._bind(who, caller)

    def enter(self, identity: Identity, host: str) -> Caller:
        """A connection has greeted: count it.

        Args:
            identity: who it is.
            host: its address, without a port.

        Raises:
            Busy: if its caller has as many as it may have.
        """
        caller = self._find(identity if identity.name else network_of(host))
        most = caller.limit.connections
        if most is not None and caller.connections >= most:
            raise Busy(
                f"{caller.name} has {caller.connections} connections to this node, and its limit by the"
                " policy is that many: close one, use one connection for many requests, or try again in"
                " a second"
            )
        caller.connections += 1
        return caller

    def leave(self, caller: Caller) -> None:
        """A connection has ended."""
        caller.connections -= 1

    def window(self, caller: Caller) -> int | None:
        """How much more work may be for it, now that it asks; None: as much as it likes."""
        now_ms = caller.asked_ms = self.now_ms()
        if not self._shares(now_ms):
            return None
        if not caller.work:
            caller.answered_ms = now_ms
        if caller.answered_ms >= caller.stalled_ms:
            caller.windows = 1
        if now_ms - max(caller.answered_ms, caller.stalled_ms) > STALLED_MS:
            caller.stalled_ms, caller.windows = now_ms, caller.windows + 1
        return max(0, caller.windows * WINDOW - caller.work)

    def has_room(self, caller: Caller, weight: int) -> bool:
        """Whether a large value of so many bytes may be in work too, while others are active."""
        if not weight or not self._share:
            return True
        held = caller.budget.held
        return held + weight <= WINDOW_BYTES if held else self.now_ms() >= caller.rests_until_ms

    def hold(self, caller: Caller, weight: int) -> None:
        """A large value is in work."""
        if not caller.budget.held:
            caller.since_ms, caller.bytes = self.now_ms(), 0
        caller.bytes += weight
        caller.budget.take(weight)

    def give_back(self, caller: Caller, weight: int) -> None:
        """A large value is not in work any more; after the last the caller's values rest for a while.

        So the disk and the links have time for others, in proportion to what these values took of it.
        """
        caller.budget.give_back(weight)
        if weight and not caller.budget.held:
            now_ms = self.now_ms()
            part = min(1.0, caller.bytes / WINDOW_BYTES)
            caller.rests_until_ms = now_ms + REST * part * (now_ms - caller.since_ms)

    async def turn(self, caller: Caller, weight: int) -> None:
        """Wait until less of its requests is in work, if others are active."""
        while self.window(caller) == 0 or not self.has_room(caller, weight):
            left_ms = STALLED_MS if caller.requests else caller.rests_until_ms - self.now_ms()
            with trio.move_on_after(min(max(left_ms, 1.0), STALLED_MS) / 1e3):
                await caller.freed.park()

    def _shares(self, now_ms: float) -> bool:
        """Whether several callers are active."""
        if now_ms >= self._looked_ms + LOOK_MS:
            self._looked_ms = now_ms
            active = [each for each in self._callers.values() if each.is_active(now_ms)]
            self._share = len(active) > 1
        return self._share

    def over(self, caller: Caller, requests: Iterable[ClientMessage]) -> dict[int, OverLimit]:
        """The requests that are over a limit, by their place; the keys of the others are charged.

        Args:
            caller: whose they are.
            requests: further requests; none of them is counted as in flight yet.
        """
        limit = caller.limit
        if limit.in_flight is None and limit.keys_per_second is None:
            return {}
        caller.refill(self.now_ms())
        refused: dict[int, OverLimit] = {}
        in_flight = caller.requests
        for place, request in enumerate(requests):
            kind = kind_of(request)
            if limit.in_flight is not None and kind not in EXEMPT:
                if in_flight >= limit.in_flight:
                    refused[place] = _too_many(caller, limit.in_flight)
                    continue
                in_flight += 1
            if limit.keys_per_second is not None and kind in KEYED:
                if caller.keys < 1:
                    refused[place] = _too_fast(caller, limit.keys_per_second)
                    in_flight -= limit.in_flight is not None
                    continue
                caller.keys -= 1
        return refused

    def _find(self, who: Identity | str) -> Caller:
        caller = self._callers.get(who)
        if caller is None:
            self._forget()
            self._count += 1
            name = str(who) if isinstance(who, Identity) else f"the anonymous caller at {who}"
            caller = self._callers[who] = Caller(name, self._count, Budget(self._usual_bytes))
            self._bind(who, caller)
        return caller

    def _bind(self, who: Identity | str, caller: Caller) -> None:
        name = str(who) if isinstance(who, Identity) else "anonymous"
        limit = self._limits.get(name) or self._limits.get(ANYONE) or OPEN
        size = self._usual_bytes if limit.bytes_in_flight is None else limit.bytes_in_flight
        caller.bound(limit, size, self.now_ms())

    def _forget(self) -> None:
        """Forget those who have gone and would come again as if they had never been here."""
        now_ms = self.now_ms()
        for who, caller in list(self._callers.items()):
            if not caller.connections:
                caller.refill(now_ms)
                if caller.is_at_rest:
                    del self._callers[who]


def failed(request: ClientMessage, refused: OverLimit) -> Failed:
    """The answer to a request that is over a limit."""
    return Failed(request.id, Busy.code, refused.why, refused.wait_ms)


def _too_many(caller: Caller, most: int) -> OverLimit:
    why = (
        f"{caller.name} has {most} requests in flight at this node, and its limit by the policy is that"
        " many: wait for answers, or watch a prefix instead of waiting for many keys"
    )
    return OverLimit(why, PAUSE_MS)


def _too_fast(caller: Caller, rate: int) -> OverLimit:
    left_ms = max(1, round((rate - caller.keys) / rate * _SECOND_MS))
    why = (
        f"{caller.name} may ask for {rate} keys a second at this node, by the policy: the next"
        f" {rate} can be asked for in {left_ms} ms"
    )
    return OverLimit(why, left_ms)
