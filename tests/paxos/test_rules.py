"""The rules of single-decree Paxos, one test each, named after the rule.

The rules are numbered in the project's source description of Paxos; `docs/architecture.md` restates
where each is kept. Each test fails when its rule is broken in the code that ships.
"""

from itertools import combinations

import pytest

from decreed.registry.paxos import acceptor, learner, proposer
from decreed.registry.paxos.instance import EMPTY, Contradiction, Instance
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Nack, Prepare, Promise
from decreed.registry.paxos.proposer import (
    Chosen,
    NothingToPropose,
    Preempted,
    Prepared,
    Preparing,
    Proposing,
)
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Outcome, Process, Proposal, outcome
from decreed.registry.wire.requests import ClaimRequest, Decreed

from ..support.world import World, claim, config, stored

KEY = Key("k")
THREE = Quorums.majority((NodeId("n1"), NodeId("n2"), NodeId("n3")))


def ballot(number: int, node: str = "n1", incarnation: int = 1) -> Ballot:
    return Ballot(number, Process(NodeId(node), incarnation))


def decree(value: bytes = b"v", key: str = KEY) -> Decree:
    return Decree.of(claim(key, value, b"id-" + value), ballot(1), 0)


def promised(number: int, node: str = "n1") -> Instance:
    instance, answer = acceptor.on_prepare(EMPTY, Prepare(KEY, ballot(number, node)))
    assert isinstance(answer, Promise)
    return instance


def accepted(number: int, value: bytes, node: str = "n1") -> Instance:
    instance, answer = acceptor.on_accept(EMPTY, Accept(KEY, ballot(number, node), decree(value)))
    assert isinstance(answer, Accepted)
    return instance


def prepared(*reports: Proposal | None) -> Prepared:
    """A proposer in ballot 9 to which members have reported these acceptances."""
    state = proposer.start(KEY, Process(NodeId("n1"), 1), ballot(8))
    for node, report in zip(THREE.members, reports, strict=False):
        assert isinstance(state, Preparing)
        step = proposer.on_promise(state, node, Promise(KEY, state.ballot, report), THREE)
        if isinstance(step, Prepared):
            return step
        state = step
    raise AssertionError("not enough reports for a quorum")


def test_R01_a_node_recovers_every_promise_and_acceptance_after_dying() -> None:
    world = World()
    world.freeze("n1", "k")
    world.post(NodeId("n1"), FromPeer(NodeId("n2"), Prepare(Key("p"), ballot(5, "n2"))))
    world.post(
        NodeId("n1"), FromPeer(NodeId("n2"), Accept(Key("a"), ballot(6, "n2"), decree(b"x", "a")))
    )
    world.settle()
    before = [stored(world, "n1", key) for key in ("k", "p", "a")]
    world.crash(NodeId("n1"))
    world.boot(NodeId("n1"))
    assert [stored(world, "n1", key) for key in ("k", "p", "a")] == before
    assert before[0].learned is not None
    assert before[1].promised == ballot(5, "n2")
    assert before[2].accepted is not None


def test_R01_no_answer_leaves_before_its_record_is_on_disk() -> None:
    world = World()
    disk = world.machines[NodeId("n2")].disk
    disk.fail_writes = 1_000_000
    world.sent.clear()
    assert isinstance(world.claim("n1", claim("k"), here=True), Decreed)  # by n1 and n3
    said = [type(message) for sender, _, message in world.sent if sender == "n2"]
    assert not {Promise, Accepted} & set(said)


def test_R02_lost_repeated_and_reordered_messages_change_nothing_but_time() -> None:
    world = World()
    seen: list[object] = []

    def lose_first(sender: NodeId, to: NodeId, message: object) -> bool:
        """Lose each Paxos message once; the repetition gets through."""
        if not isinstance(message, Prepare | Promise | Accept | Accepted | Commit):
            return False
        if (sender, to, message) in seen:
            return False
        seen.append((sender, to, message))
        return True

    world.lose = lose_first
    decreed = world.freeze("n1", "k", b"x")
    for sender, to, message in list(world.sent):  # every message again, in reverse order
        world.machines[to].inbox.insert(0, FromPeer(sender, message))
    world.run(5_000)
    assert {stored(world, node, "k").learned for node in world.up()} == {decreed.decree}


