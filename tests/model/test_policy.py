"""S14 to S17 in every interleaving of a small case: a right is revoked, and a node may be cut off.

The number of states is asserted, so that a change to the rules or to the model cannot make the search
smaller unnoticed.
"""

from collections.abc import Callable
from typing import Any

import pytest

from decreed.registry.paxos.epochs import Epoch
from decreed.registry.policy.confirming import Confirmation, Rollout
from decreed.registry.types import NodeId
from decreed.registry.wire.policy import PolicyTold

from .checker import explore
from .policy_model import FINISH, LATE, QUIET, PolicyModel

Seeded = Callable[[pytest.MonkeyPatch], None]
LIMIT = 20_000


def test_nothing_is_proposed_late_and_all_can_be_finished() -> None:
    report = explore(PolicyModel())
    assert not report.broken, "\n".join(report.trace)
    assert report.complete and not report.missing
    assert (report.states, report.depth) == (QUIET.states, QUIET.depth)


def _patched(name: str, what: Any, of: type[Any] = Confirmation) -> Seeded:
    return lambda patch: patch.setattr(of, name, what)


def _counts_from_the_answer(self: Confirmation, node: NodeId, said: PolicyTold, known: int) -> Any:
    """Now is 0 in the model."""
    answered = {**dict(self.answered), node: 0.0}
    return Confirmation(self.epoch, self.asked, tuple(sorted(answered.items())))


def _asks_one(self: Confirmation, own: NodeId | None, max_age_ms: float) -> float:
    return float("inf")


def _confirmed_at_the_start(cls: type[Confirmation], epoch: Epoch) -> Confirmation:
    return Confirmation(epoch, (), tuple((node, 0.0) for node in epoch.nodes))


def _done_with_a_quorum(self: Rollout, now_ms: float, max_age_ms: float) -> bool:
    return self.since_ms is not None


@pytest.mark.parametrize(
    "seed",
    [
        _patched("told", _counts_from_the_answer),
        _patched("until_ms", _asks_one),
        _patched("begun", classmethod(_confirmed_at_the_start)),
        _patched("is_over", _done_with_a_quorum, Rollout),
        _patched("seal", property(lambda _: 1), Epoch),
    ],
    ids=[
        *("confirmation counted from the answer", "confirmation by one node"),
        *("a start that is confirmed", "apply done at a quorum without the wait"),
        "apply waits for one voter",
    ],
)
def test_a_mistake_in_the_rules_lets_a_claim_begin_late(
    seed: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(monkeypatch)
    report = explore(PolicyModel(), limit=LIMIT)
    assert report.broken == [LATE] and report.trace


def test_a_right_that_is_checked_at_the_opening_alone_lets_a_claim_begin_late() -> None:
    report = explore(PolicyModel(checks_at_proposal=False), limit=LIMIT)
    assert report.broken == [LATE]


def test_a_check_in_the_acceptor_leaves_what_nobody_can_finish() -> None:
    report = explore(PolicyModel(acceptors_check=True), limit=LIMIT)
    assert report.broken == [FINISH]
