"""Many large values at once: a proposal on its way is neither repeated nor preempted too early."""

from decreed.registry.config import MIB
from decreed.registry.keys import home
from decreed.registry.paxos.messages import Accept, Accepted, AcceptedMany, Commit, Prepare
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.leases import ForgottenTerms
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import ClaimRequest, Decreed

from ...support.forgetful import cut_off, cycle, forgetful, has_forgotten
from ...support.world import World, claim, stored

CLAIMS = 8
NODES = N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def slowly(sender: NodeId, to: NodeId, message: PeerMessage) -> tuple[float, ...]:
    """Accepts and their answers take longer than a resend and a finish would wait."""
    return (1_500.0,) if isinstance(message, Accept | Accepted) else (0.0,)


def sent_while_slow(value: bytes) -> list[PeerMessage]:
    """The messages between nodes while claims of `value` are decided slowly."""
    world = World()
    world.delays = slowly
    world.sent.clear()
    marks = [
        world.send("n1", ClaimRequest(world.new_id(), 60_000, True, claim(f"k{n}", value)))
        for n in range(CLAIMS)
    ]
    world.run(3_100)
    assert all(isinstance(answer, Decreed) for mark in marks for answer in world.answers[mark])
    return [message for sender, to, message in world.sent if sender != to]


def test_large_values_on_their_way_are_sent_once_and_finished_by_no_other_node() -> None:
    sent = sent_while_slow(bytes(MIB))
    assert sum(isinstance(message, Accept) for message in sent) == 2 * CLAIMS
    keys = [Key(f"k{n}") for n in range(CLAIMS)]
    elsewhere = [key for key in keys if home(key, NODES) != "n1"]  # the others need no phase 1
    assert sum(isinstance(message, Prepare) for message in sent) == 2 * len(elsewhere)


def test_small_values_are_repeated_as_soon_as_ever() -> None:
    sent = sent_while_slow(b"small")
    assert sum(isinstance(message, Accept) for message in sent) > 2 * 2 * CLAIMS


def test_the_bytes_on_their_way_leave_the_backlog_with_the_outcome() -> None:
    world = World()
    for number in range(CLAIMS):
        world.freeze("n1", f"k{number}", bytes(MIB))
    assert [world.replica(node).parts.acceptors.backlog_ms for node in world.up()] == [0.0] * 3


def test_the_bytes_of_a_postponed_key_leave_the_backlog_with_the_outcome() -> None:
    world = World()
    world.lose = lambda _, to, message: isinstance(message, Accepted | AcceptedMany | Commit)
    world.claim("n1", claim("k", bytes(MIB)), timeout_ms=8_000, here=True)
    acceptors = world.replica("n2").parts.acceptors
    assert acceptors.backlog_ms > 0
    assert any(sender == N2 and isinstance(m, Prepare) for sender, _, m in world.sent), "put off"
    world.lose = lambda *_: False
    world.run(10_000)
    assert stored(world, "n2", "k").learned is not None
    assert acceptors.backlog_ms == 0


def test_the_bytes_of_forgotten_terms_leave_the_backlog() -> None:
    world = forgetful()
    world.lose = cut_off(N3)
    cycle(world)
    acceptors = world.replica("n3").parts.acceptors
    assert acceptors.backlog_ms > 0
    world.post(N3, FromPeer(N1, ForgottenTerms("l", 10)))
    world.settle()
    assert has_forgotten(world, "n3", 1)
    assert acceptors.backlog_ms == 0
