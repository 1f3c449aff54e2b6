"""Sending requests with a deadline, through the cache: all calls of the registry use this."""

import sys
from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import TypeVar

from ...registry.documents import shown
from ...registry.errors import Closed, ConfigError, DecreedError, ProtocolError, Unreachable
from ...registry.types import Claim, Decree, Key, NodeId
from ...registry.wire.marks import MarkTold
from ...registry.wire.requests import Decreed, ListPage, Undecided, WatchPage
from ...registry.wire.scrub import ScrubReport
from ...registry.wire.status import StatusReport
from ..caching.cache import Cache
from ..caching.uncached import Uncached
from ..runtime.forks import FORKS
from ..runtime.runtime import CLOSED, FORKED, Borrowed, ClientScope
from ..transport.endpoints import Endpoint
from ..transport.framing import check_value
from ..transport.link import Link
from ..transport.wakeup import Wakeup
from . import arguments
from .arguments import Seconds
from .attempt import NodeReply
from .doubts import Doubts
from .operations import (
    POLL_SECONDS,
    Operation,
    for_another,
    to_claim,
    to_claim_next,
    to_find_latest,
    to_get,
    to_list,
    to_meet,
    to_report,
    to_wait,
)
from .pool import Pool
from .results import Claimed, NodeDown, settled
from .settle import settle

# how long a read waits for a node to tell the formation, before the disk cache answers without it
MEET_SECONDS = 0.5
# a call fails if nothing listens at any endpoint for this long after the first call: long enough for a
# node that is starting, short enough to report a wrong address soon
ABSENT_SECONDS = 1.0
# how long the first call waits for the other endpoints, to check that all belong to one cluster
OTHERS_SECONDS = 0.2
# how long the first and the last look for the nearest node take; each takes twice as long as before
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.02, 0.16
SHOWN_SEEDS = 7
# a wait with less time left than this when its node says "undecided" is over
WAIT_SLACK_SECONDS = 0.1
# how long a node waits at least, so that it can ask a quorum
SHORTEST_WAIT_SECONDS = 0.1
# how long after the deadline of a wait its answer may still come: another node may have to give it
LATE_SECONDS = 0.5

R = TypeVar("R", StatusReport, ScrubReport, MarkTold)


def seeds_text(seeds: Sequence[Endpoint]) -> str:
    """The endpoints that a client was given, shortened if there are many."""
    shown_ones = ", ".join(map(str, seeds[:SHOWN_SEEDS]))
    more = len(seeds) - SHOWN_SEEDS
    return f"of {shown_ones} and {more} more" if more > 0 else f"of {shown_ones}"


