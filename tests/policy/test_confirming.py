"""S14 and S16: until when a policy is confirmed, and from when on no older one is obeyed."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.policy.confirming import Confirmation, Rollout, begun, lapse_ms
from decreed.registry.types import NodeId
from decreed.registry.wire.policy import PolicyTold

from .samples import few

N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))
THREE = Epoch.formed(Quorums.majority((N1, N2, N3)))
LATER = Epoch(1, Quorums.majority((N1, N2, N4)), (b"1" * 16, b"2" * 16, b"4" * 16))
AGE = 10_000.0
GOOD = 9_900.0
"""What is left of an answer's age after the margin for clocks of different rates."""


def answer(number: int, newest: int = 0, epoch: int = 0, age_ms: float = AGE) -> PolicyTold:
    return PolicyTold(number, epoch, newest, int(age_ms))


def asked(*sent_ms: float, epoch: Epoch = THREE) -> Confirmation:
    """Questions 1, 2, … were sent at these times."""
    confirmation = Confirmation.begun(epoch)
    for number, at_ms in enumerate(sent_ms, start=1):
        confirmation = confirmation.asking(number, at_ms, AGE)
    return confirmation


def test_s14_a_start_is_not_confirmed() -> None:
    assert Confirmation.begun(THREE).until_ms(N1, AGE) == -inf


def test_s14_it_counts_from_the_sending_of_the_ping() -> None:
    confirmation = asked(1_000.0, 2_000.0).told(N2, answer(1), 0)
    assert confirmation.until_ms(N1, AGE) == 1_000.0 + GOOD
    assert confirmation.told(N2, answer(2), 0).until_ms(N1, AGE) == 2_000.0 + GOOD


def test_s14_a_late_answer_takes_nothing_back() -> None:
    confirmation = asked(1_000.0, 2_000.0).told(N2, answer(2), 0).told(N2, answer(1), 0)
    assert confirmation.until_ms(N1, AGE) == 2_000.0 + GOOD
    assert confirmation.holds(2_000.0 + GOOD - 1, N1, AGE)
    assert not confirmation.holds(2_000.0 + GOOD, N1, AGE)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (N2, answer(7)),
        (N2, answer(0)),
        (N2, answer(1, newest=4)),
        (N2, answer(1, epoch=1)),
        (N4, answer(1)),
    ],
    ids=[
        *("of another life", "of nothing", "knows a newer one", "of another epoch"),
        "no voter",
    ],
)
def test_s14_an_answer_that_does_not_count(node: NodeId, said: PolicyTold) -> None:
    assert asked(1_000.0).told(node, said, known=3).until_ms(N1, AGE) == -inf


def test_s14_a_voter_that_knows_an_older_one_knows_none_newer() -> None:
    assert asked(1_000.0).told(N2, answer(1, newest=2), known=3).holds(1_000.0, N1, AGE)


def test_s14_a_prepare_quorum_is_needed_and_an_observer_is_none_of_it() -> None:
    five = Epoch.formed(Quorums((N1, N2, N3, N4, N5), 4, 2))
    confirmation = asked(1_000.0, 2_000.0, 3_000.0, epoch=five)
    confirmation = confirmation.told(N2, answer(1), 0).told(N3, answer(2), 0)
    assert not confirmation.holds(3_000.0, N1, AGE)
    confirmation = confirmation.told(N4, answer(3), 0)
    assert confirmation.until_ms(N1, AGE) == 1_000.0 + GOOD
    assert confirmation.until_ms(None, AGE) == -inf
    assert confirmation.told(N5, answer(3), 0).until_ms(None, AGE) == 1_000.0 + GOOD


def test_s14_a_voter_counts_itself_once() -> None:
    confirmation = asked(1_000.0).told(N1, answer(1), 0)
    assert confirmation.until_ms(N1, AGE) == -inf


def test_a_cluster_of_one_confirms_by_itself() -> None:
    alone = Epoch.formed(Quorums.majority((N1,)))
    assert Confirmation.begun(alone).until_ms(N1, AGE) == inf
    assert Confirmation.begun(alone).until_ms(None, AGE) == -inf


def test_old_questions_are_forgotten() -> None:
    confirmation = asked(*(float(at) for at in range(0, 60_000, 1_000)))
    assert len(confirmation.asked) == 10
    assert confirmation.told(N2, answer(1), 0) == confirmation


