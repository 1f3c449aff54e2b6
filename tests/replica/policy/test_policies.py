"""S11, S14, S15, S18: which policy a node obeys, and whether that one is confirmed."""

from decreed.registry.errors import Denied
from decreed.registry.identity import ANONYMOUS
from decreed.registry.locks.terms import TermClaim
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Accept, Accepted, Commit
from decreed.registry.policy.confirming import MAX_AGE_MS
from decreed.registry.policy.document import Right
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.rights import Allowed, Denial
from decreed.registry.policy.series import CONTENT_TYPE, policy_key
from decreed.registry.replica.admission import Admission
from decreed.registry.replica.step.effects import PolicyObeyed
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Process
from decreed.registry.wire.peers import Fetch
from decreed.registry.wire.policy import AskPolicy, PolicyTold
from decreed.registry.wire.requests import Failed, LockRequest
from decreed.storage.layout import instance_key

from ...policy.samples import ALICE, BOB, SMALL, read
from ...support.changed import N1, N2, N3, N4, of_kind, said, step
from ...support.changing import ChangingWorld
from ...support.governed import LOOK, GovernedWorld
from ...support.world import World, config, stored
from .asking import GOVERNED, claimed, policy_decree

EVERY = [N1, N2, N3]
DATA = encode(read(SMALL))


def decree(number: int, data: bytes = DATA) -> Decree:
    ballot = Ballot.first(Process(N2, 9))
    return Decree(policy_key(number), data, CONTENT_TYPE, "alice", b"x", "", 0, ballot)


def commit(number: int, data: bytes = DATA) -> FromPeer:
    return FromPeer(N2, Commit(policy_key(number), decree(number, data)))


# -- which one is obeyed


def test_s13_without_a_policy_everything_is_open() -> None:
    policies = GovernedWorld().replica(N1).parts.policies
    assert policies.may(BOB, Right.ADMIN, "", 0) == Allowed()


def test_s11_the_newest_learned_policy_is_obeyed_everywhere() -> None:
    world = GovernedWorld()
    world.decide(N1, 1, SMALL)
    assert world.obeyed() == dict.fromkeys(EVERY, 1)
    world.decide(N3, 2, LOOK)
    assert world.obeyed() == dict.fromkeys(EVERY, 2)
    for node in EVERY:
        policies = world.replica(node).parts.policies
        assert policies.may(BOB, Right.READ, "a", 0) == Allowed()
        assert policies.may(BOB, Right.CLAIM, "a", 0) == Denial(Right.CLAIM, "a")


def test_s18_it_is_obeyed_from_the_step_in_which_it_is_learned() -> None:
    world = GovernedWorld()
    effects = step(world, N1, commit(1))
    policies = world.replica(N1).parts.policies
    assert policies.obeyed == 1 and policies.may(ALICE, Right.ADMIN, "", 0) == Allowed()
    assert "policy 1 of 'alice' is obeyed from now on" in effects.notices


def test_s18_the_server_is_told_of_it_in_that_step_if_policies_are_enforced() -> None:
    world = GovernedWorld()
    assert world.replica(N1).parts.policies.enforced is None
    assert step(world, N1, commit(1)).at_once[0] == PolicyObeyed(1, read(SMALL))
    assert not of_kind(step(world, N1, commit(1), commit(2, b"{}")).at_once, PolicyObeyed)
    assert world.replica(N1).parts.policies.enforced == read(SMALL)
    open_to_all = ChangingWorld()
    assert not of_kind(step(open_to_all, N1, commit(1)).at_once, PolicyObeyed)
    assert open_to_all.replica(N1).parts.policies.enforced is None


def test_s36_the_policy_that_a_node_knows_is_there_before_its_first_step() -> None:
    world = GovernedWorld()
    world.decide(N1, 1, SMALL)
    world.crash(N1)
    world.boot(N1)
    assert world.replica(N1).parts.policies.enforced == read(SMALL)


