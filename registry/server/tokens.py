"""Whose a token is that a client shows at its greeting (S07, S33).

Invariants kept here:

* a token is hashed before anything else happens to it, and only the digest is kept;
* which of wrong, expired and revoked it is, nobody is told;
* a token is refused for good only by a policy that is confirmed. A node that is behind may not know yet
  the policy that has it: who shows it is sent elsewhere. Since `apply` returns only when no node begins
  anything under an older policy, a token that was made and told is never refused for good;
* what an open connection may do is asked at each request (`Rights`); one whose token is gone ends.
"""

import time
from collections.abc import Callable

from msgspec import Struct

from ..errors import TokenRefused, Unreachable
from ..identity import Identity
from ..policy.document import Policy
from ..policy.tokens import KnownTokens, digest_of
from ..replica.parts import Parts

NOT_ACCEPTED = (
    "the token is not accepted: it is wrong, has expired, or was revoked; look with 'decreed auth"
    " list', and make another with 'decreed auth create'"
)
NOT_YET = "this node cannot say whose the token is: ask another node, or again"


class TokenBearer(Struct, frozen=True):
    """Who shows a token.

    Args:
        identity: whose it is.
        expires_s: when it ends, in seconds since 1970.
    """

    identity: Identity
    expires_s: float


class TokenCheck:
    """Finds the bearers of tokens.

    Args:
        cluster_id: of this cluster.
        policy: gives the policy that this node keeps to; None if there is none.
        settled: whether that is confirmed, or no policies are obeyed here, so that a refusal is final.
        now_s: the wall clock, in seconds since 1970.
    """

    def __init__(
        self,
        cluster_id: str,
        policy: Callable[[], Policy | None],
        settled: Callable[[], bool],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._cluster_id = cluster_id
        self._policy, self._settled, self._now_s = policy, settled, now_s
        self._read: tuple[Policy | None, KnownTokens | None] = (None, None)

    def bearer(self, shown: bytes) -> TokenBearer:
        """Who shows this token.

        Raises:
            TokenRefused: nobody who may come in.
            Unreachable: this node cannot say.
        """
        digest = digest_of(shown, self._cluster_id)
        tokens = self._tokens()
        identity = tokens.identity(digest, self._now_ms()) if tokens is not None else None
        if tokens is not None and identity is not None:
            return TokenBearer(identity, tokens.expires_ms(digest) / 1000)
        if not self._settled():
            raise Unreachable(NOT_YET)
        raise TokenRefused(NOT_ACCEPTED)

    def is_gone(self, identity: Identity) -> bool:
        """Whether the token by which somebody is known is none any more."""
        if not identity.digest:
            return False
        tokens = self._tokens()
        return tokens is None or tokens.identity(identity.digest, self._now_ms()) != identity

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)

    def _tokens(self) -> KnownTokens | None:
        """The tokens of the policy; they are read once for each."""
        policy = self._policy()
        if policy is None:
            return None
        known, tokens = self._read
        if known is not policy or tokens is None:
            tokens = KnownTokens(policy)
            self._read = policy, tokens
        return tokens


def token_check(parts: Parts, now_ms: Callable[[], float]) -> TokenCheck:
    """Finds the bearers of tokens by the policy of a node.

    Args:
        parts: of its replica.
        now_ms: the clock of its loop.
    """

    def is_settled() -> bool:
        """S14: no newer policy can be in force than the one that is obeyed here."""
        return not parts.confirming.asks or parts.confirming.is_confirmed(now_ms())

    cluster_id = parts.node.config.cluster_id
    return TokenCheck(cluster_id, lambda: parts.policies.enforced, is_settled)
