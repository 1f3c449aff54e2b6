"""A linked cluster whose nodes die at every point of a step, pause, and wait for their disks.

This module owns how the effects of one step are carried out with faults. The order is that of the real
loop. While the disk writes, the events of the next step gather. Timers are taken by the step that
handles them. A paused node finds all its events when it continues.
"""

import heapq
import math
from enum import Enum
from functools import partial

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import StorageFailed
from decreed.registry.replica.step.effects import DEFERRED_MS, Effects, Outgoing, Read, ReadFeed
from decreed.registry.replica.step.events import WriteFailed
from decreed.registry.types import NodeId
from decreed.storage.memory import MemoryDisk

from ..support.lookup import look_up
from ..support.machine import Machine
from .disks import Drive
from .link_faults import LinkedWorld
from .plan import Plan

FAILURES = {
    "a write to": "a write failed",
    "a sync of": "a sync failed",
    "no space left": "a disk was full",
}
LATE_READS = 0.05
LATE_READ_MS = 40.0


class Point(Enum):
    """Where in a step a node may die, in order; the value is the name of its count."""

    BEFORE_AT_ONCE = "died before its messages left"
    AMID_AT_ONCE = "died with some of its messages left"
    BEFORE_WRITE = "died before a write"
    AMID_WRITE = "died in a write"
    AFTER_WRITE = "died after a write"
    AMID_AFTER = "died with some of what waited for the write left"
    BEFORE_READS = "died before its reads"


