"""Asking for the lock ``l`` in a world, and releasing it."""

from decreed.registry.locks.terms import (
    Ending,
    How,
    LeaseId,
    TermClaim,
    lock_and_term,
)
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import (
    Answer,
    Granted,
    LockRequest,
)

from .proven import to_end, to_keep, wish
from .world import World

TTL_MS = 1_000
RELEASED = Ending(How.RELEASED)
Mark = tuple[NodeId, int]


def wanted(name: str, ttl_ms: int = TTL_MS) -> TermClaim:
    """The claim of a holder with this name."""
    return wish(name, b"id of " + name.encode(), ttl_ms)


def want(
    world: World, node: str, name: str, *, queue: bool = True, timeout_ms: int = 20_000
) -> Mark:
    """Ask for the lock ``l`` and do not wait for the answer."""
    request = LockRequest(world.new_id(), timeout_ms, "l", queue, wanted(name))
    return world.send(node, request)


def lock(world: World, node: str, name: str) -> Granted:
    """Get the lock, and wait until it is granted."""
    granted = world.ask(
        node, LockRequest(world.new_id(), 20_000, "l", True, wanted(name)), within_ms=20_000
    )
    assert isinstance(granted, Granted), granted
    return granted


def keep(world: World, node: str, held: LeaseId) -> Answer:
    """Send the holder's keep-alive."""
    return world.ask(node, to_keep(world.new_id(), 1_000, held))


def release(world: World, node: str, held: LeaseId, ending: Ending = RELEASED) -> Answer:
    """End a term."""
    return world.ask(node, to_end(world.new_id(), 1_000, held, ending))


def told(world: World, mark: Mark) -> Answer | None:
    """The answer, if there is one yet."""
    answers = world.answers[mark]
    return answers[0] if answers else None


def term(answer: Answer | None) -> int:
    """The number of the term that was granted."""
    assert isinstance(answer, Granted), answer
    return lock_and_term(answer.decree.key)[1]