class RequestSender:
    """Sends requests to the cluster, caches the decrees in its answers; raises `Closed` once closed.

    Args:
        pool: the connections.
        cache: the decrees that are held.
        timeout: seconds that a call may take unless it names its own timeout.
        lifetime: of the client.
        named: the identity that each request names, as a gateway does; empty for none.
    """

    def __init__(
        self, pool: Pool, cache: Cache, timeout: float, lifetime: ClientScope, named: str = ""
    ) -> None:
        self.lifetime, self._named = lifetime, named
        self._owner: RequestSender | None = None
        self.pool = pool
        self.cache = cache
        self._timeout = timeout
        self._doubts = Doubts(next_slot=False)
        self._doubts_of_next = Doubts(next_slot=True)
        self._met = False
        self._meeting = pool.runtime.lock()
        self._forks = FORKS.count

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if is_finalizing():
            # the modules that this needs may have been unloaded
            return
        # nothing of the client itself refers to this: only registries, watches and locks do
        seeds = ", ".join(map(str, self.pool.seeds))
        self.lifetime.forget(
            f"the client of {seeds} was not closed: use `async with connect(…)`, or await "
            "Registry.aclose()"
        )

    def acting_for(self, named: str) -> "RequestSender":
        """One whose requests name an identity; it ends with this one, and holds no decrees."""
        owner = self._owner or self
        cache = Uncached(owner.cache)
        view = RequestSender(owner.pool, cache, self._timeout, Borrowed(owner.lifetime), named)
        view._owner = owner
        return view

    async def settle(
        self, operations: Sequence[Operation], deadline: float
    ) -> list[NodeReply | DecreedError]:
        """Settle operations; see `settle.settle`. All requests of this client come through here."""
        if self._named:
            operations = [for_another(operation, self._named) for operation in operations]
        return await settle(self.pool, operations, deadline)

    def check_open(self) -> None:
        """Check that the client may be used.

        Raises:
            Closed: if it was closed, or belongs to the process that this one was forked from.
        """
        if self.lifetime.is_foreign:
            raise Closed(FORKED)
        if self.pool.closed:
            raise Closed(CLOSED)

    def check_open_here(self) -> None:
        """Check that the client may be used in the event loop that runs now.

        Raises:
            Closed: as for `check_open`, or if the client belongs to another event loop.
        """
        self.check_open()
        self.lifetime.check_open()

    def __str__(self) -> str:
        """The cluster of this client, and whether it is connected; may be called from any thread."""
        welcome = self.pool.welcome
        return "; ".join(
            [
                seeds_text(self.pool.seeds),
                *([f"cluster {shown(welcome.cluster_id)}"] if welcome else []),
                *(
                    [f"formation {welcome.formation.hex()}"]
                    if welcome and welcome.formation
                    else []
                ),
                self._state(),
            ]
        )

    def _state(self) -> str:
        if self.pool.closed:
            return "closed"
        if self.lifetime.is_foreign:
            return "of the process that this one was forked from"
        nodes = sorted({link.welcome.node for link in self.pool.up if link.welcome})
        return f"connected to {', '.join(nodes)}" if nodes else "not connected"

    def at_hand(self, key: str) -> Decree | None:
        """The decree of `key` if it is in memory and the client may be used.

        A read from memory does nothing else, so this skips all checks that it can: a key in memory
        was checked when it was first asked for. Returns None where `check_open` would raise an error.
        """
        if self.pool.closed or self._forks != FORKS.count or type(key) is not str:
            return None
        return self.cache.memory.get(key)

    def deadline(self, timeout: Seconds | None) -> float:
        """When a call that begins now must end, on the runtime's clock.

        Raises:
            Closed: if the client may not be used, or not in this event loop.
            BadRequest: if `timeout` is no length of time.
        """
        self.check_open_here()
        seconds = self._timeout if timeout is None else arguments.seconds("timeout", timeout)
        return self.pool.now() + seconds

    async def meet(self, deadline: float) -> None:
        """Return once a node has named the members, and all endpoints belong to one cluster.

        Raises:
            Unreachable: if no node does so before `deadline`; nothing was requested yet.
            ConfigError: if the endpoints belong to different clusters; nothing is ever requested then.
        """
        if not self._met:
            async with self._meeting:
                await self._meet_all(deadline)
        if self.pool.mixed:
            raise ConfigError(self.pool.mixed)

    async def find_nearest(self, deadline: float) -> None:
        """Measure all nodes that may be the nearest, so that the first read goes there already.

        For a client that ends after few requests. It waits for no node that is far or down.

        Raises:
            DecreedError: as `meet` does.
        """
        await self.meet(deadline)
        began, step = self.pool.now(), FIRST_LOOK_SECONDS
        while step <= LAST_LOOK_SECONDS and self.pool.look_for_nearest(began):
            # each look is longer, since an answer counts only in the look in which it was asked for
            await self.pool.runtime.listen(Wakeup(), min(deadline, self.pool.now() + step))
            step *= 2

    async def _meet_all(self, deadline: float) -> None:
        """Wait for the first endpoint that answers, and a little for the others."""
        if self._met:
            return
        if not self.pool.introduced:
            # a call without a deadline waits for nodes as long as it takes
            absent = ABSENT_SECONDS if deadline < inf else inf
            await self._one(to_meet(absent=absent), deadline)
        now = self.pool.now()
        # if little time is left, keep two thirds of it for the caller's own request
        soon = now + min(OTHERS_SECONDS, (deadline - now) / 3)
        links = [self.pool.link(seed) for seed in self.pool.seeds]
        await self.settle([to_meet(rounds=1, only=link) for link in links], soon)
        self.pool.compare()
        self._met = True

    async def ask(self, operation: Operation, deadline: float) -> NodeReply:
        """Settle one operation.

        Raises:
            DecreedError: the error that the operation ended with.
        """
        await self.meet(deadline)
        return await self._one(operation, deadline)

    async def claim_all(
        self, claims: Sequence[Claim], deadline: float
    ) -> list[Claimed | DecreedError]:
        """Settle claims independently; the results, in order, include errors."""
        operations = [to_claim(claim) for claim in claims]
        with self._doubts.unless_settled(claims):
            replies = await self._each(operations, deadline)
        results = [self._claimed(*pair) for pair in zip(claims, replies, strict=True)]
        return [self._doubts.judge(*pair) for pair in zip(claims, results, strict=True)]

    async def max_value_bytes(self, deadline: float) -> int:
        """The size of the largest value that the cluster takes, as the latest welcome says."""
        await self.meet(deadline)
        if self.pool.welcome is None:
            raise Unreachable("no node has told its limits")
        return self.pool.welcome.max_value_bytes

    def check_size(self, claim: Claim) -> None:
        """Check the size of the value, if a node has told the limit.

        Raises:
            BadRequest: if it is over the limit.
        """
        if self.pool.welcome is not None:
            check_value(claim.value, self.pool.welcome.max_value_bytes)

    def held(self, claim: Claim) -> Claimed | None:
        """The result of `claim` from the decrees in memory, if a node confirmed their formation.

        Raises:
            ClaimIdReused: if the decree has the claim's id but other content.
        """
        decree = self.cache.memory.get(claim.key) if self.cache.confirmed else None
        return settled(claim, decree) if decree is not None else None

    def decree(self, reply: NodeReply) -> Decree | None:
        """Cache and return the decree in an answer; None for undecided."""
        if isinstance(reply.answer, Undecided):
            return None
        if not isinstance(reply.answer, Decreed):
            raise ProtocolError(f"no decree: {type(reply.answer).__name__}")
        decree = reply.answer.decree
        self.cache.put(reply.welcome.formation, decree)
        return decree

    async def get(self, key: Key, deadline: float) -> Decree | None:
        """Read a key, from the cluster if it is not held."""
        found = await self._recall([key], deadline)
        if key in found:
            return found[key]
        return self.decree(await self.ask(to_get(key), deadline))

    async def get_all(self, keys: Sequence[Key], deadline: float) -> dict[Key, Decree | None]:
        """Read keys, from the cluster if they are not held.

        Raises:
            DecreedError: the first one, in the order of the keys.
        """
        found = await self._recall(keys, deadline)
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if not missing:
            return {key: found[key] for key in keys}
        await self.meet(deadline)
        replies = await self.settle([to_get(key) for key in missing], deadline)
        asked = {key: self._read(reply) for key, reply in zip(missing, replies, strict=True)}
        return {key: found[key] if key in found else asked[key] for key in keys}

    async def wait(self, key: Key, deadline: float) -> Decree | None:
        """Wait for a key; None if it is undecided at the deadline."""
        found = await self._recall([key], deadline)
        while key not in found:
            left = max(SHORTEST_WAIT_SECONDS, deadline - self.pool.now())
            operation = to_wait(key, min(left, POLL_SECONDS))
            decree = self._read(await self.ask(operation, deadline + LATE_SECONDS))
            if decree is not None:
                return decree
            if deadline - self.pool.now() < WAIT_SLACK_SECONDS:
                return None
        return found[key]

    async def claim_next(self, claim: Claim, deadline: float) -> Claimed:
        """Claim the next free slot from the one that the claim's key names.

        Raises:
            DecreedError: the error that the claim ended with.
        """
        with self._doubts_of_next.unless_settled([claim]):
            [reply] = await self._each([to_claim_next(claim)], deadline)
        result = self._doubts_of_next.judge(claim, self._claimed(claim, reply))
        if isinstance(result, DecreedError):
            raise result
        return result

    def first_slot(self, series: str, claim_id: bytes) -> Key | None:
        """The slot at which a claim of the next slot was first tried, if it is still in doubt."""
        return self._doubts_of_next.first_key(series, claim_id)

    async def latest(self, series: str, deadline: float) -> Decree | None:
        """The last decided slot of a series; None if no slot is decided."""
        return self.decree(await self.ask(to_find_latest(series), deadline))

    async def status(self, deadline: float) -> list[StatusReport | NodeDown]:
        """What each member says of itself."""
        return await self.ask_each(to_report, StatusReport, deadline)

    async def ask_each(
        self,
        operation: Callable[[Link], Operation],
        kind: type[R],
        deadline: float,
        only: Collection[NodeId] = (),
    ) -> list[R | NodeDown]:
        """Ask each member, or `only` some, what it alone can answer."""
        await self.meet(deadline)
        soon = min(deadline, self.pool.now() + MEET_SECONDS)
        # find out which members the endpoints lead to: the members' own addresses may be unreachable
        links = [self.pool.link(seed) for seed in self.pool.seeds]
        await self.settle([to_meet(rounds=1, only=link) for link in links], soon)
        nodes = [node for node in self.pool.all_addresses if not only or node in only]
        operations = [operation(self.pool.link_to(node)) for node in nodes]
        replies = await self.settle(operations, deadline)
        return [self._report(kind, *pair) for pair in zip(nodes, replies, strict=True)]

    async def page(self, prefix: str, after: str, limit: int, deadline: float) -> ListPage:
        """One page of the decrees under a prefix; they are cached."""
        reply = await self.ask(to_list(prefix, after, limit), deadline)
        if not isinstance(reply.answer, ListPage):
            raise ProtocolError(f"no page: {type(reply.answer).__name__}")
        self._keep(reply, reply.answer.decrees)
        return reply.answer

    async def news(self, operation: Operation, deadline: float = inf) -> WatchPage:
        """One page of a watch; its decrees are cached."""
        self.check_open_here()
        reply = await self.ask(operation, deadline)
        if not isinstance(reply.answer, WatchPage):
            raise ProtocolError(f"no page: {type(reply.answer).__name__}")
        self._keep(reply, reply.answer.decrees)
        return reply.answer

    async def _each(
        self, operations: Sequence[Operation], deadline: float
    ) -> Sequence[NodeReply | DecreedError]:
        """Settle operations independently; if no node could be met, all get that error."""
        try:
            await self.meet(deadline)
        except DecreedError as error:
            return [error] * len(operations)
        return await self.settle(operations, deadline)

    async def _one(self, operation: Operation, deadline: float) -> NodeReply:
        [result] = await self.settle([operation], deadline)
        if isinstance(result, DecreedError):
            raise result
        return result

    async def _recall(self, keys: Sequence[Key], deadline: float) -> dict[Key, Decree]:
        found = await self.cache.recall(keys)
        if not self.cache.on_disk or self.pool.introduced:
            return found
        if self.cache.formation is None:
            await self._meet_or_fall_back(deadline)
            found = await self.cache.recall(keys)
        else:
            self.pool.nudge()
        return found

    async def _meet_or_fall_back(self, deadline: float) -> None:
        soon = min(deadline, self.pool.now() + MEET_SECONDS)
        try:
            await self._one(to_meet(rounds=1), soon)
        except Unreachable:
            await self.cache.fall_back()

    def _read(self, reply: NodeReply | DecreedError) -> Decree | None:
        if isinstance(reply, DecreedError):
            raise reply
        return self.decree(reply)

    def _claimed(self, claim: Claim, reply: NodeReply | DecreedError) -> Claimed | DecreedError:
        try:
            decree = self._read(reply)
            return settled(claim, decree) if decree else ProtocolError("no decree in the answer")
        except DecreedError as error:
            return error

    def _report(self, kind: type[R], node: NodeId, reply: NodeReply | DecreedError) -> R | NodeDown:
        address = str(self.pool.all_addresses[node])
        if isinstance(reply, NodeReply) and isinstance(reply.answer, kind):
            if reply.answer.node == node:
                return reply.answer
            # somebody else has its address, and must not be counted twice
            reply = Unreachable(f"{reply.answer.node} answers at {address}, and not {node}")
        error = reply if isinstance(reply, DecreedError) else ProtocolError("no report")
        return NodeDown(node, address, error)

    def _keep(self, reply: NodeReply, decrees: Sequence[Decree]) -> None:
        for decree in decrees:
            self.cache.put(reply.welcome.formation, decree)
