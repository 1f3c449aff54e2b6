"""The pool: all links, who the members are, and in which order links are tried.

Knows nothing of requests. Members and bounds are learned from the welcomes. A member is reached by
whichever link is known to lead to it, so that a client which can reach only proxies still works.
"""

import random
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..registry.errors import ConfigError, Refused
from ..registry.keys import homes
from ..registry.types import Key, NodeId
from ..registry.wire.handshake import ClientWelcome
from .bell import Bell
from .endpoints import Endpoint, parse_endpoint
from .forks import FORKS
from .link import Link
from .runtime import Runtime

if TYPE_CHECKING:
    from .last_words import Tasks


class Pool:
    """All connections of one client.

    Args:
        seeds: the endpoints that the user gave.
        runtime: makes the links, and knows the time.
        on_welcome: told of each welcome of our cluster.

    Attributes:
        mixed: how the endpoints that the user gave contradict each other, as `compare` found.
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
        # the best link to each member, as it was last found; good while it works
        self._ways: dict[NodeId, Link] = {}
        self._bells: set[Bell] = set()
        FORKS.share(self)
        # which members this client prefers where any will do: each client others, so that the load
        # is spread, also that of those who leave a node together
        self._ranks: dict[NodeId, float] = {}

    @property
    def tasks(self) -> "Tasks":
        """The tasks of the client, if it runs in an event loop."""
        return self.runtime.tasks

    @property
    def introduced(self) -> bool:
        """Whether a node has told us who the members are."""
        return self.welcome is not None

    @property
    def up(self) -> list[Link]:
        """The links that are open; safe to ask for from any thread."""
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
        """The first link of `route`, if it is that to the key's home; None to ask `route`.

        It nearly always is, and then there is nothing to sort.
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

        It is asked once, when the client begins: later on, an address may well change its owner,
        and then that link alone is refused.
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
        """Try to be welcomed by a seed that is not kept away from; wait for nothing."""
        now = self.now()
        for link in map(self.link, self.seeds):
            if not (self.closed or link.running or self.avoided(link)):
                link.submit(lambda id: None, lambda ticket, news: None, now)

    def push(self) -> None:
        """Have all links send what was submitted to them."""
        for link in self._links.values():
            link.push()

    @staticmethod
    def avoided(link: Link) -> bool:
        """Whether others are preferred to `link` at present."""
        return link.avoided

    @contextmanager
    def ringing(self, bell: Bell) -> Generator[None]:
        """Have `bell` rung when the pool is closed."""
        self._bells.add(bell)
        try:
            yield
        finally:
            self._bells.discard(bell)

    def close(self) -> None:
        """From now on nothing is sent; wakes everybody who waits."""
        self.closed = True
        for bell in self._bells:
            bell.ring()
        self.runtime.close()

    def let_go(self) -> None:
        """In a forked process: use none of the parent's connections, and hold none of them open."""
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
    """`links` without repetitions, and without a second way to a node that is connected."""
    chosen: dict[object, Link] = {}
    for link in links:
        chosen.setdefault(_leads_to(link) if link.up else link.endpoint, link)
    return list(dict.fromkeys(chosen.values()))
