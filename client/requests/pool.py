"""The pool: all links, the members, and the order in which links are tried.

Knows nothing of requests. Members and bounds come from the welcomes. A member is reached by any link
that is known to lead to it, so that a client that can reach only proxies still works.
"""

import random
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...registry.errors import ConfigError, Refused
from ...registry.keys import homes
from ...registry.types import Key, NodeId
from ...registry.wire.handshake import ClientWelcome
from ..runtime.forks import FORKS
from ..runtime.runtime import Runtime
from ..transport.endpoints import Endpoint, parse_endpoint
from ..transport.link import Link
from ..transport.wakeup import Wakeup

if TYPE_CHECKING:
    from ..runtime.last_words import Tasks


class Pool:
    """All connections of one client.

    Args:
        seeds: the endpoints that the user gave.
        runtime: makes the links, and tells the time.
        on_welcome: called with each welcome of our cluster.

    Attributes:
        mixed: how the endpoints that the user gave contradict each other, as found by `compare`.
    """

    def __init__(
        self,
        seeds: Sequence[Endpoint],
        runtime: Runtime,
        on_welcome: Callable[[ClientWelcome], None],
    ) -> None:
        self.seeds = tuple(seeds)
        self.closed = False
        self.welcome: ClientWelcome | None = None
        self.addresses: dict[NodeId, Endpoint] = {}
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
    def up(self) -> list[Link]:
        """The open links; safe to call from any thread."""
        return [link for link in list(self._links.values()) if link.up]

    def link(self, endpoint: Endpoint) -> Link:
        """The one link to `endpoint`."""
        if endpoint not in self._links:
            self._links[endpoint] = self.runtime.link(endpoint, self._admit)
        return self._links[endpoint]

    def link_to(self, node: NodeId) -> Link:
        """The best link to member `node`: an open one that leads there, or its own address."""
        way = self._ways.get(node)
        if way is None or not way.up or self.avoided(way):
            known = [link for link in self._links.values() if _leads_to(link) == node]
            own = self.link(self.addresses[node])
            way = min([own, *known], key=lambda link: (not link.up, self.avoided(link)))
            self._ways[node] = way
        return way

    def home(self, key: Key | None) -> Link | None:
        """The first link of `route`, if it leads to the key's home; None to ask `route`.

        It nearly always does, and this avoids sorting.
        """
        if key is None or not self.addresses:
            return None
        link = self.link_to(homes(key, self.addresses)[0])
        return link if link.up and not self.avoided(link) else None

    def route(self, key: Key | None, prefer: NodeId | None = None) -> list[Link]:
        """All links in the order in which a request should try them.

        Args:
            key: the key that the request is for; its home comes first. None: any node will do.
            prefer: a node to put first, when no key is given.
        """
        nodes = homes(key, self.addresses) if key is not None else self._any_order(prefer)
        links = [self.link_to(node) for node in nodes] + [self.link(seed) for seed in self.seeds]
        return sorted(_once_per_node(links), key=self.avoided)

    def compare(self) -> None:
        """Note whether the seeds that have answered so far belong to different clusters.

        Called once, when the client begins: later on, an address may change its owner, and then only
        that link is refused.
        """
        ours = {
            welcome.formation: str(seed)
            for seed in self.seeds
            if (welcome := self.link(seed).welcome) and welcome.formation is not None
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
        try:
            addresses = {x.node: parse_endpoint(x.address) for x in welcome.members}
        except ConfigError as error:
            raise Refused(f"{endpoint} names a member without an address: {error}") from error
        self.welcome, self.addresses = welcome, addresses
        self._ways.clear()
        self._on_welcome(welcome)


def _leads_to(link: Link) -> NodeId | None:
    return link.welcome.node if link.welcome else None


def _once_per_node(links: Iterable[Link]) -> list[Link]:
    """`links` without repetitions, and without a second link to a connected node."""
    chosen: dict[object, Link] = {}
    for link in links:
        chosen.setdefault(_leads_to(link) if link.up else link.endpoint, link)
    return list(dict.fromkeys(chosen.values()))