# -- S16


def test_s16_apply_is_done_at_once_if_all_voters_know() -> None:
    rollout = begun(3, THREE)
    for node in THREE.nodes:
        assert not rollout.is_over(500.0, AGE)
        rollout = rollout.heard(node, answer(0, newest=3), 500.0)
    assert rollout.missing == () and rollout.is_over(500.0, AGE)


def test_s16_else_it_waits_until_no_confirmation_of_an_older_one_is_left() -> None:
    rollout = begun(3, THREE).heard(N1, answer(0, newest=3), 100.0)
    assert rollout.over_ms(AGE) == inf
    rollout = rollout.heard(N3, answer(0, newest=4), 200.0)
    assert rollout.missing == (N2,)
    assert rollout.over_ms(AGE) == 200.0 + lapse_ms(AGE) > 200.0 + AGE


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (N2, answer(0, newest=2)),
        (N2, answer(0, newest=3, epoch=1)),
        (N4, answer(0, newest=3)),
    ],
    ids=["knows an older one", "another epoch", "no voter"],
)
def test_s16_what_does_not_count(node: NodeId, said: PolicyTold) -> None:
    rollout = begun(3, THREE).heard(N1, answer(0, newest=3), 0.0)
    assert rollout.heard(node, said, 0.0) == rollout


def test_s16_the_counting_begins_again_in_a_new_epoch() -> None:
    rollout = begun(3, THREE)
    for node in THREE.nodes:
        rollout = rollout.heard(node, answer(0, newest=3), 0.0)
    assert rollout.in_epoch(THREE) is rollout
    again = rollout.in_epoch(LATER)
    assert again.missing == LATER.nodes and again.over_ms(AGE) == inf


def test_s16_who_voted_before_may_be_confirmed_until_a_voter_of_this_epoch_is_heard() -> None:
    """That one has taken over, so no quorum of the earlier epoch answers there any more."""
    rollout = begun(3, LATER)
    for heard_ms, node in zip((500.0, 600.0, 700.0), LATER.nodes, strict=True):
        rollout = rollout.heard(node, answer(0, newest=3, epoch=1), heard_ms)
    assert rollout.missing == ()
    assert rollout.over_ms(AGE) == 500.0 + lapse_ms(AGE)


SIZES = st.integers(1, 5).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(1, n)).flatmap(
        lambda pair: st.tuples(
            st.just(pair[0]), st.just(pair[1]), st.integers(pair[0] - pair[1] + 1, pair[0])
        )
    )
)


@few
@given(SIZES, st.data())
def test_s16_no_confirmation_outlives_a_rollout(
    sizes: tuple[int, int, int], data: st.DataObject
) -> None:
    """The voters that a rollout has heard answer no more; whatever was answered before is too old."""
    count, prepare, accept = sizes
    nodes = tuple(NodeId(f"n{number}") for number in range(count))
    epoch = Epoch.formed(Quorums(nodes, prepare, accept))
    asker = data.draw(st.sampled_from(nodes))
    knows = data.draw(st.lists(st.sampled_from(nodes), unique=True))
    rollout: Rollout = begun(1, epoch)
    confirmation = Confirmation.begun(epoch)
    heard_ms = 0.0
    for node in knows:
        confirmation = confirmation.asking(len(confirmation.asked) + 1, heard_ms, AGE)
        for other in nodes:
            if other not in knows[: knows.index(node)] and other != asker:
                confirmation = confirmation.told(other, answer(confirmation.asked[-1][0]), 0)
        rollout = rollout.heard(node, answer(0, newest=1), heard_ms)
        heard_ms += data.draw(st.sampled_from([0.0, 1_000.0]))
    over_ms = rollout.over_ms(AGE)
    if over_ms != inf:
        for later_ms in (0.0, 5_000.0):  # those that are left go on to answer
            number = len(confirmation.asked) + 1
            confirmation = confirmation.asking(number, heard_ms + later_ms, AGE)
            for other in set(nodes) - set(knows) - {asker}:
                confirmation = confirmation.told(other, answer(number), 0)
        obeys_the_old = asker not in knows
        assert not (obeys_the_old and confirmation.holds(over_ms, asker, AGE))