class CrashingWorld(LinkedWorld):
    """A cluster in which a step may end at any point.

    Args:
        cluster: its configuration.
        plan: decides everything that is left to chance.

    Attributes:
        drives: the drive of each node.
        doomed: the next step that gets to this point may end there; None if no node is to die.
        defers: whether batches without a sync wait for the next one with it, as in a real node. A crash
            takes all of them then; otherwise it may take any number of the last.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self._luck = plan.chance("luck")
        self.doomed: Point | None = None
        self.drives: dict[NodeId, Drive] = {}
        self.late_reads = LATE_READS
        self.defers = plan.chance("defers").random() < 0.5
        self._writing_since_ms: dict[NodeId, float] = {}
        super().__init__(cluster, plan)

    def drive(self, node: NodeId) -> Drive:
        """The drive of a node."""
        drive = self.drives.get(node)
        if drive is None:
            drive = self.drives[node] = Drive(self.machines[node].disk, self._luck)
        return drive

    def insert(self, node: NodeId, disk: MemoryDisk) -> None:
        """Put another disk into a node that is down."""
        assert self.machines[node].replica is None
        self.machines[node] = Machine(disk)
        self.drive(node).disk = disk

    # -- pauses

    def pause(self, node: NodeId, ms: float) -> None:
        """Stop a node for `ms`, as by SIGSTOP; its events queue."""
        machine = self.machines[node]
        self.note(node, "pauses", f"for {ms:.0f} ms")
        self.event_counts.saw("a node paused")
        machine.paused = True
        self.at(self.now_ms + ms, partial(self.resume, node, machine))

    def resume(self, node: NodeId, machine: Machine) -> None:
        """Continue a paused node, unless it has died or continued meanwhile."""
        if self.machines[node] is machine and machine.paused:
            self.note(node, "resumes", "")
            machine.paused = False

    # -- death

    def crash(self, node: NodeId, silent: bool = False) -> None:
        """Kill a node. A batch that it was writing is on the disk as a whole or not at all."""
        if self.machines[node].writing is not None:
            self.event_counts.saw("was killed while the disk was busy")
            self._tear(node)
        if silent:
            self.event_counts.saw("died without anybody noticing")
        super().crash(node, silent)

    def _kill(self, node: NodeId) -> None:
        self.note(node, "dies", "")
        if self.machines[node].waiting:
            self.event_counts.saw("died with rows that waited for a synced batch")
        if self.drive(node).crash():
            self.event_counts.saw("a sync failed and was on the disk all the same")
        self.machines[node] = Machine(self.drive(node).disk)
        self.died(node)

    def _tear(self, node: NodeId) -> None:
        """The node dies during its write; the write may be on the disk or not."""
        effects = self.machines[node].writing
        there = self._luck.random() < 0.5
        if effects is not None and there:
            self._write(node, effects)
        self.event_counts.saw(f"died in a write that is {'' if there else 'not '}on the disk")

    def _dies(self, node: NodeId, point: Point) -> bool:
        if self.doomed is not point or self._luck.random() > 0.3:
            return False
        self.doomed = None
        if point is not Point.AMID_WRITE:
            self.event_counts.saw(point.value)
        self.note(node, "doom", point.value)
        return True

    # -- one step

    def _step(self, node: NodeId) -> None:
        machine = self.machines[node]
        while machine.timers and machine.timers[0][0] <= self.now_ms:
            machine.inbox.append(heapq.heappop(machine.timers)[2])
        super()._step(node)

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        """Carry effects out in the order that the contract of `Effects` demands."""
        self.machines[node].stepped_ms = self.now_ms
        self.alarms += effects.alarms
        if effects.at_once and not self._say(node, effects.at_once, Point.AMID_AT_ONCE):
            return
        if not effects.records and not effects.sync:
            self._speak_on(node, effects)
        elif self._dies(node, Point.BEFORE_WRITE):
            self.crash(node, self._luck.random() < 0.5)
        else:
            self._begin_write(node, effects)

    def _say(self, node: NodeId, outgoing: list[Outgoing], point: Point) -> bool:
        """Send messages; returns whether the node is still alive."""
        if point is Point.AMID_AT_ONCE and self._dies(node, Point.BEFORE_AT_ONCE):
            self.crash(node)
            return False
        if self._dies(node, point):
            self._deliver(node, outgoing[: self._luck.randint(0, len(outgoing))])
            self.crash(node)
            return False
        self._deliver(node, outgoing)
        return True

    def _begin_write(self, node: NodeId, effects: Effects) -> None:
        machine = self.machines[node]
        machine.writing = effects
        if self._dies(node, Point.AMID_WRITE):
            self.crash(node)
            return
        ms = self.drive(node).write_ms()
        if ms:
            self._writing_since_ms[node] = self.now_ms
            self._note_stall(node, ms)
            self.at(self.now_ms + ms, partial(self._end_write, node, machine))
        else:
            self._end_write(node, machine)

    def _note_stall(self, node: NodeId, ms: float) -> None:
        if self.drive(node).stalling:
            self.note(node, "stalls", f"for {ms:.0f} ms")
            self.event_counts.saw("a write stalled")

    def _end_write(self, node: NodeId, machine: Machine) -> None:
        """The write ends, unless the node has died; a paused node learns of it later."""
        effects = machine.writing
        if self.machines[node] is not machine or effects is None:
            return
        if machine.paused:
            self.at(self.now_ms + 20, partial(self._end_write, node, machine))
            return
        machine.writing = None
        durable = self._write(node, effects)
        if not durable:
            self._note_failure(node, machine)
        if self._dies(node, Point.AFTER_WRITE):
            self.crash(node)
        elif durable:
            self._speak_on(node, effects)
        else:
            self._finish(node, effects)

    def _write(self, node: NodeId, effects: Effects) -> bool:
        written = super()._write(node, effects)
        machine = self.machines[node]
        if not machine.waiting:
            machine.deferred_ms = math.inf
        elif machine.deferred_ms == math.inf:
            self._defer(node, machine)
        return written

    def _defer(self, node: NodeId, machine: Machine) -> None:
        machine.deferred_ms = self.now_ms + DEFERRED_MS
        self.at(machine.deferred_ms, partial(self._write_deferred, node, machine))

    def _write_deferred(self, node: NodeId, machine: Machine) -> None:
        """Write what no synced batch has taken; a node that is busy or paused does it later."""
        if self.machines[node] is not machine or self.now_ms != machine.deferred_ms:
            return
        if machine.writing is not None or machine.paused:
            self._defer(node, machine)
            return
        assert machine.storage is not None, "its rows wait"
        machine.deferred_ms = math.inf
        try:
            machine.storage.write_deferred()
        except StorageFailed as error:
            machine.inbox.insert(0, WriteFailed(str(error), ()))
            self._note_failure(node, machine)

    def _note_failure(self, node: NodeId, machine: Machine) -> None:
        event = machine.inbox[0]
        assert isinstance(event, WriteFailed)
        self.note(node, "fails", event.reason)
        for words, what in FAILURES.items():
            if words in event.reason:
                self.event_counts.saw(what)

    def _speak_on(self, node: NodeId, effects: Effects) -> None:
        """Send the messages that had to wait for the disk."""
        if not effects.after or self._say(node, effects.after, Point.AMID_AFTER):
            self._finish(node, effects)

    def _finish(self, node: NodeId, effects: Effects) -> None:
        if effects.reads and self._dies(node, Point.BEFORE_READS):
            self.crash(node)
        else:
            self._end_step(node, effects)

    def _end_step(self, node: NodeId, effects: Effects) -> None:
        """Delay some reads, while the node continues.

        Reads of the feed are never delayed, so that a watch which reads the feed in a circle is
        noticed: such a node never becomes quiet.
        """
        late = [
            read
            for read in effects.reads
            if not isinstance(read, ReadFeed) and self._luck.random() < self.late_reads
        ]
        machine = self.machines[node]
        for read in late:
            effects.reads.remove(read)
            due_ms = self.now_ms + self._luck.random() * LATE_READ_MS
            self.at(due_ms, partial(self._read_late, node, machine, read))
        super()._end_step(node, effects)

    def _read_late(self, node: NodeId, machine: Machine, read: Read) -> None:
        if self.machines[node] is machine and machine.storage is not None:
            self.post(node, look_up(machine.storage, read))

    # -- which nodes are awake

    def _has_work(self, machine: Machine) -> bool:
        if machine.paused or machine.writing is not None or machine.replica is None:
            return False
        timers = machine.timers
        return bool(machine.inbox) or bool(timers and timers[0][0] <= self.now_ms)

    def _next_timer_ms(self) -> float:
        next_ms = math.inf
        for machine in self.machines.values():
            if machine.timers and machine.writing is None and not machine.paused:
                next_ms = min(next_ms, machine.timers[0][0])
        return next_ms

    def _pings(self, node: NodeId) -> bool:
        since_ms = self._writing_since_ms.get(node)
        busy = since_ms is not None and self.machines[node].writing is not None
        long = busy and self.now_ms - (since_ms or 0.0) >= self._suspect_ms
        return not long and super()._pings(node)

    def is_idle(self, node: NodeId) -> bool:
        """Whether a node has handled everything that happened to it."""
        machine = self.machines[node]
        awake = machine.writing is None and not machine.paused
        return awake and not self._has_work(machine)