def test_R03_a_claim_returns_the_frozen_decree_and_whether_it_is_ones_own() -> None:
    world = World()
    first = claim("k", b"first", b"id1")
    second = claim("k", b"second", b"id2")
    won = world.claim("n1", first)
    lost = world.claim("n2", second)
    assert isinstance(won, Decreed) and isinstance(lost, Decreed)
    assert won.decree == lost.decree
    assert outcome(first, won.decree) is Outcome.WON
    assert outcome(second, lost.decree) is Outcome.LOST


def test_R04_any_node_can_coordinate_any_key_and_duels_end() -> None:
    world = World()
    wanted = [claim("k", node.encode(), node.encode()) for node in world.up()]
    marks = [
        world.send(node, ClaimRequest(world.new_id(), 5_000, True, one))
        for node, one in zip(world.up(), wanted, strict=True)
    ]
    world.run(5_000)
    answers = [world.answers[mark][0] for mark in marks]
    assert all(isinstance(answer, Decreed) for answer in answers)
    assert len({answer.decree for answer in answers if isinstance(answer, Decreed)}) == 1


def test_R05_no_ballot_is_ever_used_twice_even_after_a_restart() -> None:
    used: set[Ballot] = set()
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    for _ in range(4):
        world.send("n1", ClaimRequest(world.new_id(), 1_000, True, claim("k")))
        world.run(1_500)
        prepares = {m.ballot for s, _, m in world.sent if s == "n1" and isinstance(m, Prepare)}
        assert prepares and not prepares & used
        used |= prepares
        world.sent.clear()
        world.crash(NodeId("n1"))
        world.boot(NodeId("n1"))
    assert len({b.process.incarnation for b in used}) == 4


def test_R05_one_ballot_never_carries_two_values() -> None:
    instance = accepted(3, b"one")
    with pytest.raises(Contradiction, match="two values"):
        acceptor.on_accept(instance, Accept(KEY, ballot(3), decree(b"two")))


def test_R06_ballots_are_totally_ordered_by_round_then_process() -> None:
    ordered = [
        ballot(1, "n1", 1),
        ballot(1, "n1", 2),
        ballot(1, "n2", 1),
        ballot(2, "n1", 1),
        ballot(10, "n1", 1),
    ]
    assert sorted(reversed(ordered)) == ordered
    assert len(set(ordered)) == len(ordered)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_R07_every_prepare_quorum_meets_every_accept_quorum(size: int) -> None:
    members = tuple(NodeId(f"n{n}") for n in range(size))
    for prepare in range(size + 2):
        for accept in range(size + 2):
            meets = 1 <= prepare <= size and 1 <= accept <= size and prepare + accept > size
            if not meets:
                with pytest.raises(ValueError, match=r"meet|impossible"):
                    Quorums(members, prepare, accept)
                continue
            quorums = Quorums(members, prepare, accept)
            for voters in combinations(members, prepare):
                assert quorums.prepared(voters)
                others = set(members) - set(voters)
                assert not quorums.accepted(others)


def test_R07_strangers_and_repeated_votes_do_not_count() -> None:
    assert not THREE.prepared(["n1", "n1", "n9"])
    assert not THREE.accepted(["n1", "n8", "n9"])
    state = proposer.start(KEY, Process(NodeId("n1"), 1), None)
    for voter in ("n1", "n1", "n9", "n8"):
        step = proposer.on_promise(state, voter, Promise(KEY, state.ballot, None), THREE)
        assert isinstance(step, Preparing)
        state = step


def test_R08_a_frozen_key_stays_frozen_and_other_keys_are_instances_of_their_own() -> None:
    instance = learner.learn(EMPTY, decree(b"first"))
    after, answer = acceptor.on_accept(instance, Accept(KEY, ballot(99), decree(b"second")))
    assert after == instance
    assert answer == Commit(KEY, decree(b"first"))
    world = World()
    assert world.freeze("n1", "a@1", b"1").decree.value == b"1"
    assert world.freeze("n1", "a@2", b"2").decree.value == b"2"


def test_R08_a_second_decree_does_not_replace_the_first_but_is_kept_as_evidence() -> None:
    instance = learner.learn(learner.learn(EMPTY, decree(b"first")), decree(b"second"))
    assert instance.learned == decree(b"first")
    assert instance.disputed == decree(b"second")


