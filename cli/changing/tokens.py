"""Making and revoking tokens, which is a change of the policy: read it, change it, apply it.

It is applied as compare-and-set. If another policy comes first, the change is made again on top of that
one, if it still makes sense there. What makes a new policy of an old one is a function without I/O.
"""

import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from ...client.requests.policies import PolicyOutcome, PolicyVersion, Progress
from ...registry.errors import BadRequest, Refused, Unreachable
from ...registry.policy.document import Policy, Token
from ...registry.policy.encoding import encode, expiry_text
from ...registry.policy.parsing import parse
from ...registry.policy.tokens import is_alive

MOST_TRIES = 8
"""So often a change is made again, while others change the policy too."""
PAUSE_SECONDS = 0.25
NO_POLICY = (
    "there is no policy yet, and tokens are a part of it: apply one that names an administrator"
)

Edit = Callable[[Policy], Policy]


class PoliciesOf(Protocol):
    """What is asked of the cluster; `decreed.client.requests.policies.PolicyClient` does it."""

    async def latest(self, *, timeout: float | None = None) -> PolicyVersion | None:
        """The newest policy."""
        ...

    async def apply(
        self,
        document: Policy,
        *,
        base: int,
        note: str = "",
        timeout: float | None = None,
        progress: Progress = ...,
    ) -> PolicyOutcome:
        """Have a policy follow another."""
        ...


class TokenFacts(Struct, frozen=True):
    """What a policy says of a token.

    Args:
        name: of the token.
        roles: that ``token/NAME`` has.
        token: its digest, and when it expires.
    """

    name: str
    roles: tuple[str, ...]
    token: Token

    @property
    def identity(self) -> str:
        """Who shows the token."""
        return identity_of(self.name)

    @property
    def expires(self) -> str:
        """When it expires, in ISO 8601."""
        return expiry_text(self.token)


def identity_of(name: str) -> str:
    """The identity of the token with this name, as policies write it."""
    return f"token/{name}"


def tokens_in(policy: Policy) -> list[TokenFacts]:
    """All tokens of a policy, in the order of their names."""
    return [
        TokenFacts(name, policy.members.get(identity_of(name), ()), token)
        for name, token in sorted(policy.tokens.items())
    ]


def with_token(name: str, token: Token, roles: tuple[str, ...], now_ms: int) -> Edit:
    """Adds a token; one of the same name that has expired is replaced.

    Args:
        name: of the token.
        token: its digest, and when it expires.
        roles: it has these besides those that the policy gives its identity already.
        now_ms: milliseconds since 1970.
    """

    def edit(policy: Policy) -> Policy:
        held = policy.tokens.get(name)
        if held is not None and is_alive(held, now_ms):
            raise BadRequest(
                f"there is a token {name!r}, until {expiry_text(held)}: take another name for the new"
                " one, and revoke the old one once nobody uses it"
            )
        for role in roles:
            if role not in policy.roles:
                known = ", ".join(sorted(policy.roles)) or "none"
                raise BadRequest(f"the policy has no role {role[:60]!a}; it has: {known}")
        all_roles = tuple(sorted({*policy.members.get(identity_of(name), ()), *roles}))
        members = {**policy.members, **({identity_of(name): all_roles} if all_roles else {})}
        return replace(policy, tokens={**policy.tokens, name: token}, members=members)

    return edit


def without_token(name: str) -> Edit:
    """Takes a token out, with its roles and limits; a quota stays, since it counts for all time."""

    def edit(policy: Policy) -> Policy:
        if name not in policy.tokens:
            known = ", ".join(sorted(policy.tokens)) or "none"
            raise BadRequest(f"the policy has no token {name[:60]!a}; it has: {known}"[:500])
        gone = identity_of(name)
        return replace(
            policy,
            tokens={other: token for other, token in policy.tokens.items() if other != name},
            members={who: roles for who, roles in policy.members.items() if who != gone},
            limits={who: limit for who, limit in policy.limits.items() if who != gone},
        )

    return edit


async def newest(policies: PoliciesOf, seconds: float) -> PolicyVersion:
    """The newest policy.

    Raises:
        Refused: if there is none.
    """
    found = await policies.latest(timeout=seconds)
    if found is None:
        raise Refused(NO_POLICY)
    return found


async def change(
    policies: PoliciesOf,
    edit: Edit,
    note: str,
    seconds: float,
    progress: Progress,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> PolicyOutcome:
    """Make a change of the newest policy, and wait until it is in force.

    Args:
        policies: of the cluster.
        edit: makes the new policy of the newest one, as often as that changes meanwhile.
        note: kept in the decree.
        seconds: for all together.
        progress: is told while it is decided and not in force yet.
        now, sleep: the clock.

    Returns:
        How it ended: it is decided.

    Raises:
        BadRequest: if the change makes no sense.
        DecreedError: as `PolicyClient.apply` does.
    """
    deadline, behind = now() + seconds, BadRequest("")
    for _ in range(MOST_TRIES):
        version = await newest(policies, _left(deadline, now))
        # read again here, so that what is wrong with it is told before anything is sent
        wanted = parse(encode(edit(version.policy)))
        left, base = _left(deadline, now), version.number
        try:
            outcome = await policies.apply(
                wanted, base=base, note=note, timeout=left, progress=progress
            )
        except BadRequest as error:
            behind = error  # the node that was asked does not know the newest policy yet
        else:
            if outcome.won:
                return outcome
        sleep(min(PAUSE_SECONDS, _left(deadline, now)))
    raise behind if str(behind) else Unreachable("others change the policy all the time; try again")


def _left(deadline: float, now: Callable[[], float]) -> float:
    left = deadline - now()
    if left <= 0:
        raise Unreachable("no time is left, and nothing was changed")
    return left
