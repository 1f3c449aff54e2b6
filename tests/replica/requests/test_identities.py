"""S09: a decree says whose claim it was, as the node that took the claim had proven it."""

import pytest

from decreed.registry.errors import BadRequest
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import (
    Ballot,
    Claim,
    Decree,
    Key,
    NodeId,
    Outcome,
    Process,
    decree_digest,
    outcome,
)
from decreed.registry.wire.peers import PassedClaim
from decreed.registry.wire.requests import ClaimNextRequest, ClaimRequest, Decreed, Failed

from ...support.world import World, claim

ALICE = Identity("client", "alice")
N1, N2, N3 = (NodeId(f"n{number}") for number in (1, 2, 3))


def ask(world: World, node: NodeId, request: ClaimRequest | ClaimNextRequest) -> Decree:
    """The decree that a claim of Alice's is answered with."""
    world.answers[mark := (node, request.id)] = []
    world.post(node, FromClient(1, (request,), ALICE))
    world.settle()
    [answer] = world.answers[mark]
    assert isinstance(answer, Decreed), answer
    return answer.decree


def test_S09_a_decree_has_the_identity_wherever_it_was_claimed() -> None:
    world = World()
    for number, node in enumerate((N1, N2, N3) * 3):
        request = ClaimRequest(world.new_id(), 1_000, False, claim(f"k{number}"))
        assert ask(world, node, request).identity == "client/alice"
    assert any(isinstance(message, PassedClaim) for _, _, message in world.sent)


def test_S09_a_slot_has_the_identity_too() -> None:
    world = World()
    for node in (N1, N2, N3):
        wanted = claim("s@1", claim_id=node.encode())
        found = ask(world, node, ClaimNextRequest(world.new_id(), 1_000, False, wanted))
        assert found.identity == "client/alice"


def test_S09_who_finishes_a_claim_does_not_make_it_his_own() -> None:
    world = World()
    key = "k"
    found = ask(world, N1, ClaimRequest(world.new_id(), 1_000, True, claim(key)))
    again = world.claim(N2, claim(key))
    assert isinstance(again, Decreed) and again.decree == found
    assert found.identity == "client/alice"


def test_S09_the_identity_is_no_part_of_won_and_lost() -> None:
    mine = claim("k")
    ballot = Ballot.first(Process(N1, 1))
    for identity in ("", "client/alice", "token/ci"):
        assert outcome(mine, Decree.of(mine, ballot, 0, identity)) is Outcome.WON


@pytest.mark.parametrize("text", ["alice", "root/alice", "client/", "client/a b", "anonymous/a"])
def test_S08_a_claim_that_is_passed_on_with_no_identity_of_ours_is_refused(text: str) -> None:
    world = World()
    world.sent.clear()
    passed = PassedClaim(ClaimRequest(7, 1_000, True, claim("k")), text)
    world.post(N1, FromPeer(N2, passed))
    world.settle()
    failed = [message for _, _, message in world.sent if isinstance(message, Failed)]
    assert [(answer.id, answer.code) for answer in failed] == [(7, BadRequest.code)]


def test_decrees_without_an_identity_keep_the_digest_that_they_had_before() -> None:
    whose = Claim(Key("k"), b"v", "text/plain", "ann", b"1", "why")
    decree = Decree.of(whose, Ballot.first(Process(N1, 1)), 5)
    assert decree_digest(decree).hex() == "64676cc54047eee781b93bd0ed281f8f"
    assert decree_digest(decree) != decree_digest(
        Decree.of(whose, decree.ballot, decree.time_ms, "client/alice")
    )


def test_an_identity_is_read_as_it_is_recorded() -> None:
    for identity in (ALICE, ANONYMOUS, Identity("token", "ci"), Identity("node", "n1")):
        assert Identity.of_recorded(identity.recorded) == identity
    assert (str(ALICE), str(ANONYMOUS)) == ("client/alice", "anonymous")
    assert (ALICE.recorded, ANONYMOUS.recorded) == ("client/alice", "")
