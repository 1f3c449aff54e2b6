"""Node loops without events of their own, on a mocked clock."""

import random

import trio

from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.effects import SetTimer
from decreed.registry.server.timers import Timers
from decreed.registry.types import NodeId
from decreed.storage.memory import MemoryStorage

from .world import World, config


class SilentTimers(Timers):
    """Timers that never fire, so that nothing else wakes the loop."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))

    def set(self, now_ms: float, wanted: SetTimer) -> None:
        pass


def mocked_ms() -> float:
    """The time of the mocked clock."""
    return trio.current_time() * 1000


def parts(members: int = 1) -> tuple[Replica, MemoryStorage]:
    """The replica and the storage of one node of a cluster."""
    machine = World(config(members)).machines[NodeId("n1")]
    replica, storage = machine.replica, machine.storage
    assert isinstance(replica, Replica) and isinstance(storage, MemoryStorage)
    return replica, storage
