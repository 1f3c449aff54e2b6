"""S09, S10, S55: what is told of a claim id that is used again, and to who shows no secret."""

import pytest
from msgspec.structs import replace

from decreed.registry.errors import Denied, OutcomeUnknown
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.locks.terms import Ending, How, LeaseId, lease_id
from decreed.registry.wire.codec import encode as encode_wire
from decreed.registry.wire.requests import (
    Decreed,
    Ended,
    EndRequest,
    Failed,
    GivenUp,
    GiveUpRequest,
    Granted,
)

from ...policy.samples import ALICE
from ...support.changed import N1, N2, N3
from ...support.proven import secret_of, to_keep
from .eve import EveWorld, claims, code, document, locks
from .test_what_leaves import SECRET, is_silent


@pytest.fixture
def world() -> EveWorld:
    return EveWorld()


# -- claim ids


def test_s09_a_claim_id_that_is_used_again_is_told_to_who_made_the_claim_alone(
    world: EveWorld,
) -> None:
    theirs = claims(world, "blind/id", SECRET, b"deploy 7")
    world.ask_as(ALICE, N1, theirs)
    for wanted in (claims(world, "blind/id", b"guess", b"deploy 7"), theirs):
        for node in (N1, N2):
            answer = world.eve(replace(wanted, id=world.number()), node)
            assert code(answer) == OutcomeUnknown.code, "a try of the same claim may have won"
            assert SECRET not in encode_wire(answer)
    again = claims(world, "blind/id", b"other words", b"deploy 7")
    told = world.ask_as(ALICE, N1, again)
    assert isinstance(told, Decreed), "from which her client says ClaimIdReused"


def test_s09_who_made_a_claim_is_told_its_decree_without_the_right_to_read(
    world: EveWorld,
) -> None:
    mine = claims(world, "blind/mine", b"v", b"mine")
    for node in (N1, N2, N3):
        won = world.eve(replace(mine, id=world.number()), node)
        assert isinstance(won, Decreed) and won.decree.identity == "client/eve"
    other_words = world.eve(claims(world, "blind/mine", b"other", b"mine"))
    assert isinstance(other_words, Decreed) and other_words.decree.value == b"v"


def test_s09_callers_without_a_name_are_not_taken_for_each_other() -> None:
    world = EveWorld()
    nameless = document()
    nameless["members"]["anyone"] = ["blind"]
    nameless["roles"]["blind"] = [{"on": "blind", "may": ["claim"]}]
    world.decide(N1, 2, nameless)
    theirs = claims(world, "blind/id", SECRET, b"deploy 7")
    assert isinstance(world.ask_as(ANONYMOUS, N1, theirs), Decreed)
    again = world.ask_as(ANONYMOUS, N1, replace(theirs, id=world.number()))
    assert isinstance(again, Decreed), "all the words are known already"
    guessed = world.ask_as(ANONYMOUS, N1, claims(world, "blind/id", b"guess", b"deploy 7"))
    assert code(guessed) == OutcomeUnknown.code and SECRET not in encode_wire(guessed)


# -- S10, S55: secrets instead of rights


def test_s55_a_release_takes_the_secret_and_no_right(world: EveWorld) -> None:
    granted = world.eve(locks(world, "blind/l", "eve"))
    assert isinstance(granted, Granted)
    held = lease_id(granted.decree)
    world.decide(N2, 2, document(refused=["client/eve"]))
    keep = to_keep(world.number(), 1_000, held)
    assert is_silent(world.eve(keep)), "it ends within its ttl (S18)"
    assert isinstance(world.eve(released(world, held)), Ended)


def released(world: EveWorld, held: LeaseId) -> EndRequest:
    """The release of a hold, with its secret."""
    return EndRequest(world.number(), 1_000, held, Ending(How.RELEASED), secret_of(held.claim_id))


def test_a_give_up_takes_the_right_to_the_lock_since_all_nodes_remember_it(
    world: EveWorld,
) -> None:
    """It may come before its claim, so a stranger could use up all the room for them."""

    def gives_up(lock: str) -> GiveUpRequest:
        return GiveUpRequest(world.number(), 1_000, lock, b"any id", 3_600_000, b"s" * 32)

    assert code(world.ask_as(ANONYMOUS, N1, gives_up("blind/l"))) == Denied.code
    assert code(world.eve(gives_up("hidden/l"))) == Denied.code
    assert not any(len(world.replica(node).parts.leases.given_up) for node in (N1, N2, N3))
    assert isinstance(world.eve(gives_up("blind/l")), GivenUp)


def test_s10_who_has_no_secret_is_told_the_same_of_every_term(world: EveWorld) -> None:
    """Of one that is held, one that is free, one that never was: a stranger may ask."""
    theirs = world.ask_as(ALICE, N1, locks(world, "hidden/l", "alice"))
    assert isinstance(theirs, Granted)
    stranger = Identity("anonymous", "")
    told: set[tuple[int, str]] = set()
    for lock, term in (("hidden/l", 1), ("hidden/l", 2), ("hidden/x", 1)):
        held = LeaseId(lock, term, theirs.decree.claim_id)
        request = replace(released(world, held), secret=b"x" * 32)
        answer = world.ask_as(stranger, N1, request)
        assert isinstance(answer, Failed)
        place = f"term {term} of {lock!r}"
        assert place in answer.message
        told.add((answer.code, answer.message.replace(place, "it")))
    assert len(told) == 1
