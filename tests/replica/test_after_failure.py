"""A node whose disk failed proposes and promises nothing, and still serves what it has learned."""

from decreed.registry.paxos.messages import Accept, Accepted, Commit, Prepare, Promise
from decreed.registry.replica.step.disk_reads import ReadFailed
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import Query, QueryAnswer
from decreed.registry.wire.requests import ClaimRequest, Failed, GetRequest

from ..support.world import World, claim, stored

KEY = Key("k")
N1, N2 = NodeId("n1"), NodeId("n2")
HIGH = Ballot(50, Process(N2, 1))


def failed(world: World) -> None:
    """Make the disk of n1 fail, and let n1 notice; then clear the messages."""
    world.machines[N1].disk.fail_writes = 1_000_000
    world.claim(N1, claim("notice", claim_id=b"n"), timeout_ms=200, here=True)
    assert world.replica(N1).node.failed
    world.sent.clear()


def said(world: World, *kinds: type) -> list[object]:
    return [message for sender, _, message in world.sent if sender == N1 and type(message) in kinds]


def test_open_attempts_are_given_up() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    world.send(N1, ClaimRequest(world.new_id(), 60_000, True, claim(KEY)))
    world.settle()
    failed(world)
    world.lose = lambda sender, to, message: False
    world.run(10_000)
    assert not said(world, Prepare, Accept)
    assert stored(world, "n2", KEY).accepted is None


def test_new_claims_and_keys_in_doubt_begin_no_attempt() -> None:
    world = World()
    half = Decree.of(claim("half"), HIGH, 0)
    world.post(N1, FromPeer(N2, Accept(Key("half"), HIGH, half)))
    world.settle()
    failed(world)
    world.lose = lambda sender, to, message: True
    answer = world.claim(N1, claim("new"), timeout_ms=300, here=True)
    assert isinstance(answer, Failed)
    for key in ("half", "unheard of"):
        assert isinstance(world.ask(N1, GetRequest(world.new_id(), 300, Key(key))), Failed)
    world.run(10_000)
    assert not said(world, Prepare, Accept)


def test_a_promise_that_is_on_disk_is_not_repeated_either() -> None:
    world = World()
    world.post(N1, FromPeer(N2, Prepare(KEY, HIGH)))
    world.settle()
    failed(world)
    world.post(N1, FromPeer(N2, Prepare(KEY, HIGH)))
    world.post(N1, FromPeer(N2, Query(7, (KEY,))))
    world.settle()
    assert not said(world, Promise, Accepted, QueryAnswer)


def test_a_learned_decree_is_sent_to_proposers_and_readers() -> None:
    world = World()
    decree = world.freeze("n1", KEY).decree
    failed(world)
    world.post(N1, FromPeer(N2, Prepare(KEY, HIGH)))
    world.post(N1, FromPeer(N2, Query(7, (KEY,))))
    world.settle()
    assert said(world, Commit, QueryAnswer) == [Commit(KEY, decree)] * 2


def test_a_decree_that_cannot_be_stored_is_not_learned() -> None:
    world = World()
    failed(world)
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    event = FromPeer(N2, Commit(KEY, Decree.of(claim(KEY), HIGH, 0)))
    effects = replica.step(world.moment(), [event], storage.load(replica.needs([event])))
    assert not effects.records


def test_a_failed_read_raises_an_alarm() -> None:
    world = World()
    world.post(N1, ReadFailed(4711, "a record is damaged"))
    world.settle()
    assert world.alarms == ["a record is damaged"]
