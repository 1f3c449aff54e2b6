"""The node's loop (design 4): gather, read the clock once, step, write, then send.

During a write to the disk, the messages of the next turn gather in the sockets' buffers, and are read
from there when it begins (`Sockets`). So load makes batches larger, not turns longer.

The order in `_carry_out` is the durability argument: what a step put into `after` is sent only after
the synced write.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import trio

from ..audit import AuditRecord
from ..clock import now_ms
from ..counting import Histogram
from ..disk import FormationRecord, Storage, weight_of_learned
from ..errors import StorageFailed
from ..paxos.instance import Instance
from ..replica.patience import patience_ms
from ..replica.replica import Replica
from ..replica.step.effects import DEFERRED_MS, Effects, Outgoing, Send
from ..replica.step.events import (
    ClientGone,
    Event,
    Fired,
    FromClient,
    FromPeer,
    Moment,
    WriteFailed,
)
from ..types import Key, NodeId
from ..unserved import Unserved
from ..wire.peers import PeerMessage
from . import log
from .inbox import Inbox
from .reading import Readers
from .shares import one_by_one
from .sockets import Sockets
from .timers import Timers

OWN_PATIENCE_MS = 1.0
"""How long a node's messages to itself wait for messages from others, to share a turn with them.

Its own vote is hardly ever the last of a quorum, so a turn for it alone would be wasted."""
ALONE_MS = 5.0
"""For how long turns follow each other before other tasks run.

A time rather than a number: on a slow disk turns are long, and the task that suspects silent peers must
not wait long."""
MAX_LOADED_BYTES = 16 * 1024 * 1024
"""A turn loads about this much at most, plus the instances of one event."""
MAX_READS = 2_048
"""With this many reads under way at peers, further requests wait here, where each connection has its
share; at a peer they would wait in one queue."""
MIN_ASKED = 64
"""So many are taken in each turn all the same: the peers may be down."""
TOLERANCE_S = 0.000_5
"""How far the clock of timers and the clock of waiting may drift apart before the wait is set again."""


class Deliver(Protocol):
    """Passes a step's messages to their connections."""

    def __call__(self, outgoing: Sequence[Outgoing]) -> None: ...


