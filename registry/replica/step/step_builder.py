"""The workspace of one step: the instances loaded for it, and the effects that it collects.

Keeps the one rule that everything else leans on: a message that says "I have it" about a key whose
instance changed in this step goes to `after`, behind the step's records. What has not changed since
it was loaded is durable already, or a decree, which is chosen whatever a crash takes; it may leave at
once.
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field

from ...disk import FeedRecord, ForgetRecord, ForgottenInstance, InstanceRecord, Record, Unserved
from ...paxos.instance import Instance
from ...paxos.messages import Accepted, Promise
from ...types import Decree, Key, NodeId
from ...wire.peers import PeerMessage
from .effects import Effects, Outgoing, Read, Send, SetTimer
from .events import Event, Moment, ResendRead, Timer

Pending = Mapping[str, Collection[object]]
"""What a part holds in memory for work that is not over, by kind."""


class StepBuilder(Struct, eq=False):
    """One step in the making.

    Attributes:
        moment: the step's clock reading.
        now_ms: monotonic time of the step.
        instances: those of all keys that the step's events need, with what it has done to them so far;
            only `store` and `forget` change them.
        learned: what the step has learned, each with its index in the feed.
    """

    moment: Moment
    now_ms: float
    instances: dict[Key, Instance | Unserved]
    learned: list[tuple[int, Decree]] = []
    _dirty: dict[Key, Instance] = {}
    _forgotten: set[Key] = set()
    _effects: Effects = field(default_factory=Effects)

    def store(self, key: Key, instance: Instance) -> None:
        """Replace the instance of `key`; all that is said of it from now on waits for the disk."""
        self.instances[key] = instance
        self._dirty[key] = instance

    def forget(self, gone: ForgottenInstance) -> None:
        """Forget instances: with this step's batch for good, and for the rest of the step at once.

        The votes that this step has given on them are in no batch, so they do not leave (R13, R14).
        """
        after = self._effects.after
        after[:] = [item for item in after if not _is_vote(item, gone)]
        self.record(ForgetRecord(gone.series, gone.floor))
        for key, instance in list(self.instances.items()):
            if gone.covers(key) and not isinstance(instance, ForgottenInstance):
                self.instances[key] = gone
                self._dirty.pop(key, None)
                self._forgotten.add(key)

    def record(self, record: Record) -> None:
        """Write something else than an instance, and sync it."""
        self._effects.records.append(record)
        self._effects.sync = True

    def note(self, record: Record) -> None:
        """Write something that may be lost in a crash, if nothing that was written later survives."""
        self._effects.records.append(record)

    def settle(self) -> None:
        """Make everything durable that was written without a sync so far."""
        self._effects.sync = True

    def learn(self, index: int, decrees: Iterable[Decree], digests: Mapping[Key, bytes]) -> None:
        """Append learned decrees to the feed, from entry `index` on.

        No sync is waited for: they are chosen, whatever this node remembers. What a crash takes is
        learned again, and no peer has been told of an entry that is not durable.
        """
        record = FeedRecord(index, tuple(digests), b"".join(digests.values()))
        self._effects.records.append(record)
        self.learned += enumerate(decrees, index)

    def send_when_durable(self, key: Key, outgoing: Outgoing) -> None:
        """Send something that says what this node durably holds for `key`."""
        changed = key in self._dirty or key in self._forgotten
        (self._effects.after if changed else self._effects.at_once).append(outgoing)

    def send_when_all_durable(self, keys: Collection[Key], outgoing: Outgoing) -> None:
        """Send something that says what this node durably holds for each of `keys`."""
        changed = any(key in self._dirty or key in self._forgotten for key in keys)
        (self._effects.after if changed else self._effects.at_once).append(outgoing)

    def at_once(self, outgoing: Outgoing) -> None:
        """Send something that no crash can make untrue."""
        self._effects.at_once.append(outgoing)

    def after(self, outgoing: Outgoing) -> None:
        """Send something when all of this step's records are durable."""
        self._effects.after.append(outgoing)

    def broadcast(self, nodes: Iterable[NodeId], message: PeerMessage) -> None:
        """Send a message that promises nothing to several nodes, at once."""
        self._effects.at_once += [Send(node, message) for node in nodes]

    def read(self, read: Read) -> None:
        """Look at durable state, after this step's records."""
        self._effects.reads.append(read)

    def call_off(self, token: int) -> None:
        """Nobody waits for this read any more: if it has not begun, it need not be done."""
        self._effects.called_off.append(token)

    def timer(self, timer: Timer, delay_ms: float, spread_ms: float = 0.0) -> None:
        """Be woken by `timer`."""
        self._effects.timers.append(SetTimer(timer, delay_ms, spread_ms))

    def ask_again(self, token: int, delay_ms: float) -> None:
        """Be woken when question `token` to peers should have been answered by then (R02)."""
        self.timer(ResendRead(token), delay_ms, delay_ms / 4)

    def again(self, event: Event) -> None:
        """Handle `event` in the next step, with the instances that it needs."""
        self._effects.again.append(event)

    def notice(self, text: str) -> None:
        """Tell the operator."""
        self._effects.notices.append(text)

    def alarm(self, text: str) -> None:
        """Tell the operator loudly: a disk is corrupt or a rule was broken."""
        self._effects.alarms.append(text)

    def finish(self) -> Effects:
        """The step's effects; each instance that changed is one record, as it is now."""
        changed = [InstanceRecord(key, instance) for key, instance in self._dirty.items()]
        self._effects.records[:0] = changed
        self._effects.sync = self._effects.sync or bool(self._effects.after)
        return self._effects


def _is_vote(item: Outgoing, gone: ForgottenInstance) -> bool:
    message = item.message if isinstance(item, Send) else None
    return isinstance(message, Promise | Accepted) and gone.covers(message.key)