def test_R09_a_proposer_sends_prepare_with_its_next_number_to_all_acceptors() -> None:
    world = World()
    world.sent.clear()
    world.claim("n1", claim("k"), here=True)
    receivers = {to for _, to, message in world.sent if isinstance(message, Prepare)}
    promise_to_itself = [m for s, t, m in world.sent if s == t == "n1" and isinstance(m, Promise)]
    assert receivers == {"n2", "n3"}
    assert promise_to_itself, "the node's own acceptor is asked as well"
    state = proposer.start(KEY, Process(NodeId("n1"), 4), ballot(7, "n3"))
    assert state.ballot == ballot(8, "n1", 4)


def test_R10_an_acceptor_that_has_seen_a_higher_number_answers_with_it() -> None:
    instance = promised(5)
    for message in (Prepare(KEY, ballot(4)), Accept(KEY, ballot(4), decree())):
        handler = acceptor.on_prepare if isinstance(message, Prepare) else acceptor.on_accept
        after, answer = handler(instance, message)  # type: ignore[arg-type]
        assert after == instance
        assert answer == Nack(KEY, ballot(4), ballot(5))


def test_R10_a_nack_makes_the_proposer_go_higher_at_once() -> None:
    state = proposer.start(KEY, Process(NodeId("n1"), 1), None)
    preempted = proposer.on_nack(state, Nack(KEY, state.ballot, ballot(40, "n3")))
    assert preempted == Preempted(KEY, ballot(40, "n3"))
    late = proposer.on_nack(state, Nack(KEY, ballot(0), ballot(40, "n3")))
    assert late == state


def test_R11_after_a_promise_nothing_below_it_is_accepted() -> None:
    instance = promised(5)
    _, answer = acceptor.on_accept(instance, Accept(KEY, ballot(4, "n9"), decree()))
    assert isinstance(answer, Nack)


def test_R11_accepting_is_promising_too() -> None:
    _, answer = acceptor.on_prepare(accepted(5, b"v"), Prepare(KEY, ballot(4)))
    assert answer == Nack(KEY, ballot(4), ballot(5))


def test_R12_a_promise_carries_the_highest_accepted_proposal() -> None:
    instance = accepted(3, b"low")
    instance, _ = acceptor.on_accept(instance, Accept(KEY, ballot(5), decree(b"high")))
    _, answer = acceptor.on_prepare(instance, Prepare(KEY, ballot(9)))
    assert answer == Promise(KEY, ballot(9), Proposal(ballot(5), decree(b"high")))
    _, empty = acceptor.on_prepare(EMPTY, Prepare(KEY, ballot(9)))
    assert empty == Promise(KEY, ballot(9), None)


def test_R13_the_highest_promise_is_part_of_the_durable_state() -> None:
    instance, answer = acceptor.on_prepare(promised(5), Prepare(KEY, ballot(7, "n2")))
    assert isinstance(answer, Promise)
    assert instance.promised == ballot(7, "n2")


def test_R14_the_highest_acceptance_is_part_of_the_durable_state() -> None:
    instance, _ = acceptor.on_prepare(accepted(5, b"v"), Prepare(KEY, ballot(7)))
    assert instance.accepted == Proposal(ballot(5), decree(b"v"))
    assert instance.promised == ballot(7)


def test_R15_without_a_quorum_of_promises_nothing_is_proposed() -> None:
    world = World(config(5))
    world.lose = lambda sender, to, message: isinstance(message, Promise) and sender != "n2"
    world.sent.clear()
    world.send("n1", ClaimRequest(world.new_id(), 3_000, True, claim("k")))
    world.run(4_000)
    assert any(isinstance(message, Prepare) for _, _, message in world.sent)
    assert not any(isinstance(message, Accept) for _, _, message in world.sent)


def test_R15_promises_for_another_ballot_do_not_count() -> None:
    state = proposer.start(KEY, Process(NodeId("n1"), 1), ballot(4))
    for voter in THREE.members:
        state_after = proposer.on_promise(state, voter, Promise(KEY, ballot(4), None), THREE)
        assert state_after == state


def test_R16_the_highest_reported_proposal_is_proposed_instead_of_ones_own() -> None:
    low = Proposal(ballot(2), decree(b"low"))
    high = Proposal(ballot(7, "n3"), decree(b"high"))
    for reports in ((low, high), (high, low), (None, high), (high, None)):
        state = proposer.propose(prepared(*reports), decree(b"own"))
        assert isinstance(state, Proposing)
        assert state.decree == decree(b"high")


