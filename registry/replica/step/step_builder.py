"""The state of one step: the instances loaded for it, and the effects that it collects.

It keeps the rule that all else relies on (R13, R14): a message that says "I hold this" about a key
goes to `after` if the key's instance changed in this step, so that it leaves after the step's
records are durable. An instance that has not changed since it was loaded is durable already, or
holds a decree, which stays chosen whatever a crash takes. A message about it may leave at once.
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field

from ...audit import AuditRecord
from ...disk import (
    AcceptedBatch,
    FeedRecord,
    ForgetRecord,
    InstanceRecord,
    LearnedBatch,
    Record,
    WithheldRecord,
)
from ...paxos.instance import Instance
from ...paxos.messages import Accepted, Promise
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, Unserved, WithheldInstance
from ...wire.peers import FLOOR_DIGEST, PeerMessage
from .effects import Effects, Outgoing, Read, Send, SetTimer
from .events import Event, Moment, ResendRead, Timer

Pending = Mapping[str, Collection[object]]
"""What a part holds in memory for unfinished work, by kind."""


class StepBuilder(Struct, eq=False):
    """One step under construction.

    Attributes:
        moment: the step's clock reading.
        now_ms: monotonic time of the step.
        instances: those of all keys that the step's events need, with the changes of this step so
            far. Only `store` and `forget` change them.
        feed_start: where the node's feed ended when the step began. The step appends decrees and
            floors.
        learned: the decrees learned in this step, each with its index in the feed.
        counted: the keys for which this node itself counted an accept quorum in this step.
    """

    moment: Moment
    now_ms: float
    instances: dict[Key, Instance | Unserved]
    feed_start: int = 0
    learned: list[tuple[int, Decree]] = []
    counted: set[Key] = set()
    _dirty: dict[Key, Instance] = {}
    _batches: list[AcceptedBatch | LearnedBatch] = []
    _forgotten: set[Key] = set()
    _effects: Effects = field(default_factory=Effects)

    def store(self, key: Key, instance: Instance) -> None:
        """Replace the instance of `key`. From now on messages about it wait for the disk."""
        self.instances[key] = instance
        self._dirty[key] = instance

    def store_batch(self, batch: AcceptedBatch | LearnedBatch) -> None:
        """Replace the instances of many keys, as `store` does for one."""
        self.instances.update(batch.instances)
        self._dirty.update(batch.instances)
        self._batches.append(batch)

    def forget(self, gone: ForgottenInstance, entry: int) -> None:
        """Forget instances: on disk with this step's batch, for the rest of the step immediately.

        Entry `entry` of the feed tells the floor, in the same batch (M16). Votes that this step has
        given on the instances are withdrawn, since no batch records them (R13, R14).
        """
        after = self._effects.after
        after[:] = [item for item in after if not _is_vote(item, gone)]
        self.note(FeedRecord(entry, (gone.last,), FLOOR_DIGEST))
        self.record(ForgetRecord(gone.series, gone.floor, entry))
        for key, instance in list(self.instances.items()):
            if gone.covers(key) and not isinstance(instance, ForgottenInstance):
                self.instances[key] = gone
                self._dirty.pop(key, None)
                self._forgotten.add(key)

    def withhold(self, key: Key, withheld: WithheldInstance) -> None:
        """Be silent about `key`: on disk with this step's batch, for the rest of the step immediately.

        What this step has adopted for it is not written, since it would end the silence (M18).
        """
        self.instances[key] = withheld
        self._dirty.pop(key, None)
        self._forgotten.add(key)
        self.record(WithheldRecord(key, withheld.epoch, withheld.digest, withheld.in_feed))

    def record(self, record: Record) -> None:
        """Write a record other than an instance, and sync."""
        self._effects.records.append(record)
        self._effects.sync = True

    def note(self, record: Record) -> None:
        """Write a record without a sync: a crash may take it, with everything written later."""
        self._effects.records.append(record)

    def settle(self) -> None:
        """Make everything durable that was written without a sync so far."""
        self._effects.sync = True

    def learn(self, index: int, decrees: Iterable[Decree], digests: Mapping[Key, bytes]) -> None:
        """Append learned decrees to the feed, from entry `index` on, without a sync.

        They are chosen whatever this node remembers. What a crash takes is learned again, and no
        peer has been sent an entry that was not durable.
        """
        record = FeedRecord(index, tuple(digests), b"".join(digests.values()))
        self._effects.records.append(record)
        self.learned += enumerate(decrees, index)

    def send_when_durable(self, key: Key, outgoing: Outgoing) -> None:
        """Send a message about what this node durably holds for `key`."""
        changed = key in self._dirty or key in self._forgotten
        (self._effects.after if changed else self._effects.at_once).append(outgoing)

    def send_when_all_durable(self, keys: Collection[Key], outgoing: Outgoing) -> None:
        """Send a message about what this node durably holds for each of `keys`."""
        changed = not (self._dirty.keys().isdisjoint(keys) and self._forgotten.isdisjoint(keys))
        (self._effects.after if changed else self._effects.at_once).append(outgoing)

    def at_once(self, outgoing: Outgoing) -> None:
        """Send a message that no crash can make untrue."""
        self._effects.at_once.append(outgoing)

    def all_at_once(self, outgoing: Iterable[Outgoing]) -> None:
        """Send messages that no crash can make untrue."""
        self._effects.at_once += outgoing

    def after(self, outgoing: Outgoing) -> None:
        """Send a message after all of this step's records are durable."""
        self._effects.after.append(outgoing)

    def broadcast(self, nodes: Iterable[NodeId], message: PeerMessage) -> None:
        """Send a message that no crash can make untrue to several nodes."""
        self._effects.at_once += [Send(node, message) for node in nodes]

    def read(self, read: Read) -> None:
        """Read durable state, after this step's records are written."""
        self._effects.reads.append(read)

    def call_off(self, token: int) -> None:
        """Nobody waits for this read any more: if it has not begun, it need not be done."""
        self._effects.called_off.append(token)

    def timer(self, timer: Timer, delay_ms: float, spread_ms: float = 0.0) -> None:
        """Fire `timer` after `delay_ms` and a random part of `spread_ms`."""
        self._effects.timers.append(SetTimer(timer, delay_ms, spread_ms))

    def ask_again(self, token: int, delay_ms: float) -> None:
        """Ask question `token` again after this delay, unless it is closed by then (R02)."""
        self.timer(ResendRead(token), delay_ms, delay_ms / 4)

    def again(self, event: Event) -> None:
        """Handle `event` in the next step, with the instances that it needs."""
        self._effects.again.append(event)

    def notice(self, text: str) -> None:
        """Log a line for the operator."""
        self._effects.notices.append(text)

    def audit(self, record: AuditRecord) -> None:
        """Tell the audit log, before anything of this step is answered."""
        self._effects.audit.append(record)

    def alarm(self, text: str) -> None:
        """Log an alarm for the operator: a disk is corrupt or a rule was broken."""
        self._effects.alarms.append(text)

    def finish(self) -> Effects:
        """The step's effects. Each changed instance is in one record, with its last state."""
        records = self._effects.records
        together = self._take_whole() if self._batches else []
        changed = [InstanceRecord(key, instance) for key, instance in self._dirty.items()]
        records[:0] = [*together, *changed]
        self._effects.sync = self._effects.sync or bool(self._effects.after)
        return self._effects

    def _take_whole(self) -> list[Record]:
        """The batches none of whose keys has changed again in this step; the others are single keys."""
        whole: list[Record] = []
        for batch in self._batches:
            if batch.instances.items() <= self._dirty.items():
                whole.append(batch)
                for key in batch.instances:
                    del self._dirty[key]
        return whole


def _is_vote(item: Outgoing, gone: ForgottenInstance) -> bool:
    message = item.message if isinstance(item, Send) else None
    return isinstance(message, Promise | Accepted) and gone.covers(message.key)
