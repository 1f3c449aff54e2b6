"""M11, M12, M15 and M21: what counts in which epoch, for how long, and when a node counts no more."""

import pytest

from decreed.registry.locks.secret import hash_of
from decreed.registry.locks.terms import Ending, How, LeaseId, lease_id
from decreed.registry.members import MembersChange, change_of, members_key
from decreed.registry.members import claim_of as claim_of_change
from decreed.registry.paxos.messages import Accept, Accepted, AcceptedMany, Commit, Prepare, Promise
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId
from decreed.registry.wire.leases import Renew, Renewed
from decreed.registry.wire.peers import AskedIn, QueryAnswer, StatePage
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Ended,
    Failed,
    GetRequest,
    Granted,
    Kept,
    LockRequest,
    Undecided,
)

from ...support.changed import N1, N2, N3, N4, changed, said, sealed, step
from ...support.changing import ChangingWorld
from ...support.proven import secret_of, to_end, to_keep, wish
from ...support.world import claim, config, stored

KEY = Key("k")
VOTES = Accepted | AcceptedMany
TTL_MS = 5_000


def claimed(world: ChangingWorld, node: NodeId, timeout_ms: int = 60_000) -> tuple[NodeId, int]:
    """A claim for KEY is under way at a node, which has not reached a quorum."""
    request = ClaimRequest(world.new_id(), timeout_ms, True, claim(KEY))
    return world.send(node, request)


def accept_of(world: ChangingWorld, node: NodeId) -> Accept:
    """The last proposal for KEY that a node has sent alone."""
    sent = [m for sender, _, m in world.sent if sender == node and isinstance(m, Accept)]
    return [message for message in sent if message.key == KEY][-1]


# -- M11


def test_M11_votes_count_by_the_size_of_the_accept_quorum_of_their_epoch() -> None:
    """Two votes of three chose a value in epoch 0; in epoch 1 all three are needed."""
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4, prepare=1, accept=3)
    world.lose = lambda sender, _, message: sender == N4 and isinstance(message, VOTES)
    mark = claimed(world, N1)
    world.run(400)
    assert world.answers[mark] == []
    assert stored(world, N2, KEY).accepted is not None
    assert all(stored(world, node, KEY).learned is None for node in (N1, N2, N4))
    world.lose = lambda *_: False
    world.run(10_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, Decreed) and answer.decree.ballot.epoch == 1


@pytest.mark.parametrize("sender", [N3, "n5"], ids=["it left", "it never voted"])
def test_M11_the_vote_of_a_node_that_is_no_voter_of_the_epoch_counts_for_nothing(
    sender: str,
) -> None:
    world = changed("n5")
    world.lose = lambda _, to, message: to == N1 and isinstance(message, VOTES)
    mark = claimed(world, N1)
    world.run(400)
    ballot = accept_of(world, N1).ballot
    effects = step(world, N1, FromPeer(NodeId(sender), Accepted(KEY, ballot)))
    assert not [message for message in said(effects) if isinstance(message, Commit)]
    assert world.answers[mark] == []
    effects = step(world, N1, FromPeer(N2, Accepted(KEY, ballot)))
    assert [message for message in said(effects) if isinstance(message, Commit)]


def test_M11_a_promise_of_a_node_that_is_no_voter_of_the_epoch_counts_for_nothing() -> None:
    world = changed()
    world.lose = lambda _, to, message: to == N1 and isinstance(message, Promise)
    rival = Ballot.first(world.replica(N2).node.process, 1)
    world.post(N1, FromPeer(N2, Accept(KEY, rival, Decree.of(claim(KEY), rival, 0))))
    world.settle()
    mark = claimed(world, N1)
    world.run(400)
    ballots = [m.ballot for s, _, m in world.sent if s == N1 and isinstance(m, Prepare)]
    effects = step(world, N1, FromPeer(N3, Promise(KEY, ballots[-1], None)))
    assert not [message for message in said(effects) if isinstance(message, Accept)]
    effects = step(world, N1, FromPeer(N2, Promise(KEY, ballots[-1], None)))
    assert [message for message in said(effects) if isinstance(message, Accept)]
    assert world.answers[mark] == []


