"""What an attempt counts and what it ignores, case by case."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from decreed.registry.paxos import learner, proposer
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Nack, Promise
from decreed.registry.paxos.proposer import Prepared, Preparing, Proposing
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import (
    Ballot,
    Claim,
    Decree,
    Key,
    NodeId,
    Outcome,
    Process,
    Proposal,
    outcome,
)

from ..support.world import claim

KEY = Key("k")
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
THREE = Quorums.majority((N1, N2, N3))


def ballot(number: int, node: str = "n1", incarnation: int = 1) -> Ballot:
    return Ballot(number, Process(NodeId(node), incarnation))


def decree(value: bytes = b"v") -> Decree:
    return Decree.of(claim(KEY, value, b"id-" + value), ballot(1), 0)


OTHERS = [ballot(4), ballot(6), ballot(5, "n2"), ballot(5, "n1", 2), ballot(5, "n1", 0)]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_R15_promises_for_any_other_ballot_do_not_count(other: Ballot) -> None:
    state = Preparing(KEY, ballot(5))
    assert proposer.on_promise(state, N2, Promise(KEY, other, None), THREE) == state


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_R20_votes_in_any_other_ballot_do_not_count(other: Ballot) -> None:
    state = Proposing(KEY, ballot(5), decree())
    assert proposer.on_accepted(state, N2, Accepted(KEY, other), THREE) == state


def test_R07_a_message_of_a_stranger_does_not_count() -> None:
    told = Promise(KEY, ballot(5), Proposal(ballot(3), decree(b"strange")))
    preparing = Preparing(KEY, ballot(5))
    assert proposer.on_promise(preparing, "n9", told, THREE) == preparing
    proposing = Proposing(KEY, ballot(5), decree())
    assert proposer.on_accepted(proposing, "n9", Accepted(KEY, ballot(5)), THREE) == proposing


def test_R10_a_nack_with_no_higher_ballot_is_ignored() -> None:
    state = Preparing(KEY, ballot(5))
    for promised in (ballot(4), ballot(5)):
        assert proposer.on_nack(state, Nack(KEY, ballot(5), promised)) == state


def test_R16_of_two_proposals_in_one_round_the_higher_process_counts() -> None:
    low, high = (
        Proposal(ballot(7, "n1"), decree(b"low")),
        Proposal(ballot(7, "n3"), decree(b"high")),
    )
    for first, second in ((low, high), (high, low)):
        state = Preparing(KEY, ballot(9))
        step = proposer.on_promise(state, N1, Promise(KEY, ballot(9), first), THREE)
        assert isinstance(step, Preparing)
        step = proposer.on_promise(step, N2, Promise(KEY, ballot(9), second), THREE)
        assert step == Prepared(KEY, ballot(9), high)


@pytest.mark.parametrize(("prepare", "accept"), [(1, 3), (3, 1), (2, 2)])
def test_R07_each_phase_counts_by_its_own_size(prepare: int, accept: int) -> None:
    quorums = Quorums((N1, N2, N3), prepare, accept)
    promises = votes = 0
    first: Preparing | Prepared = Preparing(KEY, ballot(5))
    while isinstance(first, Preparing):
        member = quorums.members[promises]
        first = proposer.on_promise(first, member, Promise(KEY, ballot(5), None), quorums)
        promises += 1
    second = proposer.propose(first, decree())
    while isinstance(second, Proposing):
        member = quorums.members[votes]
        after = proposer.on_accepted(second, member, Accepted(KEY, ballot(5)), quorums)
        votes += 1
        if not isinstance(after, Proposing):
            break
        second = after
    assert (promises, votes) == (prepare, accept)


def test_R21_a_learned_instance_keeps_only_the_decree() -> None:
    held = Instance(ballot(5), Proposal(ballot(5), decree(b"lost")))
    assert learner.learn(held, decree(b"won")) == Instance(learned=decree(b"won"))


@pytest.mark.parametrize(
    ("other", "meaning"),
    [
        (Claim(KEY, b"v", "text/plain", "tester", b"id-v"), Outcome.WON),
        (Claim(KEY, b"v", "text/plain", "another", b"id-v"), Outcome.ID_REUSED),
        (Claim(KEY, b"v", "text/plain", "tester", b"id-v", "a note"), Outcome.ID_REUSED),
        (Claim(KEY, b"v", "application/json", "tester", b"id-v"), Outcome.ID_REUSED),
        (Claim(KEY, b"w", "text/plain", "tester", b"id-v"), Outcome.ID_REUSED),
        (Claim(KEY, b"v", "text/plain", "another", b"other"), Outcome.SAME),
        (Claim(KEY, b"v", "application/json", "tester", b"other"), Outcome.LOST),
        (Claim(KEY, b"w", "text/plain", "tester", b"other"), Outcome.LOST),
    ],
)
def test_R03_what_a_decree_means_for_a_claim(other: Claim, meaning: Outcome) -> None:
    assert outcome(other, decree(b"v")) is meaning


@pytest.mark.parametrize(
    "made",
    [
        lambda other: Promise(KEY, ballot(5), Proposal(ballot(3), other)),
        lambda other: Accept(KEY, ballot(5), other),
        lambda other: Commit(KEY, other),
    ],
    ids=["promise", "accept", "commit"],
)
def test_R08_a_message_about_one_key_never_carries_a_decree_for_another(
    made: Callable[[Decree], object],
) -> None:
    assert made(decree())
    with pytest.raises(ValueError, match="carries a decree for"):
        made(replace(decree(), key=Key("another")))
