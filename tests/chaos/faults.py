"""Faults of a cluster, and how they are undone.

Each fault is a frozen value, so a schedule can be printed and drawn again from its seed. Between
`begin` and `end` the load goes on. `end` starts every process again, but does not wait until the
cluster works.
"""

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import trio

from decreed.registry.errors import Exit

from .network import CLEAR, DEAD, REFUSED, Network, Weather
from .nodes import Nodes

Wires = tuple[tuple[str, str], ...]


class Quorum(Enum):
    """Whether a fault leaves a quorum; the value is the word in the table."""

    UP = "up"
    LOST = "lost"
    UNSAID = "?"


NO_MORE_BYTES = 0


@dataclass(frozen=True, slots=True)
class World:
    """The cluster that faults act on.

    Args:
        nodes: the processes.
        network: the wires between them.
        nursery: for tasks of a fault while it lasts.
    """

    nodes: Nodes
    network: Network
    nursery: trio.Nursery


class Fault(Protocol):
    """One fault."""

    @property
    def name(self) -> str:
        """The kind of fault, for the table."""
        ...

    @property
    def where(self) -> str:
        """The nodes or wires that it hits."""
        ...

    @property
    def quorum(self) -> Quorum:
        """Whether a quorum of nodes stays connected to each other and to the clients."""
        ...

    async def begin(self, world: World) -> None:
        """Begin the fault."""
        ...

    async def end(self, world: World) -> None:
        """Undo the fault."""
        ...


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL; at the end the nodes are started again.

    Args:
        name: the kind of fault.
        victims: the nodes.
        quorum: whether enough nodes are left.
    """

    name: str
    victims: tuple[str, ...]
    quorum: Quorum

    @property
    def where(self) -> str:
        return " ".join(self.victims)

    async def begin(self, world: World) -> None:
        world.nodes.kill(*self.victims)

    async def end(self, world: World) -> None:
        for node in self.victims:
            world.nodes.start(node)


@dataclass(frozen=True, slots=True)
class Restart:
    """SIGTERM, as for an upgrade; at the end the node is started again.

    Args:
        where: the node.
    """

    where: str
    name: str = "stop gracefully"
    quorum: Quorum = Quorum.UP

    async def begin(self, world: World) -> None:
        world.nodes.signal(self.where, signal.SIGTERM)
        code = await trio.to_thread.run_sync(world.nodes.ended, self.where)
        assert code == Exit.DONE, f"{self.where} ended with {code}"

    async def end(self, world: World) -> None:
        if self.where not in world.nodes.running:
            world.nodes.start(self.where)


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP: alive but silent; sockets and locks stay as they are.

    Args:
        name: the kind of fault.
        victims: the nodes.
        quorum: whether enough nodes go on.
    """

    name: str
    victims: tuple[str, ...]
    quorum: Quorum

    @property
    def where(self) -> str:
        return " ".join(self.victims)

    async def begin(self, world: World) -> None:
        for node in self.victims:
            world.nodes.signal(node, signal.SIGSTOP)

    async def end(self, world: World) -> None:
        for node in self.victims:
            world.nodes.resume(node)


@dataclass(frozen=True, slots=True)
class BadWires:
    """Weather on some wires.

    Args:
        name: the kind of fault.
        where: the wires, as text for people.
        wires: the wires.
        weather: what happens on them.
        quorum: whether enough nodes are still connected to each other.
        forgotten: whether, at the end, connections over these wires break and lose their bytes, as
            after the replacement of a router; otherwise the bytes arrive late.
    """

    name: str
    where: str
    wires: Wires
    weather: Weather
    quorum: Quorum
    forgotten: bool = False

    async def begin(self, world: World) -> None:
        for source, target in self.wires:
            world.network.wire(source, target).set(self.weather)

    async def end(self, world: World) -> None:
        for source, target in self.wires:
            wire = world.network.wire(source, target)
            if self.forgotten:
                wire.reset()
            wire.set(CLEAR)


