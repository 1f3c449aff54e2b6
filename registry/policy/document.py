"""The values of a policy: grants in roles, roles of identities, tokens, limits, quotas, refusals.

A policy only grants. There are no denials, so the order of grants means nothing, and each grant can be
read by itself. A right includes no other right.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from ..types import Counter

FORMAT = 1
MAX_POLICY_BYTES = 1 << 20
MAX_ROLES = 1_000
MAX_GRANTS = 10_000
MAX_NAMED = 10_000
"""How many identities, tokens, limits, quotas and refusals a policy may have, of each."""
ANYONE = "anyone"
"""Every caller, the anonymous one too; it stands where the name of an identity could."""


class Right(StrEnum):
    """What a grant allows below its prefix (the verbs of a policy)."""

    READ = "read"
    CLAIM = "claim"
    LOCK = "lock"
    BREAK = "break"
    ADMIN = "admin"
    """To change members and policies, to have snapshots and scrubs made; only on the empty prefix."""
    ACT_FOR = "act-for"
    """To name another identity in a request, as gateways do; the rights of both are checked."""


class CutOff(StrEnum):
    """What becomes of reads at a node that is cut off, so that its policy may be out of date (S15)."""

    SERVE = "serve"
    REFUSE = "refuse"


class RoleGrant(Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """Rights on all keys and locks below a prefix.

    Args:
        on: the prefix, in whole segments; the empty one is every name that can be claimed or locked.
        may: the rights, each once and in order.
        when_cut_off: whether reads go on at a node whose policy is not confirmed.
    """

    on: str
    may: tuple[Right, ...]
    when_cut_off: CutOff = CutOff.SERVE


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a token.

    Args:
        sha256: of its secret, as 64 hexadecimal digits.
        expires_ms: when it ends, in milliseconds since 1970.
    """

    sha256: str
    expires_ms: int


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """What one identity may use of one node; None: no limit of its own.

    Args:
        connections: open at a time.
        in_flight: requests at a time.
        bytes_in_flight: of all its requests at a time.
        keys_per_second: how many keys and slots it may claim.
    """

    connections: Annotated[int, Meta(ge=1)] | None = None
    in_flight: Annotated[int, Meta(ge=1)] | None = None
    bytes_in_flight: Annotated[int, Meta(ge=1)] | None = None
    keys_per_second: Annotated[int, Meta(ge=1)] | None = None


class Quota(Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """How much one identity may freeze below a prefix, for all time; None: as much as it likes.

    Args:
        on: the prefix, in whole segments.
        of: the identity, or ``anyone``: each identity.
        keys: how many keys and slots.
        bytes: of all their values.
    """

    on: str
    of: str
    keys: Counter | None = None
    bytes: Counter | None = None


class Policy(Struct, frozen=True):
    """One whole policy. `parsing.parse` makes it, and checks what it says.

    Args:
        roles: the grants of each role.
        members: the roles of each identity, by its text, or of ``anyone``.
        tokens: what is kept of each token, by its name.
        limits: of each identity, or of ``anyone``: of each one that has no limit of its own.
        quotas: how much may be frozen.
        refused: what is let in no more: identities by their text, and certificates by
            ``sha256:…`` or ``serial:…``, in hexadecimal.
    """

    roles: Mapping[str, tuple[RoleGrant, ...]]
    members: Mapping[str, tuple[str, ...]]
    tokens: Mapping[str, Token]
    limits: Mapping[str, Limit]
    quotas: tuple[Quota, ...]
    refused: tuple[str, ...]

    def grants_of(self, *names: str) -> tuple[RoleGrant, ...]:
        """All grants of the roles of these members."""
        roles = dict.fromkeys(role for name in names for role in self.members.get(name, ()))
        return tuple(grant for role in roles for grant in self.roles[role])
