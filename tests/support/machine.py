"""One machine of a world: a disk, and the node on it while it is up."""

from dataclasses import dataclass, field

from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.effects import Effects
from decreed.registry.replica.step.events import Event, Fired
from decreed.storage.memory import MemoryDisk, MemoryStorage


@dataclass(eq=False)
class Machine:
    """A node's disk, and its replica while it is up. A new life of the node is a new machine.

    Attributes:
        disk: what outlives the node.
        storage, replica: the node, None while it is down.
        inbox: what has happened to it and was not handled yet.
        timers: when they fire, in the time of the world.
        writing: the step whose records are at the disk just now.
        paused: it is stopped, as by SIGSTOP.
        stepped_ms: when its last step was; timers run from there, however long the disk takes.
    """

    disk: MemoryDisk
    storage: MemoryStorage | None = None
    replica: Replica | None = None
    inbox: list[Event] = field(default_factory=list)
    timers: list[tuple[float, int, Event]] = field(default_factory=list)
    writing: Effects | None = None
    paused: bool = False
    stepped_ms: float = 0.0

    def fire(self, event: Event) -> None:
        """A timer is due. As in the real loop, one whose reason is gone is dropped."""
        replica = self.replica
        if not isinstance(event, Fired) or replica is None or replica.counts(event.timer):
            self.inbox.append(event)
