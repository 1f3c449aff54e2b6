"""A coordinator's attempts: pauses, timers, requests that end, and damaged or disputed instances."""

from collections.abc import Sequence

import pytest

from decreed.registry.locks.leases import Leases
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Nack, Prepare, Promise
from decreed.registry.replica.consensus.acceptor import Acceptors
from decreed.registry.replica.requests import recovery
from decreed.registry.replica.step.effects import SetTimer
from decreed.registry.replica.step.events import Event, Fired, FromPeer, Reachable, Resend, Retry
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Cancel, ClaimRequest, Decreed
from decreed.storage.layout import instance_key

from ...support.seated import Seated
from ...support.world import World, claim, stored

KEY = Key("k")
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def ballot(number: int, node: NodeId = N2) -> Ballot:
    return Ballot(number, Process(node, 1))


def everything(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return True


def nothing(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return False


def said_by(world: World, node: NodeId) -> list[Prepare | Accept]:
    """The prepares and accepts that a node sent."""
    return [m for s, _, m in world.sent if s == node and isinstance(m, Prepare | Accept)]


def begun(world: World, claim_id: bytes = b"id", timeout_ms: int = 60_000) -> int:
    """Let n1 begin an attempt that no other node answers; returns the request's id."""
    world.lose = everything
    request = ClaimRequest(world.new_id(), timeout_ms, True, claim(KEY, b"v", claim_id))
    world.send(N1, request)
    world.settle()
    return request.id


def nacked(world: World, promised: Ballot) -> Sequence[SetTimer]:
    """Let a nack for the present ballot of n1 arrive; returns the timers that it sets."""
    mine = max(message.ballot for message in said_by(world, N1))
    return timers_of(world, FromPeer(N2, Nack(KEY, mine, promised)))


def serials(world: World) -> list[int]:
    """The serials of the timers that n1 has set for its attempt."""
    events = [event for _, _, event in world.machines[N1].timers]
    return [e.timer.serial for e in events if isinstance(e, Fired) and isinstance(e.timer, Resend)]


def timers_of(world: World, event: Event) -> Sequence[SetTimer]:
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    effects = replica.step(world.moment(), [event], storage.load(replica.needs([event])))
    world._carry_out(N1, effects)
    return [timer for timer in effects.timers if isinstance(timer.timer, Retry)]


def test_a_node_that_becomes_reachable_is_sent_the_open_prepares_at_once() -> None:
    world = World()
    world.replica(N1).node.reachable.clear()
    number = begun(world)
    world.lose = nothing
    said = len(said_by(world, N1))
    world.post(N1, Reachable(N2, True))
    world.settle()  # in which no time passes, so no timer ends
    assert isinstance(world.answers[N1, number][0], Decreed)
    again = [message for message in said_by(world, N1)[said:] if isinstance(message, Prepare)]
    assert {message.ballot for message in again} == {said_by(world, N1)[0].ballot}


def test_R04_pauses_grow_from_nack_to_nack() -> None:
    world = World()
    begun(world)
    pauses: list[float] = []
    for number in range(1, 6):
        (pause,) = nacked(world, ballot(100 * number))
        pauses.append(pause.delay_ms)
        world.run(2 * pause.delay_ms + pause.spread_ms)
    assert pauses == sorted(set(pauses))


def test_R04_a_claim_that_joins_during_a_pause_waits_for_its_end() -> None:
    world = World()
    begun(world)
    nacked(world, ballot(100))
    world.sent.clear()
    begun(world, b"another")
    assert not said_by(world, N1)


def test_R10_a_new_ballot_is_above_the_nack_and_above_the_own_promise() -> None:
    world = World()
    begun(world)
    nacked(world, ballot(9))
    world.post(N1, FromPeer(N2, Prepare(KEY, ballot(50))))
    world.settle()
    world.sent.clear()
    world.run(15)  # one pause, and not a second one
    assert {message.ballot.round for message in said_by(world, N1)} == {51}


def test_a_pausing_attempt_ends_with_the_last_request_for_it() -> None:
    world = World()
    request = begun(world)
    nacked(world, ballot(9))
    world.send(N1, Cancel(request))
    world.settle()
    world.sent.clear()
    world.run(5_000)
    assert not said_by(world, N1)
    assert "attempts" not in world.replica(N1).pending_work()


def test_a_stale_timer_does_nothing() -> None:
    world = World()
    begun(world)
    (old,) = serials(world)
    nacked(world, ballot(9))
    for timer in (Resend(KEY, old), Retry(KEY, old)):
        assert not world.replica(N1).needs([Fired(timer)])
        world.sent.clear()
        world.post(N1, Fired(timer))
        world.settle()
        assert not said_by(world, N1)


def test_an_attempt_whose_record_gets_damaged_ends_with_its_claim() -> None:
    world = World()
    begun(world, timeout_ms=2_500)
    nacked(world, ballot(9))
    world.machines[N1].disk.flip(instance_key(KEY), 6)
    world.sent.clear()
    world.run(10_000)
    assert not said_by(world, N1)
    assert "attempts" not in world.replica(N1).pending_work()


def test_a_decree_has_the_wall_clock_of_its_first_proposer() -> None:
    world = World()
    decreed = world.freeze("n1", KEY)
    assert 0 <= world.moment().wall_ms - decreed.decree.time_ms < 1_000


def test_R05_two_values_in_one_ballot_raise_an_alarm_and_get_no_answer() -> None:
    world = World()
    one, two = (Decree.of(claim(KEY, v, v), ballot(5), 0) for v in (b"one", b"two"))
    world.post(N1, FromPeer(N2, Accept(KEY, ballot(5), one)))
    world.settle()
    world.sent.clear()
    world.post(N1, FromPeer(N2, Accept(KEY, ballot(5), two)))
    world.settle()
    assert any("two values" in alarm for alarm in world.alarms)
    assert not [m for s, _, m in world.sent if s == N1 and isinstance(m, Accepted | Commit)]
    accepted = stored(world, N1, KEY).accepted
    assert accepted is not None and accepted.decree == one


def test_an_acceptor_does_not_answer_for_a_disputed_key() -> None:
    world = World()
    world.freeze("n1", KEY)
    wrong = Decree.of(claim(KEY, b"wrong", b"w"), ballot(1), 0)
    world.post(N1, FromPeer(N2, Commit(KEY, wrong)))
    world.settle()
    world.sent.clear()
    world.post(N1, FromPeer(N2, Prepare(KEY, ballot(9))))
    world.post(N1, FromPeer(N2, Accept(KEY, ballot(9), wrong)))
    world.settle()
    assert not [
        m for s, _, m in world.sent if s == N1 and isinstance(m, Promise | Accepted | Commit)
    ]


def test_R22_a_postponed_key_is_still_finished() -> None:
    acceptors = Acceptors(Seated(()), (), (Key("a"), Key("b")), Leases())
    acceptors.postpone(Key("a"), 50.0)
    assert acceptors.unlearned == 2
    assert acceptors.overdue(10.0, 9) == [Key("b")]
    assert acceptors.overdue(60.0, 9) == [Key("b"), Key("a")]


def test_R22_each_key_in_doubt_gets_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "FINISH_AT_A_TIME", 1)
    world = World()
    for key in ("a", "b", "c"):
        half = Decree.of(claim(key), ballot(5), 0)
        world.post(N1, FromPeer(N2, Accept(Key(key), ballot(5), half)))
    world.settle()
    world.lose = everything
    world.sent.clear()
    world.run(10_000)
    assert {message.key for message in said_by(world, N1)} == {"a", "b", "c"}


def test_all_requests_that_joined_are_answered() -> None:
    world = World()
    first, second = begun(world, b"one"), begun(world, b"two")
    world.lose = nothing
    world.run(3_000)
    answers = [world.answers[N1, number] for number in (first, second)]
    assert all(len(each) == 1 and isinstance(each[0], Decreed) for each in answers)
