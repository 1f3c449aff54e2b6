"""A cluster whose nodes are linked as by the real server: they dial, check each other and listen.

Messages use links only, through a `Network` with faults. A link that is reset loses its messages, and
both ends notice. A claim that is passed on arrives once or not at all. Any other message may arrive
twice, and sometimes one that was lost with its link still arrives.
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import permutations

from decreed.registry.config import ClusterConfig
from decreed.registry.replica.step.effects import Outgoing, Reject, Reply, UseLink, Welcome
from decreed.registry.replica.step.events import FromPeer, Greeted, Moment, Reachable, Welcomed
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import DirectoryRefusal, Incarnation, PeerRecall, Refusal
from decreed.registry.wire.peers import PassedClaim, PeerMessage, Ping
from decreed.registry.wire.requests import Answer

from ..support.world import World, greeted, welcomed
from .clocks import Clock
from .event_counts import EventCounts
from .links import Link, Links
from .network import Arrive, Network, Pair
from .plan import Plan

Replied = Callable[[NodeId, Answer], None]
Died = Callable[[NodeId], None]

REDIAL_MS = (20.0, 1_000.0)
DIALLING_MS = 2_000.0
STRAYS = 0.3


class LinkedWorld(World):
    """A cluster with links.

    Args:
        cluster: its configuration.
        plan: decides everything that is left to chance.

    Attributes:
        network: delays and loses messages.
        links: all links.
        clocks: the clocks of each node.
        refused: why each node was refused by a peer that found its directory unsound.
        replied, died: called with answers to clients, and with nodes that die.
        event_counts: counts what happens.
        framed: all messages of a step to one node arrive together, as in one frame.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self.event_counts = EventCounts()
        self.links = Links()
        self.network = Network(plan.chance("network"))
        chance = plan.chance("clocks")
        self.clocks = {node: self.clock(chance) for node in cluster.nodes}
        self.refused: dict[NodeId, str] = {}
        self.replied: Replied = lambda *_: None
        self.died: Died = lambda _: None
        self._wires = plan.chance("wires")
        self.framed = False
        self._frames: dict[NodeId, list[FromPeer]] = {}
        self._looking = False
        self._suspect_ms = float(cluster.timing.suspect_ms)
        super().__init__(cluster, seed=plan.seed)

    def clock(self, chance: random.Random) -> Clock:
        """The clocks of a machine."""
        return Clock.drawn(chance)

    # -- starts and deaths

    def boot(self, node: NodeId, cluster: ClusterConfig | None = None) -> None:
        """Start a node on its disk, and let it and the others dial each other."""
        for other in self.machines:
            self._hang_up((other, node))  # a node that did not notice its death does so now
        self.clocks[node].started_ms = self.now_ms
        super().boot(node, cluster)
        if not self._looking:
            self._looking = True
            self._look()

    def crash(self, node: NodeId, silent: bool = False) -> None:
        """Kill a node; its disk keeps what was synced.

        Args:
            node: the node to kill.
            silent: no other node notices, as when its machine loses power.
        """
        self._kill(node)
        self.links.forget(node)
        for other in self.machines:
            self.links.let_go((node, other))
        if not silent:
            self._disconnect(node)

    def _connect(self, node: NodeId) -> None:
        for other in self.up():
            for pair in ((node, other), (other, node)):
                if other != node and self._wants(pair):
                    self._dial(pair)

    def _disconnect(self, node: NodeId) -> None:
        for other in self.up():
            self._hang_up((other, node))
            self.links.hear_no_more((other, node))
            self._say_news((other, node))

    # -- links

    def reset(self, pair: Pair) -> None:
        """Break a link; both ends notice."""
        if self._hang_up(pair):
            self.note(pair[0], "reset", f"link to {pair[1]}")
            self.event_counts.saw("a link was reset")

    def _hang_up(self, pair: Pair) -> bool:
        sender, receiver = pair
        self.links.redial_ms[pair] = self.now_ms + self._wires.uniform(*REDIAL_MS)
        if not self.links.close(pair):
            return False
        self._say_news(pair)
        self.links.hear_no_more((receiver, sender))
        self._say_news((receiver, sender))
        return True

    def _dial(self, pair: Pair) -> None:
        self._greet(self.links.dial(pair, self.now_ms))

    def _greet(self, link: Link, past: Incarnation | None = None) -> None:
        dialler, other = link.pair
        hello = self.replica(dialler).membership.hello(other, past)
        self._carry(link, link.pair, partial(self._hear, link, greeted(link.number, hello)))

    def _hear(self, link: Link, hello: Greeted) -> None:
        if not link.left:
            self.post(link.pair[1], hello)

    def _ask_past(self, node: NodeId, link: int, other: NodeId, recall: PeerRecall) -> None:
        asked = self.links.numbered(link)
        if asked.pair[0] == node:
            self._hang_up(asked.pair)
        else:
            self._carry(asked, (node, other), partial(self._show, asked, recall.incarnation))

    def _answer_dial(self, link: Link, event: Welcomed) -> None:
        """Answer the node that dialled, if it is still the incarnation that dialled."""
        if self.links.current.get(link.pair) is link:
            self.post(link.pair[0], event)

    def _show(self, link: Link, incarnation: int) -> None:
        """Let the node that dialled show a past incarnation, if it is still the one that dialled."""
        if self.links.current.get(link.pair) is link:
            past = self.replica(link.pair[0]).membership.past(incarnation)
            assert past is not None, f"{link.pair[0]} is asked for incarnation {incarnation}"
            self.event_counts.saw("a past life was shown")
            self._greet(link, past)

    def _carry(self, link: Link, pair: Pair, arrive: Arrive) -> None:
        """Send a frame or a part of a handshake on a link, which may be reset meanwhile."""
        for delay_ms in self.network.delays(repeats=False):
            self.at(self.now_ms + delay_ms, partial(self._arrive, link, pair, arrive, False))

    def _arrive(self, link: Link, pair: Pair, arrive: Arrive, strays: bool) -> None:
        if not link.open:
            self.event_counts.saw("a link was reset with messages on it")
            if not (strays and self._wires.random() < STRAYS):
                return
        if self.network.passes(pair):
            arrive()
        elif self.network.hold(pair, partial(self._arrive, link, pair, arrive, strays)):
            self.event_counts.saw("a cut held messages back")

    def mend(self, pairs: list[Pair] | None = None) -> None:
        """End cuts; messages that were held back arrive now."""
        for arrive in self.network.mend(pairs):
            arrive()

    # -- messages

    def _hand_over(self, node: NodeId, item: Outgoing) -> None:
        match item:
            case Welcome(number, other, message):
                link = self.links.numbered(number)
                event = welcomed(number, message)
                self._carry(link, (node, other), partial(self._answer_dial, link, event))
            case UseLink(number, _):
                link = self.links.numbered(number)
                link.used = link.open
            case Reject(number, other, refusal):
                self._reject(node, number, other, refusal)
            case Reply(_, answer) if (node, answer.id) not in self.answers:
                self.replied(node, answer)
            case _:
                super()._hand_over(node, item)

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        event = FromPeer(node, message)
        if node == to:
            self.post(to, event)
            return
        link = self.links.usable((node, to))
        if link is None:
            return
        once = isinstance(message, PassedClaim)
        delays = self.network.delays(not once)
        self._count(delays)
        if self.framed and delays:
            self._frames.setdefault(to, []).append(event)
            return
        arrive = partial(self._arrive, link, link.pair, partial(self.post, to, event), not once)
        for delay_ms in delays:
            if delay_ms:
                self.at(self.now_ms + delay_ms, arrive)
            else:
                arrive()

    def _deliver(self, node: NodeId, outgoing: list[Outgoing]) -> None:
        super()._deliver(node, outgoing)
        while self._frames:
            to, events = self._frames.popitem()
            link = self.links.usable((node, to))
            assert link is not None, "it was there just now"
            self._carry(link, link.pair, partial(self._post_all, to, events))

    def _post_all(self, node: NodeId, events: list[FromPeer]) -> None:
        for event in events:
            self.post(node, event)

    def _count(self, delays: list[float]) -> None:
        if not delays:
            self.event_counts.saw("messages were lost")
        elif len(delays) > 1:
            self.event_counts.saw("messages came twice")

    def _reject(
        self, node: NodeId, number: int, other: NodeId, refusal: Refusal | DirectoryRefusal
    ) -> None:
        link = self.links.numbered(number)
        if self.links.current.get(link.pair) is not link:
            return  # it was the link of an earlier incarnation
        self._hang_up(link.pair)
        if self.network.passes((node, other)) and self.machines[other].replica is not None:
            self.rejected.append((other, refusal.message))
            borne_out = self.replica(other).parts.bears_out
            if isinstance(refusal, DirectoryRefusal) and borne_out(refusal.evidence):
                self.at(self.now_ms, partial(self._exit, other, refusal.message))

    def _exit(self, node: NodeId, reason: str) -> None:
        """A peer refused the node's directory; the real process exits with the reason."""
        if self.machines[node].replica is not None:
            self.refused[node] = reason
            self.crash(node)

    # -- which nodes hear each other

    def _look(self) -> None:
        """Send pings, and let each node check which others it has heard."""
        self.at(self.now_ms + self._suspect_ms / 2, self._look)
        for pair in permutations(self.up(), 2):
            self._ping_on(pair)
        for pair in permutations(self.machines, 2):
            machine = self.machines[pair[0]]
            if machine.replica is not None and not machine.paused:
                self._say_news(pair)

    def _ping_on(self, pair: Pair) -> None:
        """Let the first of the pair ping the other, or dial it; only a change is sent."""
        sender, receiver = pair
        if not self._pings(sender):
            return
        link = self.links.current.get(pair)
        if not self._wants(pair):
            self._hang_up(pair)
        elif link is None:
            if self.now_ms >= self.links.redial_ms.get(pair, 0.0):
                self._dial(pair)
        elif not link.used:
            if self.now_ms - link.since_ms > DIALLING_MS:
                self._hang_up(pair)
        elif self.network.passes(pair) and self._wires.random() >= self.network.loss:
            node = self.replica(sender).node
            self.links.hear((receiver, sender), self.now_ms, node.voting)
            if link.pinged != (node.settled_feed_end, node.voting):
                link.pinged = (node.settled_feed_end, node.voting)
                self.post(receiver, FromPeer(sender, Ping(*link.pinged, wants_commits=False)))

    def _wants(self, pair: Pair) -> bool:
        """Whether the first of the pair keeps a link to the second; all do while no members change."""
        return True

    def _pings(self, node: NodeId) -> bool:
        """Whether a node is awake enough to send pings."""
        return not self.machines[node].paused

    def _say_news(self, pair: Pair) -> None:
        """Tell the first of the pair whether it can reach the other, if that has changed."""
        reachable = self.links.news(pair, self.now_ms - self._suspect_ms)
        if reachable is not None:
            self.post(pair[0], Reachable(pair[1], reachable))

    def suspect(self, pair: Pair, reachable: bool) -> None:
        """Let the first of the pair suspect the other or not, until its next check."""
        self.links.suspect(pair, reachable)
        self.post(pair[0], Reachable(pair[1], reachable))

    # -- clocks

    def moment_of(self, node: NodeId) -> Moment:
        """What the clocks of a node show."""
        return self._moment_of(node)

    def _moment_of(self, node: NodeId) -> Moment:
        return self.clocks[node].moment(self.now_ms)

    def _passes_in(self, node: NodeId, ms: float) -> float:
        return self.clocks[node].passes_in(ms)

    def _fire(self) -> None:
        """Timers are taken by the step that handles them, as in the real loop."""
