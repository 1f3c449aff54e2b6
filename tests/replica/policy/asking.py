"""What a caller asks of a cluster that obeys policies."""

from typing import Any

from decreed.registry.audit import AuditEvent
from decreed.registry.identity import Identity
from decreed.registry.keys import home
from decreed.registry.locks.terms import TermClaim
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.series import claim_of
from decreed.registry.replica.step.effects import Effects, Reply
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, Process
from decreed.registry.wire.peers import PassedClaim
from decreed.registry.wire.requests import Answer, ClaimRequest, Failed, LockRequest

from ...policy.samples import changed, read
from ...support.changed import N2
from ...support.governed import GovernedWorld
from ...support.world import claim

EVE = Identity("client", "eve")
CAROL = Identity("client", "carol")
GOVERNED = changed(
    roles={
        "ops": [{"on": "", "may": ["admin", "read", "claim", "lock"]}],
        "app": [{"on": "app", "may": ["read", "claim", "lock"]}],
        "blind": [{"on": "app", "may": ["claim", "lock"]}],
        "fresh": [{"on": "app", "may": ["read"], "when_cut_off": "refuse"}],
    },
    members={
        "client/alice": ["ops"],
        "client/bob": ["app"],
        "client/eve": ["blind"],
        "client/carol": ["fresh"],
    },
    tokens={},
)


def code(answer: Answer) -> int:
    """The code of an error."""
    assert isinstance(answer, Failed), answer
    return answer.code


def claimed(world: GovernedWorld, key: str, value: bytes = b"v", ms: int = 5_000) -> ClaimRequest:
    """A claim with an id of its own."""
    number = world.new_id()
    return ClaimRequest(number, ms, False, claim(key, value, f"c{number}".encode()))


def locked(world: GovernedWorld, lock: str, *, queue: bool = False, ms: int = 5_000) -> LockRequest:
    """A request for a lock, with a claim id of its own."""
    number = world.new_id()
    wish = TermClaim("me", f"l{number}".encode(), 10_000, b"h" * 32)
    return LockRequest(number, ms, lock, queue, wish)


def at_home(world: GovernedWorld, node: str) -> str:
    """A key below ``app`` of which this node is the home."""
    keys = (f"app/{n}" for n in range(99))
    return next(key for key in keys if home(Key(key), world.config.nodes) == node)


def passed_on(world: GovernedWorld, identity: str, policy: int, key: str = "app/other") -> FromPeer:
    """A claim that n2 passes on to n1."""
    return FromPeer(N2, PassedClaim(claimed(world, key), identity, policy))


def denials(effects: Effects) -> list[tuple[int | None, str, str, int | None]]:
    """What the audit log is told of denials."""
    found = [record for record in effects.audit if record.event is AuditEvent.DENIED]
    return [(each.connection, each.right, each.path, each.policy) for each in found]


def answers(effects: Effects) -> list[object]:
    """What clients are answered."""
    return [item.answer for item in effects.at_once if isinstance(item, Reply)]


def policy_decree(number: int, document: dict[str, Any]) -> Decree:
    """The decree of a policy."""
    ballot = Ballot.first(Process(N2, 9))
    made = claim_of(number - 1, encode(read(document)), "alice", b"x")
    return Decree.of(made, ballot, 0)