def test_s16_its_number_is_told_once_it_is_durable() -> None:
    world = GovernedWorld()
    effects = step(world, N1, commit(1), FromPeer(N2, AskPolicy(5, 0, 0)))
    assert of_kind(said(effects), PolicyTold) == [PolicyTold(5, 0, 0, MAX_AGE_MS)]
    assert effects.sync, "others wait for it"
    told = of_kind(said(step(world, N1, FromPeer(N2, AskPolicy(6, 0, 1)))), PolicyTold)
    assert told == [PolicyTold(6, 0, 1, MAX_AGE_MS)]


def test_s11_an_older_policy_that_is_learned_late_changes_nothing() -> None:
    world = GovernedWorld()
    step(world, N1, commit(3))
    step(world, N1, commit(2, encode(read(LOOK))))
    policies = world.replica(N1).parts.policies
    assert (policies.known, policies.obeyed) == (3, 3)
    assert isinstance(policies.may(BOB, Right.READ, "a", 0), Denial)


def test_s11_one_that_cannot_be_read_leaves_the_last_in_force_and_alarms() -> None:
    world = GovernedWorld()
    world.decide(N1, 1, LOOK)
    world.decide(N1, 2, b'{"format": 9}')
    for node in EVERY:
        policies = world.replica(node).parts.policies
        assert (policies.known, policies.obeyed) == (2, 1)
        assert policies.may(BOB, Right.READ, "a", 0) == Allowed()
    assert "this node obeys policy 1: '$policy@2' holds no policy" in world.alarms[-1]
    world.alarms.clear()
    world.crash(N1)
    world.boot(N1)
    assert "obeys policy 1" in world.alarms[0]
    assert world.obeyed()[N1] == 1
    world.decide(N2, 3, SMALL)
    assert world.obeyed() == dict.fromkeys(EVERY, 3)


def test_s11_a_node_obeys_it_from_its_start_on() -> None:
    world = GovernedWorld()
    world.decide(N1, 1, SMALL)
    world.decide(N1, 2, LOOK)
    world.crash(N3)
    world.boot(N3)
    policies = world.replica(N3).parts.policies
    assert (policies.known, policies.obeyed, policies.durable) == (2, 2, 2)


def test_s11_a_joiner_and_an_observer_obey_it_too() -> None:
    world = GovernedWorld([N4])
    world.decide(N1, 1, SMALL)
    world.run(5_000)
    assert world.obeyed()[N4] == 1


# -- whether it is confirmed


def test_s14_a_start_is_not_confirmed_until_voters_have_answered() -> None:
    world = GovernedWorld()
    assert world.confirmed() == EVERY
    world.crash(N1)
    world.cut_off(N1)
    world.boot(N1)
    world.run(1_000)
    assert world.confirmed() == [N2, N3]
    world.lose = lambda *_: False
    world.run(3_000)
    assert world.confirmed() == EVERY


def test_s14_a_node_that_is_cut_off_is_confirmed_no_longer_and_is_again_later() -> None:
    world = GovernedWorld()
    world.cut_off(N3)
    world.decide(N1, 1, SMALL)
    world.run_out()
    assert world.confirmed() == [N1, N2] and world.obeyed() == {N1: 1, N2: 1, N3: 0}
    world.lose = lambda *_: False
    world.run(4_000)
    assert world.confirmed() == EVERY and world.obeyed()[N3] == 1


def test_s17_what_a_node_began_by_its_own_word_ends_when_others_vote_and_none_answers() -> None:
    """A sole voter is confirmed without end, as long as it is the sole voter."""
    world = GovernedWorld([N2, N3], config(1))
    for holder, queue in ((b"one", False), (b"two", True)):
        claim = TermClaim("me", holder, 60_000, b"h" * 32)
        mark = world.send(N1, LockRequest(world.new_id(), 60_000, "l", queue, claim))
        world.run(10)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, PolicyTold)
    world.change(N1, N1, N2, N3)
    assert world.confirmed() == [N2, N3] and world.answers[mark] == []
    world.run_out()
    [ended] = world.answers[mark]
    assert isinstance(ended, Failed) and "policy not confirmed" in ended.message