def test_M11_a_vote_that_comes_after_the_seal_of_its_proposer_completes_no_quorum() -> None:
    """The ballot was dropped with its epoch, so what it chose is found by taking over alone."""
    world = ChangingWorld([N4])
    world.lose = lambda _, to, message: (
        isinstance(message, StatePage) or (to == N1 and isinstance(message, VOTES))
    )
    claimed(world, N1)
    world.run(400)
    ballot = accept_of(world, N1).ballot
    world.change(N2, N1, N2, N4, ms=300)
    assert ballot.epoch == 0 and world.replica(N1).node.seat.known == 1
    effects = step(world, N1, FromPeer(N2, Accepted(KEY, ballot)))
    assert not [message for message in said(effects) if isinstance(message, Commit)]
    assert stored(world, N1, KEY).learned is None


def test_M11_what_was_chosen_before_the_seal_is_found_by_those_who_take_over() -> None:
    """n2 and n3 have accepted; nobody has counted that when n3 leaves and n1 dies."""
    world = ChangingWorld([N4, "n5"])
    world.lose = lambda _, to, message: to == N1 and isinstance(message, VOTES)
    claimed(world, N1)
    world.run(400)
    assert all(stored(world, node, KEY).accepted for node in (N2, N3))
    world.lose = lambda *_: False
    world.crash(N1)
    world.change(N2, N2, N4, "n5")
    read = world.ask(N4, GetRequest(world.new_id(), 5_000, KEY))
    assert isinstance(read, Decreed) and read.decree.value == b"v"


def test_M11_a_claim_that_its_epoch_cut_short_is_decided_in_the_next_one() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda _, to, message: to == N1 and isinstance(message, VOTES)
    mark = claimed(world, N1)
    world.run(400)
    world.propose(N2, world.epoch(1, N1, N2, N4))
    world.run(500)
    world.lose = lambda *_: False
    world.meet()
    world.run(10_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, Decreed) and answer.decree.claim_id == b"id"


# -- M12


def test_M12_undecided_needs_the_prepare_quorum_of_the_epoch_that_is_known() -> None:
    """One answer was enough in epoch 0; all three are needed in epoch 1."""
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4, prepare=3, accept=1)
    world.lose = lambda sender, _, message: sender == N4 and isinstance(message, QueryAnswer)
    read = world.ask(N1, GetRequest(world.new_id(), 1_000, KEY))
    assert not isinstance(read, Undecided)
    world.lose = lambda *_: False
    assert isinstance(world.ask(N1, GetRequest(world.new_id(), 5_000, KEY)), Undecided)


def test_M12_a_keep_alive_needs_answers_of_the_prepare_quorum_of_the_epoch_that_is_known() -> None:
    world = ChangingWorld([N4])
    over = lease_id(granted(world, N1, b"me").decree)
    world.change(N1, N1, N2, N4, prepare=3, accept=1)
    world.lose = lambda sender, _, message: sender == N4 and isinstance(message, Renewed)
    assert not isinstance(world.ask(N1, to_keep(world.new_id(), 1_000, over)), Kept)
    world.lose = lambda *_: False
    assert isinstance(world.ask(N1, to_keep(world.new_id(), 3_000, over)), Kept)


def renew(over: LeaseId, number: int) -> Renew:
    return Renew(number, over, TTL_MS, hash_of(secret_of(over.claim_id)))


def test_M12_a_sealed_node_renews_no_lease_and_does_not_say_that_it_ended() -> None:
    world = ChangingWorld([N4])
    over = lease_id(granted(world, N1, b"me").decree)
    kept = step(world, N1, FromPeer(N2, renew(over, 1)))
    assert Renewed(1, True) in said(kept)
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=300)
    assert said(step(world, N1, FromPeer(N2, AskedIn(1, renew(over, 2))))) == []


def test_M12_renewals_of_two_epochs_are_never_counted_together() -> None:
    """The second answer of epoch 0 comes in the very step in which the node seals."""
    world = ChangingWorld(["n6"], config(5))
    over = lease_id(granted(world, N1, b"me").decree)
    world.lose = lambda _, __, message: isinstance(message, Renewed | StatePage)
    world.sent.clear()
    mark = world.send(N1, to_keep(world.new_id(), 3_000, over))
    world.settle()
    [token] = {m.id for s, _, m in world.sent if s == N1 and isinstance(m, Renew)}
    epoch = world.epoch(1, N1, N2, "n6")
    change = MembersChange(epoch, world.replica(N1).node.epoch, ("a:1",) * 3)
    ballot = Ballot.first(world.replica(N2).node.process)
    decree = Decree.of(claim_of_change(change, "operator", b"id"), ballot, 0)
    world.post(N1, FromPeer(N3, Commit(decree.key, decree)))
    world.post(N1, FromPeer(N2, Renewed(token, True)))
    world.settle()
    assert world.answers[mark] == []


