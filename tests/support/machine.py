"""One machine of a world: a disk, and the node on it while that is up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import Event, Fired
from decreed.storage.deferred import DeferredWrites
from decreed.storage.memory import MemoryDisk, MemoryStorage


@dataclass(eq=False)
class Machine:
    """A node's disk, and its replica while it is up. A new incarnation of the node is a new machine.

    Attributes:
        disk: survives the node.
        storage, replica: the node; None while it is down.
        inbox: the events that are not handled yet.
        timers: the timers with their times, in the time of the world.
        writing: the step whose records are being written.
        paused: whether it is stopped, as by SIGSTOP.
        deferred_ms: when what waits for a synced batch is written without one.
        stepped_ms: when its last step was; timers run from there, however long the disk takes.
    """

    disk: MemoryDisk
    storage: MemoryStorage | None = None
    replica: Replica | None = None
    inbox: list[Event] = field(default_factory=list)
    timers: list[tuple[float, int, Event]] = field(default_factory=list)
    writing: Effects | None = None
    paused: bool = False
    deferred_ms: float = math.inf
    stepped_ms: float = 0.0

    @property
    def waiting(self) -> Mapping[bytes, bytes | None]:
        """The rows that the node has written and its disk has not been given."""
        data = self.storage._data if self.storage is not None else None
        return data.waiting if isinstance(data, DeferredWrites) else {}

    @property
    def unsynced(self) -> bool:
        """Whether a crash may take anything."""
        return bool(self.disk.unsynced or self.waiting)

    def fire(self, event: Event) -> None:
        """Fire a timer that is due. As in the real loop, a timer without a reason is dropped."""
        replica = self.replica
        if not isinstance(event, Fired) or replica is None or replica.counts(event.timer):
            self.inbox.append(event)
