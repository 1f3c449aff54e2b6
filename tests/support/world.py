"""A whole cluster in one thread: replicas on in-memory disks, a network of queues, virtual time.

Everything happens in a fixed order, so a test that passes once always passes. The network delivers
at once by default; `lose` and `delays` decide for each message. The storms of `tests.simulation`
build a world with many more faults on this one.
"""

import heapq
import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, assert_never

from decreed.registry.audit import AuditRecord
from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.disk import Recovered
from decreed.registry.errors import StorageFailed
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.paxos.instance import Instance
from decreed.registry.replica.feed.watch_positions import feed_of
from decreed.registry.replica.replica import Replica
from decreed.registry.replica.requests.validation import named
from decreed.registry.replica.step.effects import (
    Announce,
    AskPast,
    Effects,
    Outgoing,
    PolicyObeyed,
    Reject,
    Reply,
    Send,
    UseLink,
    Welcome,
)
from decreed.registry.replica.step.events import (
    Event,
    Fired,
    FromClient,
    FromPeer,
    Greeted,
    Left,
    Moment,
    Reachable,
    Welcomed,
    WriteFailed,
)
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.handshake import Incarnation, PeerHello, PeerRecall, PeerWelcome
from decreed.registry.wire.peers import PeerMessage, Ping
from decreed.registry.wire.requests import Answer, ClaimRequest, Decreed, Position, Request
from decreed.storage.inline import MAX_INLINE
from decreed.storage.memory import MemoryDisk, open_memory

from .frames import in_frames
from .lookup import look_up
from .machine import Machine

CLUSTER_ID = "test-cluster"
EPOCH_MS = 1_700_000_000_000
Trace = Callable[[float, str, str, object], None]
"""Called with each event: the time, the node, the kind, and the event."""
Lose = Callable[[NodeId, NodeId, PeerMessage], bool]
Delays = Callable[[NodeId, NodeId, PeerMessage], Sequence[float]]
"""The delays of the copies of a message that is not lost; several delays repeat it."""
Action = Callable[[], None]


def config(size: int = 3, prepare: int = 0, accept: int = 0, **sections: Any) -> ClusterConfig:
    """A cluster of nodes n1, n2, … on ports without a listener."""
    members = {f"n{n}": f"127.0.0.1:{7400 + n}" for n in range(1, size + 1)}
    quorums = {"prepare": prepare, "accept": accept}
    agreed = {"cluster_id": CLUSTER_ID, "members": members, "quorums": quorums}
    return parse_config(agreed | sections)


def claim(key: str, value: bytes = b"v", claim_id: bytes = b"id") -> Claim:
    """A claim with defaults for the fields that tests do not care about."""
    return Claim(Key(key), value, "text/plain", "tester", claim_id)


