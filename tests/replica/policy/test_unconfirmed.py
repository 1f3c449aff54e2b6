"""S14, S15: what comes while a policy is not confirmed waits for that, and is not opened before."""

from math import inf

from msgspec.structs import replace

from decreed.registry.config import PolicyTerms
from decreed.registry.errors import BadRequest, Denied, NotFormed, StorageFailed, Unreachable
from decreed.registry.identity import ANONYMOUS
from decreed.registry.keys import home
from decreed.registry.policy.confirming import MAX_AGE_MS
from decreed.registry.replica.requests.applying import NAMELESS
from decreed.registry.replica.step.events import ClientGone
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.members import (
    ChangePlan,
    ChangeRequest,
    MembersReport,
    MembersRequest,
    Voter,
)
from decreed.registry.wire.peers import Fetch
from decreed.registry.wire.policy import AskPolicy, PolicyTold
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    PolicyApplied,
    Undecided,
)
from decreed.storage.memory import MemoryDisk

from ...policy.samples import ALICE, BOB, SMALL
from ...support.changed import N1, N2, N3, N4, of_kind, said
from ...support.governed import LOOK, GovernedWorld
from ...support.machine import Machine
from ...support.world import claim, config
from .test_applying import apply

EVERY = [N1, N2, N3]


def claimed(
    world: GovernedWorld, key: str = "k", ms: int = 5_000, value: bytes = b"v"
) -> ClaimRequest:
    return ClaimRequest(world.new_id(), ms, True, claim(key, value, b"%d" % world.new_id()))


def nothing(*_: object) -> bool:
    """Lose no message."""
    return False


def code(answer: Answer) -> int | None:
    return answer.code if isinstance(answer, Failed) else None


def starting(world: GovernedWorld) -> None:
    """Node n1 starts again, and what voters tell it of policies is held back."""
    world.crash(N1)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, PolicyTold)
    world.boot(N1)
    world.run(100)
    assert world.confirmed() == [N2, N3]


def test_s15_a_claim_at_a_start_waits_until_the_policy_is_confirmed() -> None:
    world = GovernedWorld()
    starting(world)
    mark = world.send(N1, claimed(world))
    world.run(1_000)
    assert not world.answers[mark] and not world.replica(N1).parts.coordinator.progress(Key("k"))
    world.lose = nothing
    world.run(500)
    assert isinstance(world.answers[mark][0], Decreed)


def test_s15_what_waits_is_judged_when_the_wait_is_over() -> None:
    world = GovernedWorld()
    starting(world)
    world.speaker = BOB
    mark = world.send(N1, claimed(world))
    world.speaker = ALICE
    apply(world, N2, 0, LOOK)  # bob may only read
    world.lose = nothing
    world.run(1_000)
    [ended] = world.answers[mark]
    assert code(ended) == Denied.code


def test_s15_what_waits_too_long_has_opened_nothing_and_says_why() -> None:
    world = GovernedWorld()
    starting(world)
    answer = world.ask(N1, claimed(world, ms=500))
    assert isinstance(answer, Failed) and answer.code == Unreachable.code
    assert "policy not confirmed: no quorum has told node n1" in answer.message
    world.lose = nothing
    world.run(2_000)
    assert isinstance(world.ask(N1, GetRequest(world.new_id(), 1_000, Key("k"))), Undecided)


def test_what_waits_is_dropped_with_its_connection_or_when_it_is_cancelled() -> None:
    world = GovernedWorld()
    starting(world)
    mark = world.send(N1, claimed(world, "cancelled"))
    world.send(N1, Cancel(mark[1]))
    world.run(1)
    assert code(world.answers[mark][0]) == Unreachable.code
    world.send(N1, claimed(world, "gone"))
    world.run(1)
    [pending] = world.replica(N1).parts.requests.all()
    assert isinstance(pending.origin, int)
    world.post(N1, ClientGone(pending.origin))
    world.lose = nothing
    world.run(2_000)
    assert not world.replica(N1).pending_work().get("requests")
    for key in ("cancelled", "gone"):
        assert isinstance(world.ask(N2, GetRequest(world.new_id(), 1_000, Key(key))), Undecided)


