"""What is found of a request before its records are loaded holds in its step, if all is the same."""

import pytest

from decreed.registry.errors import Denied
from decreed.registry.identity import Identity
from decreed.registry.paxos.messages import Commit
from decreed.registry.policy.series import policy_key
from decreed.registry.replica.admission import Admission
from decreed.registry.replica.step.events import FromPeer

from ...policy.samples import BOB
from ...support.changed import N1, N2, step
from ...support.governed import GovernedWorld
from .asking import CAROL, GOVERNED, claimed, policy_decree


@pytest.fixture
def world() -> GovernedWorld:
    found = GovernedWorld()
    found.decide(N1, 1, GOVERNED)
    return found


def test_what_was_found_before_a_step_holds_in_it_only_while_nothing_has_changed(
    world: GovernedWorld,
) -> None:
    replica = world.replica(N1)
    admission = Admission(replica.parts)
    asked = claimed(world, "app/1")
    assert not admission.denies(BOB, asked)
    refused = admission.refusal(world.builder(), CAROL, asked)
    assert refused is not None and refused.error is Denied, "it was found for another identity"
    assert not admission.denies(BOB, asked)
    newer = policy_decree(2, {**GOVERNED, "refused": ["client/bob"]})
    step(world, N1, FromPeer(N2, Commit(policy_key(2), newer)))
    refused = admission.refusal(world.builder(), BOB, asked)
    assert refused is not None and refused.error is Denied, "another policy is obeyed"


def test_what_was_found_of_a_token_before_a_step_is_asked_again_in_it(
    world: GovernedWorld,
) -> None:
    """There is no clock before a step, and a token expires."""
    token = {"sha256": "00" * 32, "expires": "1970-01-01T00:00:01Z"}
    members = {**GOVERNED["members"], "token/old": GOVERNED["members"]["client/bob"]}
    document = {**GOVERNED, "members": members, "tokens": {"old": token}}
    step(world, N1, FromPeer(N2, Commit(policy_key(2), policy_decree(2, document))))
    admission = Admission(world.replica(N1).parts)
    asked, old = claimed(world, "app/1"), Identity("token", "old")
    assert not admission.denies(old, asked)
    refused = admission.refusal(world.builder(), old, asked)
    assert refused is not None and refused.error is Denied