class World:
    """A cluster.

    Args:
        cluster: its configuration.
        up: which nodes to boot; all by default.
        seed: of all random choices.

    Attributes:
        enforces: whether the nodes obey policies.
        speaker: whose requests `send` sends.
    """

    max_inline = MAX_INLINE
    defers = False
    enforces = False
    secured = True
    speaker: Identity = ANONYMOUS

    def __init__(
        self, cluster: ClusterConfig | None = None, up: list[str] | None = None, seed: int = 1
    ) -> None:
        self.config = cluster or config()
        self.now_ms = 0.0
        self.random = random.Random(seed)
        self.machines = {node: Machine(MemoryDisk(node)) for node in self.config.nodes}
        self.joiners: set[NodeId] = set()
        self.answers: dict[tuple[NodeId, int], list[Answer]] = {}
        self.alarms: list[str] = []
        self.audited: dict[NodeId, list[AuditRecord]] = defaultdict(list)
        self.rejected: list[tuple[NodeId, str]] = []
        self.sent: list[tuple[NodeId, NodeId, PeerMessage]] = []
        self.lose: Lose = lambda *_: False
        self.delays: Delays = lambda *_: (0.0,)
        self.trace: Trace | None = None
        self._agenda: list[tuple[float, int, Action]] = []
        self._ids = 0
        for node in self.config.nodes if up is None else up:
            self.boot(NodeId(node))
        self.run(100)

    # -- machines

    def boot(self, node: NodeId, cluster: ClusterConfig | None = None) -> None:
        """Start a node on its disk, and connect it with all nodes that are up."""
        self.note(node, "boots", "")
        machine = self.machines[node]
        machine.storage = open_memory(
            machine.disk,
            cluster or self.config,
            node,
            self.random.randbytes,
            self.max_inline,
            joins=node in self.joiners or node not in self.config.nodes,
            defers=self.defers,
        )
        found = machine.storage.recovered()
        machine.replica = self._replica(node, cluster or self.config, found)
        self._carry_out(node, machine.replica.start(self._moment_of(node)))
        if self.machines[node] is machine:  # it may have died in its first step
            self._connect(node)

    def _replica(self, node: NodeId, cluster: ClusterConfig, found: Recovered) -> Replica:
        """The replica of an incarnation of a node."""
        return Replica(cluster, found, enforces=self.enforces, secured=self.secured)

    def crash(self, node: NodeId) -> None:
        """Kill a node; its disk keeps what was synced."""
        self._kill(node)
        self._disconnect(node)

    def wipe(self, node: NodeId) -> None:
        """Kill a node and give it an empty disk."""
        self.crash(node)
        self.machines[node] = Machine(MemoryDisk(node))

    def up(self) -> list[NodeId]:
        """The nodes that run."""
        return [node for node, machine in self.machines.items() if machine.replica is not None]

    def replica(self, node: str) -> Replica:
        """A running node."""
        replica = self.machines[NodeId(node)].replica
        assert replica is not None, f"{node} is down"
        return replica

    def shake_hands(self, dialler: NodeId, other: NodeId, past: Incarnation | None = None) -> None:
        """`dialler` connects to `other`, which checks it and may ask for a past incarnation."""
        hello = self.replica(dialler).membership.hello(other, past)
        self.post(other, greeted(_link(dialler, other), hello))

    # -- the world

    def post(self, node: NodeId, event: Event) -> None:
        """Give an event to a node, if it is up."""
        if self.machines[node].replica is not None:
            self.machines[node].inbox.append(event)

    def run(self, ms: float) -> None:
        """Let virtual time pass."""
        end_ms = self.now_ms + ms
        while True:
            self.settle()
            fires_ms = self._next_timer_ms()
            due_ms = min(fires_ms, self._agenda[0][0] if self._agenda else math.inf)
            if due_ms > end_ms:
                break
            self.now_ms = max(self.now_ms, due_ms)
            self._act()
            if fires_ms == due_ms:
                self._fire()
        self.now_ms = end_ms

    def settle(self) -> None:
        """Handle everything that has arrived, and what follows from it, without any time passing."""
        for _ in range(100_000):
            rests = True
            for node, machine in self.machines.items():
                if self._has_work(machine):
                    rests = False
                    self._step(node)
            if rests:
                return
        raise AssertionError("the cluster never comes to rest")

    def at(self, ms: float, action: Action) -> None:
        """Do something at this time of the world; actions of one time run in the order of calls."""
        heapq.heappush(self._agenda, (ms, self.new_id(), action))

    def ask(self, node: str, request: Request, within_ms: float = 20_000) -> Answer:
        """Send a node a request and run until it answers."""
        mark = self.send(node, request)
        deadline = self.now_ms + within_ms
        while not (answers := self.answers[mark]):
            assert self.now_ms < deadline, f"{node} did not answer {request}"
            self.run(5)
        return answers[0]

    def send(self, node: str, request: Request) -> tuple[NodeId, int]:
        """Send a node a request; its answers appear in `answers` under the returned mark."""
        mark = (NodeId(node), request.id)
        self.answers[mark] = []
        self.post(NodeId(node), FromClient(1, (named(request),), self.speaker))
        return mark

    def claim(
        self, node: str, wanted: Claim, timeout_ms: int = 5_000, here: bool = False
    ) -> Answer:
        """Claim at a node and run until it answers."""
        return self.ask(node, ClaimRequest(self.new_id(), timeout_ms, here, wanted))

    def freeze(self, node: str, key: str, value: bytes = b"v") -> Decreed:
        """Claim a key with an id of its own, and assert that it was decreed."""
        answer = self.claim(node, claim(key, value, f"{node}/{key}/{self.new_id()}".encode()))
        assert isinstance(answer, Decreed), answer
        return answer

    def at_entry(self, node: str, index: int) -> Position:
        """The position of a watch at this entry of a node's feed."""
        return Position(NodeId(node), feed_of(self.replica(node).node.identity), index)

    def note(self, node: str, kind: str, what: object) -> None:
        """Add to the trace of this world, if there is one."""
        if self.trace is not None:
            self.trace(self.now_ms, node, kind, what)

    def new_id(self) -> int:
        """A new request id."""
        self._ids += 1
        return self._ids

    # -- one node

    def _step(self, node: NodeId) -> None:
        machine = self.machines[node]
        if machine.replica is None or machine.storage is None:
            machine.inbox.clear()
            return
        events, machine.inbox = in_frames(machine.inbox), []
        for event in events if self.trace is not None else ():
            self.note(node, "", event)
        needed = machine.replica.needs(events)
        instances = machine.storage.load(needed) if needed else {}
        self._carry_out(node, machine.replica.step(self._moment_of(node), events, instances))

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        """Carry out effects in the order that the contract of `Effects` demands."""
        self.machines[node].stepped_ms = self.now_ms
        self.alarms += effects.alarms
        self.audited[node] += effects.audit
        self._deliver(node, effects.at_once)
        if self._write(node, effects):
            self._deliver(node, effects.after)
        self._end_step(node, effects)

    def _write(self, node: NodeId, effects: Effects) -> bool:
        """Write the records, and sync them if need be; returns whether `after` may leave."""
        machine = self.machines[node]
        assert machine.storage is not None
        if effects.records or effects.sync:
            try:
                machine.storage.write(effects.records, sync=effects.sync)
            except StorageFailed as error:
                machine.inbox.insert(0, WriteFailed(str(error), effects.unanswered()))
                return False
        return True

    def _end_step(self, node: NodeId, effects: Effects) -> None:
        machine = self.machines[node]
        assert machine.storage is not None
        for read in effects.reads:
            self.post(node, look_up(machine.storage, read))
        for timer in effects.timers:
            delay_ms = timer.delay_ms + self.random.random() * timer.spread_ms
            due_ms = machine.stepped_ms + self._passes_in(node, delay_ms)
            heapq.heappush(machine.timers, (due_ms, self.new_id(), Fired(timer.timer)))
        machine.inbox += effects.again

    def _deliver(self, node: NodeId, outgoing: list[Outgoing]) -> None:
        for item in outgoing:
            self._hand_over(node, item)

    def _hand_over(self, node: NodeId, item: Outgoing) -> None:
        match item:
            case Send(to, message):
                self._transmit(node, to, message)
            case Reply(_, answer):
                self.answers.setdefault((node, answer.id), []).append(answer)
            case Welcome(link, other, message):
                self.post(other, welcomed(link, message))
            case UseLink(_, other):
                self.post(node, Reachable(other, True))
                self.post(other, Reachable(node, True))
            case Reject(_, other, refusal):
                self.rejected.append((other, refusal.message))
            case Announce():
                pass  # the world reaches nodes by name
            case PolicyObeyed():
                pass  # it has no connections that could be cut
            case AskPast(link, other, recall):
                self._ask_past(node, link, other, recall)
            case _:
                assert_never(item)

    def _ask_past(self, node: NodeId, link: int, other: NodeId, recall: PeerRecall) -> None:
        """The node that dialled shows the incarnation that it is asked for; the other dials again."""
        if link == _link(node, other):
            self.shake_hands(node, other)
        elif other in self.up():
            self.shake_hands(other, node, self.replica(other).membership.past(recall.incarnation))

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        self.sent.append((node, to, message))
        event = FromPeer(node, message)
        if node == to:
            self.post(to, event)
        elif not self.lose(node, to, message):
            for delay_ms in self.delays(node, to, message):
                if delay_ms > 0:
                    # to a later incarnation too, if there is one by then
                    self.at(self.now_ms + delay_ms, partial(self.post, to, event))
                else:
                    self.post(to, event)

    def _act(self) -> None:
        """Run the actions that are due."""
        while self._agenda and self._agenda[0][0] <= self.now_ms:
            heapq.heappop(self._agenda)[2]()

    def _fire(self) -> None:
        for node, machine in self.machines.items():
            while machine.timers and machine.timers[0][0] <= self.now_ms:
                machine.fire(heapq.heappop(machine.timers)[2])
            if machine.replica is not None:
                self._ping(node, machine.replica)

    def _next_timer_ms(self) -> float:
        return min((m.timers[0][0] for m in self.machines.values() if m.timers), default=math.inf)

    def _has_work(self, machine: Machine) -> bool:
        return bool(machine.inbox)

    def _kill(self, node: NodeId) -> None:
        self.note(node, "dies", "")
        disk = self.machines[node].disk
        disk.crash()
        self.machines[node] = Machine(disk)

    def _connect(self, node: NodeId) -> None:
        """Connect a node that is up and the others, in both directions."""
        for other in self.up():
            if other != node:
                self.shake_hands(node, other)
                self.shake_hands(other, node)

    def _disconnect(self, node: NodeId) -> None:
        """Tell the others that a node is down."""
        for other in self.up():
            self.post(other, Reachable(node, False))
            self.post(other, Left(_link(node, other), node))

    def _ping(self, node: NodeId, replica: Replica) -> None:
        ping = Ping(replica.node.feed_end, replica.node.voting, False)
        for other in self.up():
            if other != node and not self.lose(node, other, ping):
                self.post(other, FromPeer(node, ping))

    def moment(self) -> Moment:
        return Moment(self.now_ms, int(self.now_ms) + EPOCH_MS)

    def _moment_of(self, node: NodeId) -> Moment:
        """The readings of a node's own clocks."""
        return self.moment()

    def _passes_in(self, node: NodeId, ms: float) -> float:
        """The time that passes in the world while `ms` pass on the node's own clock."""
        return ms


def stored(world: World, node: str, key: str) -> Instance:
    """The instance of a key on a node's disk."""
    storage = world.machines[NodeId(node)].storage
    assert storage is not None, f"{node} is down"
    instance = storage.load([Key(key)])[Key(key)]
    assert isinstance(instance, Instance), instance
    return instance


def greeted(link: int, hello: PeerHello) -> Greeted:
    """The event of a node that is dialled with this greeting."""
    return Greeted(link, hello.identity, hello.recall, hello.past)


def welcomed(link: int, message: PeerWelcome) -> Welcomed:
    """The event of a node that has dialled and gets this welcome."""
    facts = (message.identity, message.past, message.signing_key, message.restoration)
    return Welcomed(link, *facts)


def _link(one: NodeId, other: NodeId) -> int:
    return int.from_bytes(f"{one}>{other}".encode(), "big")
