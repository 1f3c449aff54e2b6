"""S36: a policy refuses certificates by marks, and a request has none: it waits for its connection."""

from decreed.registry.errors import Denied
from decreed.registry.paxos.messages import Accept, AcceptMany, Commit
from decreed.registry.policy.series import policy_key
from decreed.registry.replica.step.effects import PolicyObeyed
from decreed.registry.replica.step.events import ClientGone, FromClient, FromPeer
from decreed.registry.wire.requests import Failed

from ...policy.samples import BOB
from ...support.changed import N1, N2, of_kind, said, step
from ...support.governed import GovernedWorld
from .asking import GOVERNED, answers, claimed, policy_decree


def governed() -> GovernedWorld:
    world = GovernedWorld()
    world.decide(N1, 1, GOVERNED)
    return world


def refusing(entry: str) -> FromPeer:
    newer = policy_decree(2, {**GOVERNED, "refused": [entry]})
    return FromPeer(N2, Commit(policy_key(2), newer))


def test_what_comes_behind_it_in_its_step_begins_once_refused_connections_are_cut() -> None:
    world = governed()
    asked = FromClient(9, (claimed(world, "app/1"),), BOB)
    effects = step(world, N1, refusing("serial:1f"), asked)
    assert not answers(effects) and not of_kind(said(effects), Accept, AcceptMany)
    assert next(type(item) for item in effects.at_once) is PolicyObeyed
    assert effects.again == [asked], "the server drops it if its connection is cut"


def test_a_connection_that_ends_in_that_step_leaves_no_request_behind() -> None:
    world = governed()
    asked = FromClient(9, (claimed(world, "app/1"),), BOB)
    effects = step(world, N1, refusing("serial:1f"), asked, ClientGone(9))
    assert effects.again == [asked, ClientGone(9)]
    step(world, N1, *effects.again)
    assert not list(world.replica(N1).parts.requests.all())


def test_who_is_refused_by_name_is_told_at_once() -> None:
    world = governed()
    asked = FromClient(9, (claimed(world, "app/1"),), BOB)
    effects = step(world, N1, refusing("client/bob"), asked)
    [failed] = of_kind(answers(effects), Failed)
    assert isinstance(failed, Failed) and failed.code == Denied.code