def test_R17_with_nothing_reported_ones_own_value_is_proposed() -> None:
    state = proposer.propose(prepared(None, None), decree(b"own"))
    assert isinstance(state, Proposing)
    assert state.decree == decree(b"own")
    assert proposer.propose(prepared(None, None), None) == NothingToPropose(KEY)


def test_R18_accept_goes_to_all_acceptors_once_the_own_one_has_agreed() -> None:
    world = World()
    world.sent.clear()
    world.claim("n1", claim("k"), here=True)
    accepts = [(to, m) for _, to, m in world.sent if isinstance(m, Accept)]
    assert {to for to, _ in accepts} == {"n2", "n3"}
    assert len({(m.ballot, m.decree) for _, m in accepts}) == 1
    own = stored(world, "n1", "k")
    assert own.learned == accepts[0][1].decree


def test_R18_no_accept_leaves_when_the_own_acceptor_has_promised_higher() -> None:
    world = World()
    held: list[Promise] = []

    def hold(sender: NodeId, to: NodeId, message: object) -> bool:
        if isinstance(message, Promise) and to == "n1":
            held.append(message)
            return True
        return False

    world.lose = hold
    world.send("n1", ClaimRequest(world.new_id(), 5_000, True, claim("k")))
    world.settle()
    rival = ballot(50, "n2")
    world.sent.clear()
    world.post(NodeId("n1"), FromPeer(NodeId("n2"), Prepare(KEY, rival)))
    world.post(NodeId("n1"), FromPeer(NodeId("n2"), held[0]))
    world.settle()
    assert not any(isinstance(message, Accept) for _, _, message in world.sent)


def test_R19_an_acceptor_accepts_unless_it_promised_higher_and_stores_number_and_value() -> None:
    instance, answer = acceptor.on_accept(promised(5), Accept(KEY, ballot(5), decree(b"v")))
    assert answer == Accepted(KEY, ballot(5))
    assert instance.accepted == Proposal(ballot(5), decree(b"v"))
    refused, nack = acceptor.on_accept(promised(6), Accept(KEY, ballot(5), decree(b"v")))
    assert isinstance(nack, Nack)
    assert refused.accepted is None


def test_R20_a_quorum_of_acceptances_of_one_ballot_chooses_and_every_node_gets_the_commit() -> None:
    state = proposer.propose(prepared(None, None), decree())
    assert isinstance(state, Proposing)
    stale = proposer.on_accepted(state, "n3", Accepted(KEY, ballot(1)), THREE)
    assert stale == state
    once = proposer.on_accepted(state, "n1", Accepted(KEY, state.ballot), THREE)
    assert isinstance(once, Proposing)
    again = proposer.on_accepted(once, "n1", Accepted(KEY, state.ballot), THREE)
    assert isinstance(again, Proposing)
    chosen = proposer.on_accepted(again, "n2", Accepted(KEY, state.ballot), THREE)
    assert chosen == Chosen(decree())
    world = World()
    world.freeze("n1", "k")
    assert all(stored(world, node, "k").learned for node in world.up())


def test_R21_any_later_proposal_selects_the_same_value() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Commit)
    first = world.freeze("n1", "k", b"first")
    for node in ("n2", "n3", "n1", "n2"):
        assert world.freeze(node, "k", b"later").decree == first.decree


def test_R22_a_key_that_a_dead_proposer_left_in_doubt_is_finished_by_another() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accepted) or to == "n3"
    world.send("n1", ClaimRequest(world.new_id(), 5_000, True, claim("k", b"half", b"h")))
    world.settle()
    assert stored(world, "n2", "k").accepted is not None
    world.crash(NodeId("n1"))
    world.lose = lambda sender, to, message: False
    world.run(5_000)  # no request for the key: the node that accepted it finishes it by itself
    assert [stored(world, node, "k").learned for node in ("n2", "n3")] == 2 * [
        stored(world, "n2", "k").learned
    ]
    learned = stored(world, "n2", "k").learned
    assert learned is not None and learned.value == b"half"
    assert learned.ballot.process.node == "n1", "the first proposer's ballot is never rewritten"