def test_a_claim_of_what_is_frozen_is_told_so_at_a_node_without_a_quorum() -> None:
    """It opens nothing, and is answered as a read is."""
    world = GovernedWorld()
    world.ask(N1, claimed(world, "k", value=b"first"))
    world.run(500)
    world.cut_off(N3)
    world.run_out()
    answer = world.ask(N3, claimed(world, "k", value=b"second"))
    assert isinstance(answer, Decreed) and answer.decree.value == b"first"


def test_the_members_are_shown_and_a_change_is_judged_without_a_quorum() -> None:
    """An operator looks at them just then; a change says what is missing."""
    world = GovernedWorld()
    world.cut_off(N3)
    world.run_out()
    assert isinstance(world.ask(N3, MembersRequest(world.new_id(), 2_000)), MembersReport)
    voters = tuple(
        Voter(node, world.replica(node).node.identity.disk_id, f"127.0.0.1:740{place}")
        for place, node in enumerate(EVERY, start=1)
    )
    words = (world.new_id(), 2_000, 0, voters, 2, 2, "alice", b"id", "", False)
    assert isinstance(world.ask(N3, ChangeRequest(*words)), ChangePlan)


def test_a_node_that_has_not_formed_and_one_whose_disk_failed_say_so() -> None:
    world = GovernedWorld([N4])
    world.replica(N4).node.formed = False
    assert code(world.ask(N4, claimed(world))) == NotFormed.code
    world = GovernedWorld()
    starting(world)
    world.machines[N1].disk.fail_writes = 1
    world.ask(N2, claimed(world, "elsewhere"))
    world.run(2_000)
    assert world.replica(N1).node.failed
    assert code(world.ask(N1, claimed(world))) == StorageFailed.code


def test_a_new_epoch_costs_a_round_trip_and_no_more() -> None:
    """A voter that cannot answer yet does so as soon as it is ready."""
    world = GovernedWorld([N4])
    world.change(N1, N1, N2, N4)
    epochs = {node: world.replica(node).node.epoch.number for node in (N1, N2, N4)}
    assert set(epochs.values()) == {1}
    assert {N1, N2, N4} <= set(world.confirmed())


def test_a_question_is_answered_as_soon_as_its_voter_may_answer() -> None:
    """The sending of the question counts, so a late answer says nothing that is not true."""
    world = GovernedWorld([N4])
    world.change(N1, N1, N2, N4)
    confirming = world.replica(N2).parts.confirming
    world.replica(N2).node.voting = False
    step = world.builder()
    confirming.on_asked(step, N4, AskPolicy(7, 1, 0))
    assert not of_kind(said(step.finish()), PolicyTold)
    world.replica(N2).node.voting = True
    step = world.builder()
    confirming.answer(step)
    confirming.answer(step)
    assert of_kind(said(step.finish()), PolicyTold) == [PolicyTold(7, 1, 0, MAX_AGE_MS)]


def test_s14_the_answer_of_a_voter_is_good_for_no_longer_than_it_says() -> None:
    """So the node that applies a policy waits long enough, however the others are set."""
    slow = replace(config(), policy=PolicyTerms(max_age_ms=60_000))
    world = GovernedWorld()
    world.crash(N3)
    world.boot(N3, slow)
    world.run(500)
    world.cut_off(N3)
    assert N3 in world.confirmed()
    world.run(MAX_AGE_MS)
    assert N3 not in world.confirmed()


def test_s16_a_policy_waits_for_the_longest_age_of_a_voter_that_knows_it() -> None:
    slow = replace(config(), policy=PolicyTerms(max_age_ms=30_000))
    world = GovernedWorld()
    for node in (N2, N3):
        world.crash(node)
        world.boot(node, slow)
    world.run(500)
    world.cut_off(N3)
    began_ms = world.now_ms
    answer = apply(world, N1, 0, SMALL)
    assert isinstance(answer, PolicyApplied) and answer.in_force and answer.missing == (N3,)
    assert world.now_ms - began_ms > 30_000


