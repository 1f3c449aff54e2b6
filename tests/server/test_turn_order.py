"""The order of a turn, on which durability depends: `at_once`, write, then `after`."""

import random
from collections.abc import Sequence

import pytest
import trio

from decreed.registry.disk import FormationRecord, Record
from decreed.registry.errors import StorageFailed
from decreed.registry.replica.step.effects import Effects, Outgoing, Reply
from decreed.registry.replica.step.events import FromClient, WriteFailed
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.sockets import Sockets
from decreed.registry.server.timers import Timers
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import StatusRequest, Undecided
from decreed.storage.memory import MemoryStorage

from ..support.world import World, config

RECORD = FormationRecord(b"f" * 16)
SOON, LATER = Reply(1, Undecided(1)), Reply(1, Undecided(2))


def turn_of(monkeypatch: pytest.MonkeyPatch, fails: bool) -> tuple[list[object], NodeLoop]:
    """The actions of one turn, in order, on a disk whose write succeeds or fails."""
    done: list[object] = []
    machine = World(config(1)).machines[NodeId("n1")]
    assert machine.storage is not None and machine.replica is not None

    def write(storage: MemoryStorage, records: Sequence[Record], *, sync: bool = True) -> None:
        done.append("write")
        if fails:
            raise StorageFailed("the disk is full")

    def deliver(outgoing: Sequence[Outgoing]) -> None:
        done.extend(outgoing)

    monkeypatch.setattr(MemoryStorage, "write", write)

    async def main(sockets: Sockets) -> NodeLoop:
        timers = Timers(random.Random(1))
        loop = NodeLoop(
            machine.replica,  # type: ignore[arg-type]
            machine.storage,  # type: ignore[arg-type]
            timers,
            deliver,
            done.append,
            sockets,
        )
        loop.post(FromClient(1, (StatusRequest(3),)))
        effects = Effects()
        effects.at_once.append(SOON)
        effects.records.append(RECORD)
        effects.after.append(LATER)
        effects.sync = True
        loop._carry_out(effects)
        return loop

    with Sockets() as sockets:
        return done, trio.run(main, sockets)


def test_R13_R14_messages_that_wait_for_the_disk_are_sent_after_the_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, loop = turn_of(monkeypatch, fails=False)
    assert done == [SOON, "write", RECORD.formation, LATER]
    assert not [event for event in loop._inbox.take() if isinstance(event, WriteFailed)]


def test_R13_R14_after_a_failed_write_no_message_is_sent_and_the_failure_is_handled_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, loop = turn_of(monkeypatch, fails=True)
    assert done == [SOON, "write"]
    assert isinstance(loop._inbox.take()[0], WriteFailed)
