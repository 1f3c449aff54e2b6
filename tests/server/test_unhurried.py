"""What nobody waits for leaves with what somebody waits for, and by itself soon after."""

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from decreed.registry.paxos.messages import Accepted, CommitMany
from decreed.registry.replica.replica import Replica
from decreed.registry.server.links import Carrier, Links
from decreed.registry.server.outbox import Outbox
from decreed.registry.server.sockets import Sockets
from decreed.registry.server.timers import Timers
from decreed.registry.server.turns import TurnLoop
from decreed.registry.types import Ballot, Key, NodeId, Process
from decreed.registry.wire.codec import encode
from decreed.storage.memory import MemoryStorage

from ..support.world import World, config

PEER = NodeId("n2")
BALLOT = Ballot(0, Process(NodeId("n1"), 1))
COMMIT = CommitMany(BALLOT, (Key("a"), Key("b")))
ACCEPTED = Accepted(Key("c"), BALLOT)


class Wire:
    """Links with one peer, and what was sent to it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        nothing = cast(Any, None)
        node = cast(Any, SimpleNamespace(others=(PEER,)))
        self.links = Links(config(3), node, nothing, nothing, nothing, nothing)
        self.links._carriers[PEER] = Carrier(Outbox(1_000_000, self._send), trio.CancelScope())

    def _send(self, data: bytes) -> int:
        self.sent.append(data)
        return len(data)

    def deliver(self, message: CommitMany | Accepted) -> None:
        self.links.deliver(PEER, message, encode(message))


def test_a_commit_leaves_with_the_next_message_that_somebody_waits_for() -> None:
    wire = Wire()
    wire.deliver(COMMIT)
    assert wire.links.flush(), "something is left"
    assert not wire.sent
    wire.deliver(ACCEPTED)
    assert not wire.links.flush()
    (frame,) = wire.sent
    assert encode(COMMIT) in frame
    assert encode(ACCEPTED) in frame


def test_a_commit_waits_for_no_other_message_for_ever() -> None:
    wire = Wire()
    wire.deliver(COMMIT)
    assert wire.links.flush()
    wire.links.flush_all()
    assert encode(COMMIT) in wire.sent[0]
    assert not wire.links.flush()


@pytest.mark.trio
async def test_a_chore_is_done_in_its_time_though_nothing_happens() -> None:
    machine = World(config(1)).machines[NodeId("n1")]
    replica, storage = machine.replica, machine.storage
    assert isinstance(replica, Replica) and isinstance(storage, MemoryStorage)
    done = trio.Event()
    with Sockets() as sockets:
        loop = TurnLoop(
            replica, storage, Timers(random.Random(1)), lambda _: None, lambda _: None, sockets
        )
        began = trio.current_time()
        loop.later(2.0, done.set)
        loop.later(1.0, lambda: pytest.fail("there is one chore at a time"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            with trio.fail_after(30):
                await done.wait()
            nursery.cancel_scope.cancel()
    assert trio.current_time() - began >= 0.001