class NodeLoop:
    """Drives one replica.

    Args:
        replica: the state machine.
        storage: its disk.
        timers: where its timers run.
        deliver: sends messages to peers and clients.
        on_formed: called with the formation id once it is durable.
        sockets: the connections that are read before each turn.
        clock_ms: a clock that also runs while the machine sleeps.

    Attributes:
        crowded: says before each step whose requests are too many; nobody's, unless it is set.
        audit: writes the records of a step to the audit log; nowhere, unless it is set.
        turns_ms, syncs_ms: how long turns took, and synced writes, in milliseconds.
    """

    def __init__(
        self,
        replica: Replica,
        storage: Storage,
        timers: Timers,
        deliver: Deliver,
        on_formed: Callable[[bytes], None],
        sockets: Sockets,
        clock_ms: Callable[[], float] = now_ms,
    ) -> None:
        self._clock_ms = clock_ms
        self._replica = replica
        self._storage = storage
        self._timers = timers
        self._deliver = deliver
        self._on_formed = on_formed
        self._sockets = sockets
        self._inbox = Inbox()
        self._own: list[Event] = []
        self._own_ms = self._patient_ms = math.inf
        self._idle = False
        self._others_ran_ms = -math.inf
        self._chore: Callable[[], None] = _nothing
        self._chore_ms = math.inf
        self._deferred_ms = math.inf
        self._alarm = trio.CancelScope()
        self._readers = Readers(storage, self.post, self._inbox.caller_of)
        self.crowded: Callable[[], Sequence[Event]] = tuple
        self.audit: Callable[[Sequence[AuditRecord]], None] = _drop
        self.turns_ms, self.syncs_ms = Histogram(), Histogram()
        self._started_ms = clock_ms()

    def now_ms(self) -> float:
        """Milliseconds since the node started, including the time that the machine slept."""
        return self._clock_ms() - self._started_ms

    def post(self, event: Event, weight: int = 0, caller: int | None = None) -> None:
        """Queue an event for the next turn. `weight`: the bytes of its values; `caller`: its sender."""
        self._inbox.put(event, weight, caller)
        if self._idle:
            self._sockets.wake()

    def post_of(self, sender: NodeId, message: PeerMessage, weight: int) -> None:
        """Queue a message of a peer: if nobody waits for it, for the next turn that others cause."""
        wait_ms = patience_ms(self._replica.parts, message)
        if not wait_ms:
            self.post(FromPeer(sender, message), weight)
            return
        self._inbox.put_patient(FromPeer(sender, message), weight)
        self._patient_ms = min(self._patient_ms, self.now_ms() + wait_ms)
        if self._idle:
            self._sockets.wake()

    def forget(self, clients: Collection[int], peers: Collection[NodeId]) -> None:
        """S36: drop what these have said and no step has seen, and end what the clients asked for."""
        self._inbox.drop(clients, peers)
        self._inbox.put_first(*map(ClientGone, clients))

    def later(self, delay_ms: float, chore: Callable[[], None]) -> None:
        """Call `chore` after `delay_ms`, unless it is to be called before: there is only one kind.

        After an infinite delay it is not called, and what was to be called before is not either.
        """
        due_ms = self.now_ms() + delay_ms
        if due_ms < self._chore_ms or due_ms == math.inf:
            self._chore, self._chore_ms = chore, due_ms

    @property
    def waiting(self) -> dict[str, int]:
        """How many messages wait for a turn, by line; for metrics."""
        return self._inbox.waiting

    @property
    def has_room(self) -> bool:
        """Whether the inbox is short enough to take more from a peer."""
        return self._inbox.has_room

    def has_room_for(self, connection: int) -> bool:
        """Whether the inbox takes more from a client."""
        return self._inbox.has_room_for(connection)

    async def room(self, connection: int | None = None) -> None:
        """Wait until the inbox has room, for a client if one is named."""
        await self._inbox.room(connection)

    async def run(self) -> None:
        """Run turns until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._readers.run)
            self._carry_out(self._replica.start(self._moment()))
            while True:
                events = await self._gather()
                began_ms = self.now_ms()
                if events and (self._inbox.took_many or self._inbox.has_bulk):
                    self._measured_turn(events)
                else:
                    self._turn(events)
                self.turns_ms.note(self.now_ms() - began_ms)

    def _measured_turn(self, events: list[Event]) -> None:
        """A turn whose time or processor time counts for the next ones."""
        began_ms, began_s = self.now_ms(), time.thread_time()
        self._turn(events)
        self._inbox.turn_used((time.thread_time() - began_s) * 1e3)
        if self._inbox.took_many:
            self._inbox.turn_took(self.now_ms() - began_ms)

    async def _gather(self) -> list[Event]:
        """Wait until there is something to do, and take it."""
        await self._let_others_run()
        self._sockets.read()
        if not self._inbox and not self._is_due(min(self._own_ms, self._patient_ms)):
            return []  # nothing calls for a turn, but perhaps a timer or a chore
        bulk: list[Event] = []
        if self._inbox.has_bulk:
            patient = self._replica.node.voting
            bulk = self._inbox.take_bulk(self.now_ms(), busy=bool(self._own), patient=patient)
            if bulk and patient:
                return bulk
        own, self._own = self._own, []
        self._own_ms = self._patient_ms = math.inf
        most_asked = max(MIN_ASKED, MAX_READS - self._replica.reads_under_way)
        return self._inbox.take(most_asked) + own + bulk

    def _is_due(self, due_ms: float) -> bool:
        return due_ms < math.inf and self.now_ms() >= due_ms

    async def _let_others_run(self) -> None:
        """Sleep if idle. Under load, yield at most every `ALONE_MS`: a checkpoint is expensive."""
        if not self._inbox and not self._sockets.look():
            await self._rest()
        elif self.now_ms() - self._others_ran_ms < ALONE_MS:
            return
        else:
            await trio.lowlevel.checkpoint()
        self._others_ran_ms = self.now_ms()

    async def _rest(self) -> None:
        """Wait for bytes in the sockets, for a `post`, or for the next timer."""
        due_ms = min(
            self._timers.next_ms,
            *(self._chore_ms, self._own_ms, self._patient_ms, self._deferred_ms),
        )
        due_s = trio.current_time() + (due_ms - self.now_ms()) / 1000
        if not abs(due_s - self._alarm.deadline) < TOLERANCE_S:
            self._alarm.deadline = due_s
        self._idle = True
        try:
            await self._sockets.wait()
        finally:
            self._idle = False

    async def _keep_time(self) -> None:
        """Ring when the next timer is due. One scope serves many turns: making one is expensive."""
        while True:
            with self._alarm:
                await trio.sleep_forever()
            # made here rather than when the wait begins: a deadline may be set before this task runs
            self._alarm = trio.CancelScope()
            self._sockets.wake()

    def _turn(self, events: list[Event]) -> None:
        now_ms = self.now_ms()
        if now_ms >= self._chore_ms:
            self._chore_ms = math.inf
            self._chore()
        if now_ms >= self._deferred_ms:
            self._write_deferred()
        events += map(Fired, self._timers.due(now_ms))
        if not events:
            return
        events, instances = self._load(events)
        events += self.crowded()
        # the clock is read after the last event arrived, never before (design 4)
        effects = self._replica.step(self._moment(), events, instances)
        self._carry_out(effects)

    def _load(self, events: list[Event]) -> tuple[list[Event], Mapping[Key, Instance | Unserved]]:
        """The events of this turn, and the instances that they need; other events are put back.

        Gets of a few bytes may read megabytes, so events that load too much are put back.
        """
        keys = self._replica.needs(events)
        instances = self._storage.load(keys, MAX_LOADED_BYTES)
        if len(instances) == len(keys):
            return events, instances
        del instances
        now, later = self._affordable(events)
        self._inbox.put_first(*later)
        return now, self._storage.load(self._replica.needs(now))

    def _affordable(self, events: list[Event]) -> tuple[list[Event], list[Event]]:
        """Events for this turn, at least one, and events for the next ones. Timers do not wait."""
        timers = [event for event in events if type(event) is Fired]
        kept = [event for event in events if type(event) is not Fired]
        others = one_by_one(kept, self._inbox.caller_of)
        size = 0
        for at, event in enumerate(others):
            if size > MAX_LOADED_BYTES:
                return others[:at] + timers, others[at:]
            loaded = self._storage.load(self._replica.needs([event]))
            size += weight_of_learned(loaded.values())
        return others + timers, []

    def _carry_out(self, effects: Effects) -> None:
        """See `Effects` for the order; it is the contract."""
        # timers run from the step that set them: a slow disk must not put deadlines off
        now_ms = self.now_ms() if effects.timers else 0.0
        if effects.notices or effects.alarms:
            self._say(effects)
        for event in effects.again:
            if type(event) is FromClient:
                self.post(event)  # first, since a message may say whose requests are to be dropped
        if effects.audit:
            self.audit(effects.audit)
        if effects.at_once:
            self._send(effects.at_once)
        if self._write(effects) and effects.after:
            self._send(effects.after)
        for read in effects.reads:
            self._readers.add(read)
        for token in effects.called_off:
            self._readers.call_off(token)
        for timer in effects.timers:
            self._timers.set(now_ms, timer)
        for event in effects.again:
            if type(event) is not FromClient:
                self.post(event)

    def _write(self, effects: Effects) -> bool:
        """Write the records, and sync them if needed; returns whether `after` may be sent.

        Not in a thread: before the sync only reading could go on, and the sockets' buffers take what
        arrives; messages of `at_once` have left already. Going to a thread and back costs more CPU
        time than the whole write.
        """
        if not effects.records and not effects.sync:
            return True
        began_ms = self.now_ms()
        try:
            self._storage.write(effects.records, sync=effects.sync)
            if effects.sync:
                self.syncs_ms.note(self.now_ms() - began_ms)
        except StorageFailed as error:
            self._inbox.put_first(WriteFailed(str(error), effects.unanswered()))
            return False
        if effects.sync:
            self._deferred_ms = math.inf
        elif self._deferred_ms == math.inf:
            self._deferred_ms = self.now_ms() + DEFERRED_MS
        for record in effects.records:
            if isinstance(record, FormationRecord):
                self._on_formed(record.formation)
        return True

    def _write_deferred(self) -> None:
        """Write what has waited for a synced batch for long enough; none has come meanwhile."""
        self._deferred_ms = math.inf
        try:
            self._storage.write_deferred()
        except StorageFailed as error:
            self._inbox.put_first(WriteFailed(str(error), ()))

    def _send(self, outgoing: list[Outgoing]) -> None:
        """Send messages: those of the node to itself become events, others go to the connections."""
        name = self._replica.node.name
        others: list[Outgoing] = []
        for item in outgoing:
            if type(item) is Send and item.to == name:
                self._say_to_itself(FromPeer(name, item.message))
            else:
                others.append(item)
        if others:
            self._deliver(others)

    def _say_to_itself(self, said: FromPeer) -> None:
        """Queue a message to itself; it starts a turn immediately only in a single-node cluster."""
        if not self._replica.node.others:
            self.post(said)
            return
        if not self._own:
            self._own_ms = self.now_ms() + OWN_PATIENCE_MS
        self._own.append(said)

    def _say(self, effects: Effects) -> None:
        for text in effects.notices:
            log.info(text)
        for text in effects.alarms:
            log.alarm(text)

    def _moment(self) -> Moment:
        return Moment(self.now_ms(), time.time_ns() // 1_000_000)


def _nothing() -> None:
    """The chore when none is set."""


def _drop(records: Sequence[AuditRecord]) -> None:
    """The audit log when there is none."""