def test_M12_questions_name_the_epoch_in_which_they_are_asked() -> None:
    world = changed()
    world.sent.clear()
    world.ask(N1, GetRequest(world.new_id(), 1_000, KEY))
    epochs = {m.epoch for s, _, m in world.sent if s == N1 and isinstance(m, AskedIn)}
    assert epochs == {1}


# -- M15


def granted(world: ChangingWorld, node: NodeId, who: bytes, within_ms: float = 60_000) -> Granted:
    """Somebody asks for the lock, and waits until it is granted."""
    wanted = wish(who.decode(), who, TTL_MS)
    request = LockRequest(world.new_id(), 60_000, "jobs", True, wanted)
    answer = world.ask(node, request, within_ms)
    assert isinstance(answer, Granted), answer
    return answer


def held_until_it_is_nearly_over(world: ChangingWorld) -> LeaseId:
    """Somebody took the lock and died; the lease ends in a moment."""
    over = lease_id(granted(world, N1, b"dead").decree)
    world.run(TTL_MS - 500)
    return over


def changed_slowly(world: ChangingWorld) -> list[float]:
    """n4 replaces n3; all have sealed for two seconds when they become ready; when that was."""
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4)
    assert world.voters() == []
    world.lose = lambda *_: False
    ready_ms: dict[str, float] = {}
    for _ in range(1_000):
        world.run(10)
        for node in (N1, N2, N4):
            if world.replica(node).node.voting:
                ready_ms.setdefault(node, world.now_ms - 10)
        if len(ready_ms) == 3:
            return sorted(ready_ms.values())
    raise AssertionError("they are never ready")


def test_M15_a_term_that_ran_at_a_change_ends_one_ttl_after_readiness_and_no_later() -> None:
    """Those who took over do not know when it was renewed last; they wait for one ttl, no more."""
    world = ChangingWorld([N4])
    held_until_it_is_nearly_over(world)
    ready_ms = changed_slowly(world)
    granted(world, N2, b"next")
    assert world.now_ms >= ready_ms[1] + TTL_MS, "two of three are an accept quorum"
    assert world.now_ms <= ready_ms[2] + TTL_MS * 1.05 + 1_000


def test_M15_without_a_change_the_same_term_ends_when_its_lease_does() -> None:
    world = ChangingWorld([N4])
    held_until_it_is_nearly_over(world)
    began_ms = world.now_ms
    granted(world, N2, b"next")
    assert world.now_ms <= began_ms + 1_500


def test_M15_a_release_that_the_proposal_carries_spares_the_wait() -> None:
    world = ChangingWorld([N4])
    over = lease_id(granted(world, N1, b"me").decree)
    world.ask(N1, to_end(world.new_id(), 1_000, over, Ending(How.RELEASED)))
    world.change(N1, N1, N2, N4, ms=100)
    began_ms = world.now_ms
    granted(world, N2, b"next")
    assert world.now_ms <= began_ms + 1_000


def test_M15_a_release_that_is_told_to_a_node_that_left_comes_to_those_who_vote() -> None:
    world = ChangingWorld([N4])
    over = lease_id(granted(world, N1, b"me").decree)
    world.change(N1, N1, N2, N4, ms=100)
    told = world.ask(N3, to_end(world.new_id(), 1_000, over, Ending(How.RELEASED)))
    assert isinstance(told, Ended)
    world.run(100)
    for node in (N1, N2, N4):
        assert world.replica(node).parts.leases.ending(over) == Ending(How.RELEASED)
    began_ms = world.now_ms
    granted(world, N2, b"next")
    assert world.now_ms <= began_ms + 1_000


@pytest.mark.parametrize(
    "changes", [False, True], ids=["its epoch goes on", "a change comes between"]
)
def test_M15_only_a_term_of_the_epoch_that_is_known_is_granted_with_a_lease(changes: bool) -> None:
    """The grant is found again by its claim id, and says whether its lease counts from the asking."""
    world = ChangingWorld([N4])
    first = granted(world, N1, b"me")
    if changes:
        world.change(N1, N1, N2, N4, ms=200)
    again = granted(world, N2, b"me")
    assert again.decree == first.decree
    assert not (changes and again.leased)


