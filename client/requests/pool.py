"""The pool: all links, the members, and the order in which links are tried.

Knows nothing of requests. Members and bounds come from the welcomes. A member is reached by any link
that is known to lead to it, so that a client that can reach only proxies still works.

Of two welcomes the one of the later epoch counts: a node that was removed, or that slept, names members
of the past. Links to nodes that are no members any more, or of a formation that was left, are retired:
what waits there is asked of others, and then they are closed.
"""

import random
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ...registry.errors import ConfigError, Refused
from ...registry.keys import homes
from ...registry.types import Key, NodeId
from ...registry.wire.handshake import ClientWelcome, Member
from ..runtime.forks import FORKS
from ..runtime.runtime import Runtime
from ..transport.endpoints import Endpoint, parse_endpoint
from ..transport.link import Link
from ..transport.wakeup import Wakeup
from .formations import Formations
from .nearness import (
    DIAL_SECONDS,
    FEW_ROUND_TRIPS,
    LOOK_SECONDS,
    MEASURE_SECONDS,
    Nearness,
    in_order,
    is_near,
    is_worth_a_list,
)

if TYPE_CHECKING:
    from ..runtime.last_words import Tasks


class Pool:
    """All connections of one client.

    Args:
        seeds: the endpoints that the user gave.
        runtime: makes the links, and tells the time.
        on_welcome: called with each welcome of our cluster.
        prefers_nearest: whether to read from the node that answers fastest.

    Attributes:
        epoch: the epoch whose voters `addresses` has.
        observers: nodes without a vote, as far as they are known.
        mixed: how the endpoints that the user gave contradict each other, as found by `compare`.
    """

    def __init__(
        self,
        seeds: Sequence[Endpoint],
        runtime: Runtime,
        on_welcome: Callable[[ClientWelcome], None],
        *,
        prefers_nearest: bool = False,
        stays: bool = False,
    ) -> None:
        self._stays = stays
        self.epoch = 0
        self.observers: dict[NodeId, Endpoint] = {}
        self._nearness = Nearness() if prefers_nearest else None
        self._look_at = -inf
        self.seeds = tuple(seeds)
        self.closed = False
        self._formations = Formations()
        self.welcome: ClientWelcome | None = None
        self.addresses: dict[NodeId, Endpoint] = {}
        self._members: dict[NodeId, Member] = {}
        self.mixed = ""
        self._strangers: dict[Endpoint, str] = {}
        self.runtime = runtime
        self.now = runtime.now
        self._on_welcome = on_welcome
        self._links: dict[Endpoint, Link] = {}
        # the best link to each member when last looked for; used while it works
        self._ways: dict[NodeId, Link] = {}
        self._wakeups: set[Wakeup] = set()
        FORKS.share(self)
        # a random order of members for requests that any node can answer: it differs between clients,
        # so that the load is spread, also after many clients leave one node together
        self._ranks: dict[NodeId, float] = {}

    @property
    def tasks(self) -> "Tasks":
        """The tasks of the client, if it runs in an event loop."""
        return self.runtime.tasks

    @property
    def introduced(self) -> bool:
        """Whether a node has told us the members."""
        return self.welcome is not None

    @property
    def all_addresses(self) -> dict[NodeId, Endpoint]:
        """The members and the observers."""
        return {**self.addresses, **self.observers}

    @property
    def names(self) -> str:
        """The members and their epoch, for people to read."""
        return f"{', '.join(self.addresses)} of epoch {self.epoch}"

    @property
    def up(self) -> list[Link]:
        """The open links; safe to call from any thread."""
        return [link for link in list(self._links.values()) if link.up]

    def link(self, endpoint: Endpoint) -> Link:
        """The one link to `endpoint`."""
        if endpoint not in self._links:
            link = self._links[endpoint] = self.runtime.link(endpoint, self._admit)
            link.is_measured = self._nearness is not None
        return self._links[endpoint]

    def link_to(self, node: NodeId) -> Link:
        """The best link to `node`: an open one that leads there, or its own address."""
        way = self._ways.get(node)
        if way is None or not way.up or way.retired or self.avoided(way):
            known = [link for link in self._links.values() if _leads_to(link) == node]
            own = self.link(self.all_addresses[node])
            way = min([own, *known], key=lambda link: self._detour(link, node))
            self._ways[node] = way
        return way

    def _detour(self, link: Link, node: NodeId) -> tuple[bool, bool, bool]:
        """How little a link is preferred as the way to `node`."""
        # somebody else may have its old address by now, or its name in a formation that was left
        elsewhere = link.up and (_leads_to(link) != node or link.retired)
        return elsewhere or not link.up, self.avoided(link), elsewhere

    def first(self, key: Key | None, anywhere: bool) -> Link | None:
        """The first link of `route`, if it leads to the key's home; None to ask `route`.

        It nearly always does, and this avoids sorting.

        Args:
            key: the key that the request is for.
            anywhere: whether a node without a vote may know the answer.
        """
        if anywhere and self._nearness is not None:
            return None
        if key is None or not self.addresses:
            return None
        link = self.link_to(homes(key, self.addresses)[0])
        return link if link.up and not link.retired and not self.avoided(link) else None

    def route(
        self, key: Key | None, prefer: NodeId | None = None, *, anywhere: bool = False
    ) -> list[Link]:
        """All links in the order in which a request should try them.

        Args:
            key: the key that the request is for; its home comes first. None: any node will do.
            prefer: a node to put first, when no key is given.
            anywhere: whether a node without a vote may know the answer.
        """
        nodes = homes(key, self.addresses) if key is not None else self._any_order(prefer)
        links = [self.link_to(node) for node in nodes] + [self.link(seed) for seed in self.seeds]
        if self._nearness is not None and (anywhere or key is None):
            links = [*self._near(prefer, anywhere), *links]
        return sorted(_once_per_node(links), key=self.avoided)

    def place_of_watch(self, node: NodeId) -> NodeId:
        """Where a watch that stands at `node` should go on: elsewhere only if that is much nearer."""
        if self._nearness is None or node not in self.all_addresses:
            return node
        here, best = self.link_to(node), self._nearest()
        there = _leads_to(best) if best is not None else None
        if best is None or there is None or not is_worth_a_list(best, here):
            return node
        return there

    def may_observe(self, link: Link) -> bool:
        """Whether a link leads to an observer, and this client reads from the nearest node."""
        return self._nearness is not None and _leads_to(link) in self.observers

    def _near(self, prefer: NodeId | None, anywhere: bool) -> list[Link]:
        """The preferred node, then the nearest one, then the members whose nearness is known."""
        members = in_order(map(self.link_to, self.addresses))
        best = self._nearest() if anywhere else None
        kept = [self.link_to(prefer)] if prefer and prefer in self.all_addresses else []
        return [*kept, *([best] if best is not None else []), *members]

    def _nearest(self) -> Link | None:
        """The link to the nearest node; looks for nodes that are not linked now and then."""
        assert self._nearness is not None
        links = [self.link_to(node) for node in self.all_addresses]
        if (now := self.now()) >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look_around(links, now)
        return self._nearness.nearest(links)

    def look_for_nearest(self, began: float) -> bool:
        """Dial and measure all nodes; returns whether one that is not measured yet may be the nearest.

        Args:
            began: when they were dialled first. A node takes a few round trips to be measured.
        """
        links = [self.link_to(node) for node in self.all_addresses]
        self._look_around(links, self.now())
        best = min((link.round_trip for link in links if is_near(link)), default=inf)
        is_open = any(not is_near(link) and not self.avoided(link) for link in links)
        return is_open and self.now() - began < FEW_ROUND_TRIPS * best + DIAL_SECONDS

    def _look_around(self, links: Iterable[Link], now: float) -> None:
        """Dial nodes without a link, and measure again what was measured long ago; never waits."""
        for link in links:
            if link.up:
                if now >= link.measured_at + MEASURE_SECONDS:
                    link.measure()
            elif not (self.closed or link.running or self.avoided(link)):
                link.submit(lambda id: None, lambda in_flight, news: None, now)

    def compare(self) -> None:
        """Note whether the seeds that have answered so far belong to different clusters.

        Called once, when the client begins: later on, an address may change its owner, and then only
        that link is refused.
        """
        ours = {
            welcome.formation: str(seed)
            for seed in self.seeds
            if (welcome := self.link(seed).welcome) and welcome.formation is not None
            # of two that were restored at different times, the earlier one is refused as it comes
            if self.welcome is None or welcome.restored_ms == self.welcome.restored_ms
        }
        if self._strangers and self.welcome is not None:
            others = ", ".join(f"{end} to {name!r}" for end, name in self._strangers.items())
            self.mixed = (
                f"the endpoints belong to different clusters: {others}, others to "
                f"{self.welcome.cluster_id!r}; name those of one"
            )
        elif len(ours) > 1 and self.welcome is not None:
            self.mixed = (
                f"the endpoints {' and '.join(ours.values())} belong to clusters that have the same"
                f" id, {self.welcome.cluster_id!r}, but were formed apart; name those of one"
            )

    def has_left(self, welcome: ClientWelcome | None) -> bool:
        """Whether a node is of a formation that the client has left."""
        return self._formations.has_left(welcome)

    def nudge(self) -> None:
        """Connect to the seeds that are not avoided, to get a welcome; does not wait."""
        now = self.now()
        for link in map(self.link, self.seeds):
            if not (self.closed or link.running or self.avoided(link)):
                link.submit(lambda id: None, lambda in_flight, news: None, now)

    def push(self) -> None:
        """Have all links send what was submitted to them."""
        for link in self._links.values():
            link.push()

    @staticmethod
    def avoided(link: Link) -> bool:
        """Whether other links are preferred to `link` now."""
        return link.avoided

    @contextmanager
    def ringing(self, wakeup: Wakeup) -> Generator[None]:
        """Have `wakeup` rung when the pool is closed."""
        self._wakeups.add(wakeup)
        try:
            yield
        finally:
            self._wakeups.discard(wakeup)

    def close(self) -> None:
        """Send nothing more, and wake all waiting calls."""
        self.closed = True
        for wakeup in self._wakeups:
            wakeup.wake()
        self.runtime.close()

    def let_go(self) -> None:
        """In a forked process: give up all connections, which still belong to the parent."""
        self.closed = True
        for link in self._links.values():
            link.let_go()

    def _any_order(self, prefer: NodeId | None) -> list[NodeId]:
        def order(node: NodeId) -> tuple[bool, bool, float]:
            rank = self._ranks.setdefault(node, random.random())
            return node != prefer, not self.link_to(node).up, rank

        return sorted(self.addresses, key=order)

    def _admit(self, endpoint: Endpoint, welcome: ClientWelcome) -> None:
        if self.welcome is not None and welcome.cluster_id != self.welcome.cluster_id:
            if endpoint in self.seeds:
                self._strangers[endpoint] = welcome.cluster_id
            raise Refused(
                f"{endpoint} belongs to the cluster {welcome.cluster_id!r}, and the client to "
                f"{self.welcome.cluster_id!r}"
            )
        self._formations.take(endpoint, welcome)
        try:
            self._take(welcome)
        except ConfigError as error:
            raise Refused(f"{endpoint} names a member without an address: {error}") from error
        self._ways.clear()
        self._drop_links()
        self._on_welcome(welcome)

    def _take(self, welcome: ClientWelcome) -> None:
        """Take the members that a node names, unless it knows an earlier epoch than another one did.

        A node without a formation knows less than any that has one: it may be one that joins.

        Raises:
            ConfigError: if an address is none.
        """
        if self.welcome is not None and self.welcome.formation and not welcome.formation:
            return
        if self._stays:
            only = tuple(each for each in welcome.members if each.node == welcome.node)
            welcome = replace(welcome, members=only, observers=())
        is_ours = self.welcome is not None and self.welcome.formation in (None, welcome.formation)
        if not (is_ours and welcome.epoch < self.epoch):
            members = self._newest(welcome)
            addresses = {x.node: parse_endpoint(x.address) for x in members.values()}
            self._members, self.addresses, self.epoch = members, addresses, welcome.epoch
        told = {x.node: parse_endpoint(x.address) for x in welcome.observers}
        # an observer knows of no other one
        kept = {} if welcome.node in self.addresses else self.observers
        self.observers = {n: at for n, at in (kept | told).items() if n not in self.addresses}
        self.welcome = welcome

    def _newest(self, welcome: ClientWelcome) -> dict[NodeId, Member]:
        """The members that `welcome` names, each with the newest address that any node has told."""
        formation = self.welcome.formation if self.welcome is not None else None
        # another formation counts its incarnations from 1 again
        known = self._members if formation in (None, welcome.formation) else {}
        return {
            told.node: max(told, known.get(told.node, told), key=lambda member: member.incarnation)
            for told in welcome.members
        }

    def _drop_links(self) -> None:
        """Forget links to addresses that no longer count; an open one closes when it is idle.

        A member may be met at another address than its own, and stays linked there. A node that is no
        member may be at an address that the user gave, and is asked again if all others fail.
        """
        known = self.all_addresses
        wanted = {*self.seeds, *known.values()}
        for endpoint, link in [*self._links.items()]:
            if link.up and (_leads_to(link) not in known or self.has_left(link.welcome)):
                link.retire()
            elif endpoint not in wanted and not link.running:
                self.runtime.drop(self._links.pop(endpoint))


def _leads_to(link: Link) -> NodeId | None:
    return link.welcome.node if link.welcome else None


def _once_per_node(links: Iterable[Link]) -> list[Link]:
    """`links` without repetitions, and without a second link to a connected node."""
    chosen: dict[object, Link] = {}
    for link in links:
        chosen.setdefault(_leads_to(link) if link.up else link.endpoint, link)
    return list(dict.fromkeys(chosen.values()))
