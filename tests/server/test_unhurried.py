"""Messages that are not urgent leave with urgent ones; and other small duties of the loop."""

import socket
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from decreed.registry.locks.terms import term_key
from decreed.registry.paxos.messages import Accepted, Commit, CommitMany
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.server import inbox
from decreed.registry.server.deferrable import DEFERRABLE_MS
from decreed.registry.server.guests import OutboundLink
from decreed.registry.server.links import Links
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.outbox import Outbox
from decreed.registry.server.peer import Peer
from decreed.registry.server.sockets import Sockets
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.codec import encode
from decreed.registry.wire.peers import Ping
from decreed.registry.wire.requests import StatusRequest

from ..support.loops import SilentTimers, mocked_ms, parts
from ..support.world import claim, config

PEER = NodeId("n2")
BALLOT = Ballot(0, Process(NodeId("n1"), 1))
COMMIT = CommitMany(BALLOT, (Key("a"), Key("b")))
ACCEPTED = Accepted(Key("c"), BALLOT)


class Wire:
    """Links with one peer, and the messages that were sent to it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        nothing = cast(Any, None)
        node = cast(Any, SimpleNamespace(others=(PEER,)))
        self.links = Links(config(3), node, *[nothing] * 6)
        self.links._outbound_links[PEER] = OutboundLink(
            Outbox(1_000_000, self._send), trio.CancelScope(), bytes(16)
        )

    def _send(self, data: bytes | memoryview) -> int:
        self.sent.append(bytes(data))
        return len(data)

    def deliver(self, message: Commit | CommitMany | Accepted) -> None:
        self.links.deliver(PEER, message, encode(message))


def test_a_commit_leaves_with_the_next_urgent_message() -> None:
    wire = Wire()
    wire.deliver(COMMIT)
    assert wire.links.flush() == DEFERRABLE_MS[CommitMany], "it is left"
    assert not wire.sent
    wire.deliver(ACCEPTED)
    assert wire.links.flush() == inf
    (frame,) = wire.sent
    assert encode(COMMIT) in frame
    assert encode(ACCEPTED) in frame


def test_a_commit_waits_a_bounded_time_for_another_message() -> None:
    wire = Wire()
    wire.deliver(COMMIT)
    assert wire.links.flush() < inf
    wire.links.flush_all()
    assert encode(COMMIT) in wire.sent[0]
    assert wire.links.flush() == inf


def noting_peer(posted: list[object], heard: list[NodeId], wants_commits: set[NodeId]) -> Peer:
    """Takes the messages of the peer, and notes what it posts and when it hears the peer."""

    def post_of(*said: Any) -> None:
        posted.append(FromPeer(*said[:2]))

    loop = cast(Any, SimpleNamespace(post_of=post_of, has_room=True))
    liveness = cast(Any, SimpleNamespace(heard=heard.append, says_voting=lambda *_: None))
    return Peer(PEER, loop, liveness, wants_commits, {}, cast(Any, None))


def test_a_commit_leaves_immediately_to_a_peer_that_wants_commits() -> None:
    wire = Wire()
    peer = noting_peer([], [], wire.links._wants_commits)
    peer.take([Ping(0, True, wants_commits=True)])
    wire.deliver(COMMIT)
    assert wire.links.flush() == inf
    assert encode(COMMIT) in wire.sent[0]
    peer.take([Ping(0, True, wants_commits=False)])
    wire.deliver(COMMIT)
    assert wire.links.flush() < inf


def test_the_shortest_patience_counts() -> None:
    """A reader may ask another node for a single key; a batch is followed by the next one."""
    wire = Wire()
    wire.deliver(Commit(Key("c"), Decree.of(claim("c"), BALLOT, 0)))
    wire.deliver(COMMIT)
    assert wire.links.flush() == DEFERRABLE_MS[Commit] < DEFERRABLE_MS[CommitMany]


def test_the_commit_of_a_term_waits_longer_than_that_of_another_key() -> None:
    """The accept of the next term takes it along, once the lock is released."""
    wire = Wire()
    term = Decree(term_key("l", 3), b"v", "text/plain", "a", b"id", "", 0, BALLOT)
    wire.deliver(Commit(term.key, term))
    assert wire.links.flush() == DEFERRABLE_MS[CommitMany] > DEFERRABLE_MS[Commit]


def test_a_ping_without_news_costs_the_node_no_turn() -> None:
    """An idle node hears little else. What it says of the peer is heard each time."""
    posted: list[object] = []
    heard: list[NodeId] = []
    peer = noting_peer(posted, heard, set())
    news = [Ping(0, True, False), Ping(1, True, False), Ping(1, True, True), Ping(1, True, False)]
    for ping in news:
        peer.take([ping])
        peer.take([ping])
    assert posted == [FromPeer(PEER, ping) for ping in news]
    assert len(heard) == 2 * len(news)


def idle_loop(sockets: Sockets) -> NodeLoop:
    """A loop in which nothing happens."""
    replica, storage = parts()
    return NodeLoop(
        replica, storage, SilentTimers(), lambda _: None, lambda _: None, sockets, mocked_ms
    )


@pytest.mark.trio
async def test_a_chore_is_done_in_its_time_though_nothing_happens(
    autojump_clock: trio.testing.MockClock,
) -> None:
    done = trio.Event()
    with Sockets() as sockets:
        loop = idle_loop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            await trio.sleep(1)
            began = trio.current_time()
            loop.later(2.0, done.set)
            loop.later(3.0, lambda: pytest.fail("there is one chore at a time"))
            loop.post(FromClient(1, (StatusRequest(1),)))
            with trio.fail_after(60):
                await done.wait()
            nursery.cancel_scope.cancel()
    assert 0.002 <= trio.current_time() - began < 0.01


@pytest.mark.trio
async def test_a_chore_is_called_off_when_nothing_is_left_to_do(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What waited has left with something urgent; what waits next has its whole time again."""
    done = trio.Event()
    with Sockets() as sockets:
        loop = idle_loop(sockets)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.run)
            began = trio.current_time()
            loop.later(2.0, lambda: pytest.fail("it was called off"))
            loop.later(inf, done.set)
            await trio.sleep(1)
            assert not done.is_set()
            loop.later(5.0, done.set)
            loop.post(FromClient(1, (StatusRequest(1),)))
            await done.wait()
            nursery.cancel_scope.cancel()
    assert trio.current_time() - began >= 1.005