def test_s37_the_first_policy_takes_somebody_with_a_name() -> None:
    world = GovernedWorld()
    world.speaker = ANONYMOUS
    answer = apply(world, N1, 0, SMALL)
    assert isinstance(answer, Failed)
    assert (answer.code, answer.message) == (Denied.code, NAMELESS)
    world.speaker = BOB
    assert isinstance(apply(world, N1, 0, SMALL), PolicyApplied)


def test_s37_so_does_the_one_after_a_first_policy_that_cannot_be_read() -> None:
    """A later version may have written it; to this one everything is still open."""
    world = GovernedWorld()
    world.decide(N1, 1, b'{"format": 2}')
    world.speaker = ANONYMOUS
    answer = apply(world, N1, 1, SMALL)
    assert isinstance(answer, Failed)
    assert (answer.code, answer.message) == (Denied.code, NAMELESS)
    world.speaker = BOB
    assert isinstance(apply(world, N1, 1, SMALL), PolicyApplied)


def test_s17_what_was_opened_by_one_voter_alone_ends_in_the_next_epoch() -> None:
    """One voter alone is always confirmed, so its word has no end: the next epoch sets one."""
    world = GovernedWorld([N2, N3], cluster=config(1))
    parts = world.replica(N1).parts
    assert parts.confirming.lapses_ms == inf
    world.lose = lambda _, to, message: to == N1 and isinstance(message, PolicyTold)
    world.change(N1, N1, N2, N3)
    assert N1 not in world.confirmed()
    assert parts.confirming.lapses_ms < world.now_ms + MAX_AGE_MS


def test_s17_a_confirmation_that_is_good_for_longer_than_was_known_ends_all_the_same() -> None:
    """A vote that begins adds the node's own knowledge to it, and no answer comes with that."""
    world = GovernedWorld()
    world.run(500)
    world.cut_off(N1)
    world.replica(N1).parts.confirming.lapses_ms = world.now_ms + 1_000
    key = next(f"k/{n}" for n in range(99) if home(Key(f"k/{n}"), world.config.nodes) == N2)
    mark = world.send(N1, claimed(world, key, ms=60_000))
    world.run(2_000)
    assert N1 in world.confirmed() and not world.answers[mark]
    world.run_out()
    [ended] = world.answers[mark]
    assert code(ended) == Unreachable.code


class PlainWorld(GovernedWorld):
    """Its clients come without TLS."""

    secured = False


def test_s11_without_tls_no_policy_is_applied_for_nobody_could_show_who_it_is() -> None:
    world = PlainWorld()
    answer = apply(world, N1, 0, SMALL)
    assert isinstance(answer, Failed) and answer.code == BadRequest.code
    assert "leave nobody with admin: the nodes have no TLS" in answer.message
    assert set(world.obeyed().values()) == {0}


def test_s13_a_joiner_serves_once_all_that_it_reads_from_know_of_no_policy() -> None:
    """It may not know whose word makes a quorum: its file can be that of other members."""
    for newest, serves in ((0, True), (1, False)):
        world = GovernedWorld(cluster=config(3))
        world.lose = lambda *_: True
        world.machines[NodeId(N4)] = Machine(MemoryDisk(N4))
        world.joiners.add(NodeId(N4))
        world.boot(NodeId(N4))
        node, confirming = world.replica(N4).node, world.replica(N4).parts.confirming
        node.reachable |= {NodeId(N1), NodeId(N2)}
        told = world.builder()
        confirming.on_told(told, NodeId(N1), PolicyTold(0, 0, 0, 10_000))
        assert confirming.is_new, "n2 may know of one"
        confirming.on_told(told, NodeId(N2), PolicyTold(1, 0, newest, 10_000))
        assert confirming.is_new != serves
        assert bool(of_kind(said(told.finish()), Fetch)) != serves, "it fetches that one first"
