"""A term is kept and released only with its secret (S10)."""

import pytest
from msgspec.structs import replace

from decreed.registry.errors import BadRequest
from decreed.registry.locks.terms import (
    CONTENT_TYPE,
    Ending,
    How,
    LeaseId,
    lease_id,
    term_key,
    term_of,
)
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.codec import encode
from decreed.registry.wire.requests import (
    Answer,
    Ended,
    EndRequest,
    Failed,
    Granted,
    HeldBy,
    HolderRequest,
    KeepAliveRequest,
    Kept,
    LockRequest,
    Superseded,
)

from ...support.lockers import RELEASED, keep, lock, release, wanted
from ...support.proven import secret_of
from ...support.world import World

N1 = NodeId("n1")
OTHER = bytes(32)
BROKEN = Ending(How.BROKEN, "op", "it hangs")


def is_refused(answer: Answer) -> bool:
    return isinstance(answer, Failed) and answer.code == BadRequest.code


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_another_secret_neither_keeps_nor_releases_a_term(node: str) -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    kept = world.ask(node, KeepAliveRequest(world.new_id(), 500, held, OTHER))
    assert isinstance(kept, Superseded)
    for secret in (OTHER, None):
        assert is_refused(world.ask(node, EndRequest(world.new_id(), 500, held, RELEASED, secret)))
    identity = world.ask(node, HolderRequest(world.new_id(), 500, "l"))
    assert isinstance(identity, HeldBy) and identity.remaining_ms > 0
    assert isinstance(keep(world, node, held), Kept)
    assert isinstance(release(world, node, held), Ended)


def test_s10_a_wrong_secret_gets_the_same_answer_as_a_term_that_nobody_knows() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    for unknown in (replace(held, claim_id=b"none"), replace(held, term=7)):
        for node in ("n1", "n2"):
            wrong = world.ask(node, KeepAliveRequest(1, 500, held, OTHER))
            assert world.ask(node, KeepAliveRequest(1, 500, unknown, OTHER)) == wrong
            wrong = world.ask(node, EndRequest(2, 500, held, RELEASED, OTHER))
            answer = world.ask(node, EndRequest(2, 500, unknown, RELEASED, OTHER))
            assert isinstance(wrong, Failed) and isinstance(answer, Failed)
            term = f"term {unknown.term} of"
            assert answer == replace(wrong, message=wrong.message.replace("term 1 of", term))
    assert isinstance(keep(world, "n1", held), Kept)


@pytest.mark.parametrize("how", [How.BROKEN, How.FORCED])
def test_an_operator_breaks_without_a_secret(how: How) -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    over = EndRequest(world.new_id(), 500, held, Ending(how, "op", "why"), None)
    assert isinstance(world.ask("n2", over), Ended)


def test_a_term_holds_the_hash_and_never_the_secret() -> None:
    world = World()
    decree = lock(world, "n1", "a").decree
    assert term_of(decree).secret_hash == wanted("a").secret_hash
    assert secret_of(decree.claim_id) not in encode(decree)


# -- terms from before there were secrets


def old_term(world: World) -> LeaseId:
    """A term as it was written then: three fields, and no hash."""
    decree = Decree(
        term_key("l", 1),
        encode([1_000, b"", None]),
        CONTENT_TYPE,
        "before",
        b"before",
        "",
        0,
        Ballot(1, Process(N1, 1)),
    )
    for node in world.config.nodes:
        world.post(node, FromPeer(N1, Commit(decree.key, decree)))
    world.run(10)
    return lease_id(decree)


def test_a_term_without_a_hash_is_read_and_followed() -> None:
    world = World()
    old_term(world)
    identity = world.ask("n2", HolderRequest(world.new_id(), 500, "l"))
    assert isinstance(identity, HeldBy) and term_of(identity.decree).secret_hash is None
    answer = world.ask("n1", LockRequest(world.new_id(), 5_000, "l", True, wanted("b")))
    assert isinstance(answer, Granted)


def test_a_term_without_a_hash_accepts_no_secret_and_can_be_broken_by_an_operator() -> None:
    world = World()
    held = old_term(world)
    for secret in (OTHER, secret_of(held.claim_id)):
        kept = world.ask("n1", KeepAliveRequest(world.new_id(), 500, held, secret))
        assert isinstance(kept, Superseded)
        assert is_refused(world.ask("n1", EndRequest(world.new_id(), 500, held, RELEASED, secret)))
    assert isinstance(world.ask("n1", EndRequest(world.new_id(), 500, held, BROKEN, None)), Ended)