def test_s14_who_hears_of_a_newer_one_fetches_it_at_once() -> None:
    world = GovernedWorld()
    for message in (PolicyTold(1, 0, 4, MAX_AGE_MS), AskPolicy(1, 0, 4)):
        effects = step(world, N1, FromPeer(N2, message))
        assert of_kind(said(effects), Fetch) == [Fetch((policy_key(4),))]


def test_s14_one_answer_of_two_is_a_quorum_with_the_node_itself() -> None:
    world = GovernedWorld()
    world.crash(N3)
    world.run_out()
    assert world.confirmed() == [N1, N2]
    world.crash(N2)
    world.run_out()
    assert world.confirmed() == []


def test_s14_a_new_epoch_begins_unconfirmed() -> None:
    world = GovernedWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, PolicyTold)
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4] and world.confirmed() == []
    world.lose = lambda *_: False
    world.run(3_000)
    assert world.confirmed() == [N1, N2, N3, N4]  # n3 has no vote, and asks those that have


def test_s14_a_node_that_does_not_vote_answers_nothing() -> None:
    world = GovernedWorld([N4])
    assert of_kind(said(step(world, N4, FromPeer(N2, AskPolicy(5, 0, 0)))), PolicyTold) == []


def test_s14_what_may_be_a_newer_policy_is_waited_for() -> None:
    """A voter of a new epoch may hold it from the voters before, and be the only one that does."""
    world = GovernedWorld()
    world.lose = lambda _, __, message: isinstance(message, Accepted | Commit)
    accept = Accept(policy_key(1), decree(1).ballot, decree(1))
    world.post(N1, FromPeer(N2, accept))
    world.run(10)
    held = stored(world, N1, policy_key(1))
    assert held == Instance(decree(1).ballot, held.accepted, None) and held.accepted is not None
    assert world.confirmed() == [N2, N3]
    assert of_kind(said(step(world, N1, FromPeer(N2, AskPolicy(5, 0, 0)))), PolicyTold) == []
    world.lose = lambda *_: False
    world.run(10_000)  # R22: it is finished
    assert world.obeyed() == dict.fromkeys(EVERY, 1) and world.confirmed() == EVERY


def test_s14_a_voter_whose_newest_policy_is_damaged_confirms_no_earlier_one() -> None:
    """It was counted among those that know the newest, and who was cut off then may ask it."""
    world = GovernedWorld()
    world.decide(N1, 1, SMALL)
    world.cut_off(N3)
    world.decide(N1, 2, LOOK)
    world.run_out()
    assert world.obeyed() == {N1: 2, N2: 2, N3: 1} and N3 not in world.confirmed()
    world.crash(N2)
    disk = world.machines[N2].disk
    disk.write({instance_key(policy_key(2)): b"damaged"})
    disk.damages += 1
    world.lose = lambda sender, to, _: N1 in (sender, to)
    world.boot(N2)
    world.run(3_000)
    assert world.confirmed() in ([N1], []), "policy 2 is in force, and only n1 knows it"
    assert world.replica(N2).parts.confirming.is_confirmed(world.now_ms) is False


def test_a_cluster_that_does_not_obey_policies_asks_for_none() -> None:
    world = World()
    world.run(15_000)
    assert [message for *_, message in world.sent if isinstance(message, AskPolicy)] == []


def test_s11_a_policy_that_is_learned_in_a_step_counts_in_the_rest_of_it() -> None:
    world = GovernedWorld()
    world.run(1_000)
    parts = world.replica(N1).parts
    admission = Admission(parts)
    step, request = world.builder(), claimed(world, "k")
    assert admission.refusal(step, ANONYMOUS, request) is None
    parts.policies.on_learned(step, policy_decree(1, GOVERNED))
    refused = admission.refusal(step, ANONYMOUS, request)
    assert refused is not None and refused.error is Denied