def test_M15_a_term_of_an_earlier_epoch_that_is_counted_in_a_later_one_is_no_lease() -> None:
    """n1 proposed it in epoch 0 and takes it over as half done: only what it counts tells of it.

    In epoch 0 it may have been chosen, and followed, by accept quorums too small to share a lease.
    """
    world = ChangingWorld([N4])
    world.freeze(N1, "warm")
    term, wanted = Key("$locks/jobs@1"), wish("me", b"me", TTL_MS)
    world.lose = lambda _, __, m: isinstance(m, Accepted | Commit) and m.key == term
    mark = world.send(N1, LockRequest(world.new_id(), 60_000, "jobs", True, wanted))
    world.run(20)
    assert stored(world, N1, term).accepted is not None
    world.change(N1, N1, N2, N4, ms=200)
    assert world.voters() == [N1, N2, N4] and world.answers[mark] == []
    assert stored(world, N1, term).learned is None
    world.lose = lambda _, __, m: isinstance(m, Commit) and m.key == term
    world.run(5_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, Granted) and answer.decree.ballot.epoch == 0
    votes = [m for _, to, m in world.sent if to == N1 and isinstance(m, Accepted) and m.key == term]
    assert {1} == {vote.ballot.epoch for vote in votes} - {0}, "n1 has counted it in epoch 1"
    assert not answer.leased


# -- M21


def disputed() -> ChangingWorld:
    """n1 knows who votes in epoch 1, and is told of another decree for that."""
    world = changed()
    known = stored(world, N1, members_key(1)).learned
    assert known is not None
    other = MembersChange(world.epoch(1, N1, N2, N3), change_of(known).before, ("a:1",) * 3)
    decree = Decree.of(claim_of_change(other, "somebody", b"else"), known.ballot, 0)
    world.lose = lambda sender, _, message: sender == N1 and isinstance(message, Commit)
    world.post(N1, FromPeer(N2, Commit(decree.key, decree)))
    world.settle()
    return world


def test_M21_a_node_that_met_two_decrees_for_an_epoch_gives_no_vote_and_renews_nothing() -> None:
    world = disputed()
    assert not world.replica(N1).node.voting and not world.replica(N1).node.takes_part
    world.sent.clear()
    claimed(world, N2)
    world.run(3_000)
    kinds = Promise | Accepted | AcceptedMany | QueryAnswer | Renewed
    assert not [m for sender, _, m in world.sent if sender == N1 and isinstance(m, kinds)]


def test_M21_the_others_go_on_without_it() -> None:
    world = disputed()
    assert world.freeze(N2, "on").decree.ballot.epoch == 1


def test_M21_a_restart_gives_it_no_vote_back() -> None:
    world = disputed()
    world.crash(N1)
    world.boot(N1)
    world.run(5_000)
    assert not world.replica(N1).node.voting


def test_M21_two_decrees_for_an_earlier_epoch_end_the_voting_for_good_too() -> None:
    world = changed()
    first = stored(world, N1, members_key(1)).learned
    assert first is not None
    world.change(N1, N1, N2, N3)
    assert world.replica(N1).node.voting and world.replica(N1).node.seat.known == 2
    other = MembersChange(world.epoch(1, N1, N2, N3), change_of(first).before, ("a:1",) * 3)
    decree = Decree.of(claim_of_change(other, "somebody", b"else"), first.ballot, 0)
    world.lose = lambda sender, _, message: sender == N1 and isinstance(message, Commit)
    world.post(N1, FromPeer(N2, Commit(decree.key, decree)))
    world.settle()
    assert not world.replica(N1).node.voting
    world.crash(N1)
    world.boot(N1)
    world.run(2_000)
    node = world.replica(N1).node
    assert (node.voting, node.takes_part) == (False, False)
    answer = world.claim(N1, claim("k"), here=True)
    assert isinstance(answer, Failed) and "different decrees '$members@1'" in answer.message
    assert "decreed recover --compare" in answer.message
    # nor does the next epoch give it a vote: the directory is to be replaced
    world.change(N2, N1, N2, N4)
    world.run(2_000)
    assert not world.replica(N1).node.voting


def test_M21_the_same_decree_again_is_no_dispute() -> None:
    world = sealed()
    known = stored(world, N1, members_key(1)).learned
    assert known is not None
    effects = step(world, N1, FromPeer(N2, Commit(known.key, known)))
    assert effects.alarms == [] and world.replica(N1).node.takes_part