@pytest.mark.trio
async def test_a_wait_for_room_ends_when_a_turn_has_freed_it(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_WAITING", 0)
    with Sockets() as sockets:
        loop = idle_loop(sockets)
        loop.post(FromClient(1, (StatusRequest(1),)))
        assert not loop.has_room_for(1)
        went_on = trio.Event()

        async def waits() -> None:
            await loop.room(1)
            went_on.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            await trio.testing.wait_all_tasks_blocked()
            assert not went_on.is_set()
            nursery.start_soon(loop.run)
            with trio.fail_after(60):
                await went_on.wait()
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_socket_whose_connection_was_ended_by_the_reading_of_another_is_not_read() -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    reads: list[int] = []
    with Sockets() as sockets:
        async with trio.open_nursery() as nursery:
            scopes = [trio.CancelScope() for _ in pairs]

            async def watch(number: int) -> None:
                def read() -> bool:
                    reads.append(number)
                    scopes[1 - number].cancel()
                    return True

                with scopes[number]:
                    await sockets.watch(pairs[number][0].fileno(), read)

            for number in range(2):
                nursery.start_soon(watch, number)
            await trio.testing.wait_all_tasks_blocked()
            for _, other in pairs:
                other.send(b"x")
            sockets.read()
            assert len(reads) == 1
            nursery.cancel_scope.cancel()
    for pair in pairs:
        for one in pair:
            one.close()