@dataclass(frozen=True, slots=True)
class Flapping:
    """Wires that die and come back repeatedly.

    Args:
        where: the wires, as text for people.
        wires: the wires.
        period_s: how long each state lasts.
        scope: ends the flapping; made with the fault.
    """

    where: str
    wires: Wires
    period_s: float
    scope: trio.CancelScope
    name: str = "flapping link"
    quorum: Quorum = Quorum.UP

    async def begin(self, world: World) -> None:
        world.nursery.start_soon(self._flap, world.network)

    async def end(self, world: World) -> None:
        self.scope.cancel()
        self._set(world.network, CLEAR)

    async def _flap(self, network: Network) -> None:
        with self.scope:
            while True:
                for weather in (DEAD, CLEAR, REFUSED, CLEAR):
                    self._set(network, weather)
                    await trio.sleep(self.period_s)

    def _set(self, network: Network, weather: Weather) -> None:
        for wire in self.wires:
            network.wire(*wire).set(weather)


@dataclass(frozen=True, slots=True)
class FullDisk:
    """The disk of a node is full; at the end there is room again, and the node is restarted.

    Without a volume of its own the node gets a quota: its files may not grow.

    Args:
        where: the node.
    """

    where: str
    name: str = "full disk"
    quorum: Quorum = Quorum.UP

    async def begin(self, world: World) -> None:
        volume = world.nodes.volumes.get(self.where)
        if volume is not None:
            volume.fill()
        else:
            _allow_files(world.nodes.running[self.where].pid, NO_MORE_BYTES)

    async def end(self, world: World) -> None:
        volume = world.nodes.volumes.get(self.where)
        if volume is not None:
            volume.free()
        world.nodes.kill(self.where)
        world.nodes.start(self.where)


def _allow_files(process: int, bytes: int) -> None:
    import resource

    _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (bytes, hard))


@dataclass(frozen=True, slots=True)
class ClockJump:
    """The wall clocks of some nodes jump, each by another time; the monotonic clocks do not.

    Args:
        jumps: the nodes, and the offsets of their clocks in seconds.
    """

    jumps: tuple[tuple[str, int], ...]
    name: str = "clock jump"
    quorum: Quorum = Quorum.UP

    @property
    def where(self) -> str:
        return " ".join(f"{node}{seconds:+d}s" for node, seconds in self.jumps)

    async def begin(self, world: World) -> None:
        for node, seconds in self.jumps:
            world.nodes.clocks[node].jump(seconds)

    async def end(self, world: World) -> None:
        for node, _ in self.jumps:
            world.nodes.clocks[node].jump(0)


@dataclass(frozen=True, slots=True)
class Wipe:
    """A node loses its directory and is started on an empty one, which it must refuse.

    A wiped node stays out permanently, so at the end it gets its directory back: its promises are not
    lost, and it may take part again.

    Args:
        where: the node.
        noted: whether the note beside the config is still there; without it, the peers refuse the node.
    """

    where: str
    noted: bool
    name: str = "wiped directory"
    quorum: Quorum = Quorum.UP

    async def begin(self, world: World) -> None:
        world.nodes.kill(self.where)
        data = world.nodes.seen(self.where)
        data.rename(_aside(data))
        if not self.noted:
            Path(f"{world.nodes.config}.formed").unlink(missing_ok=True)
        world.nodes.start(self.where)
        code = await trio.to_thread.run_sync(world.nodes.ended, self.where)
        assert code == Exit.REFUSED, f"{self.where} was wiped and ended with {code}"

    async def end(self, world: World) -> None:
        data = world.nodes.seen(self.where)
        if _aside(data).exists():
            await trio.to_thread.run_sync(lambda: shutil.rmtree(data, ignore_errors=True))
            _aside(data).rename(data)
        if self.where not in world.nodes.running:
            world.nodes.start(self.where)


def _aside(data: Path) -> Path:
    return data.with_name(f"{data.name}.aside")


@dataclass(frozen=True, slots=True)
class Together:
    """Several faults at the same time; it does not tell whether there is a quorum.

    Args:
        faults: begun and ended in this order.
    """

    faults: Sequence[Fault]
    name: str = "two at once"
    quorum: Quorum = Quorum.UNSAID

    @property
    def where(self) -> str:
        return " + ".join(f"{fault.name} {fault.where}" for fault in self.faults)

    async def begin(self, world: World) -> None:
        for fault in self.faults:
            await fault.begin(world)

    async def end(self, world: World) -> None:
        for fault in self.faults:
            await fault.end(world)
