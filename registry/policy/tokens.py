"""Tokens: how they are written, and which identity one is (S07, S32).

A token is a text, ``decreed-token-NAME-SECRET``. It begins with fixed letters, so that a scanner finds
one that was left somewhere. The secret is 32 random bytes in base32. Nobody guesses 256 bits, so a fast
hash of them is as good to keep as a slow one.

A policy has the digest of the whole text alone, under the id of the cluster: a policy that is read by
others, or copied to another cluster, opens nothing there.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated, Final, Never

from msgspec import Meta, Struct

from ..errors import BadRequest
from ..identity import MAX_NAME_CHARS, NAME, Identity
from .document import Policy, Token

SECRET_BYTES = 32
PREFIX = "decreed-token-"
_SECRET_CHARS = 52
"""Of 256 bits in base32, without the padding."""
MAX_TOKEN_BYTES = 256
TokenBytes = Annotated[bytes, Meta(min_length=1, max_length=MAX_TOKEN_BYTES)]
_WRITTEN = re.compile(
    rf"{PREFIX}(?P<name>{NAME.pattern})-(?P<secret>[a-z2-7]{{{_SECRET_CHARS}}})", re.ASCII
)
assert len(PREFIX) + MAX_NAME_CHARS + 1 + _SECRET_CHARS <= MAX_TOKEN_BYTES
_NO_TOKEN: Final = ("", Token("0" * 64, 0))

DAY_MS = 86_400_000
USUAL_LIFE_MS = 30 * DAY_MS
"""How long a token is good, unless its maker says otherwise."""


class AuthToken:
    """A token, held by who shows it. It is not shown as text, and cannot be pickled.

    Args:
        text: as it is written; `parse_token` checks it.

    Attributes:
        name: of the token, which is no secret.
    """

    __slots__ = ("_text", "name")

    def __init__(self, text: str) -> None:
        self._text = text
        self.name = text.removeprefix(PREFIX)[: -(_SECRET_CHARS + 1)]

    def show(self) -> str:
        """The text: for a node, over TLS, and once for whom it was made."""
        return self._text

    def digest(self, cluster_id: str) -> str:
        """What a policy of this cluster keeps of it."""
        return digest_of(self._text.encode(), cluster_id)

    def __repr__(self) -> str:
        return f"AuthToken({self.name!r}, …)"

    def __reduce__(self) -> Never:
        raise TypeError("a token stays in the process that read it")


def make_token(name: str, random: bytes) -> AuthToken:
    """A new token.

    Args:
        name: how it is called.
        random: `SECRET_BYTES` bytes of the system's random numbers.

    Raises:
        BadRequest: if the name is none.
    """
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"{name[:60]!a} is no name of a token: it has 1 to {MAX_NAME_CHARS} of the characters"
            " A-Z a-z 0-9 . _ @ -"
        )
    assert len(random) == SECRET_BYTES
    return AuthToken(f"{PREFIX}{name}-{_written(random)}")


def parse_token(text: str) -> AuthToken:
    """The token that a text is; space around it does not count.

    Raises:
        BadRequest: if it is none. The message has nothing of the text.
    """
    stripped = text.strip()
    found = _WRITTEN.fullmatch(stripped)
    if found is None or _written(_secret(found["secret"])) != found["secret"]:
        raise BadRequest(
            f"this is no token: one is written {PREFIX}NAME-SECRET, as 'decreed auth create' shows it"
        )
    return AuthToken(stripped)


def digest_of(shown: bytes, cluster_id: str) -> str:
    """What a policy of a cluster keeps of a token: HMAC-SHA256 of its text, the key being the id.

    Args:
        shown: the token, or anything that was shown as one.
        cluster_id: of the cluster.
    """
    return hmac.new(cluster_id.encode(), shown, "sha256").hexdigest()


def _written(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=").lower()


def _secret(written: str) -> bytes:
    padding = "=" * (-_SECRET_CHARS % 8)
    return base64.b32decode(written.upper() + padding)


class KnownTokens:
    """The tokens of one policy, by their digests.

    Args:
        policy: the policy.
    """

    def __init__(self, policy: Policy) -> None:
        self._by_digest: Mapping[str, tuple[str, Token]] = {
            token.sha256: (name, token) for name, token in policy.tokens.items()
        }

    def identity(self, digest: str, now_ms: int) -> Identity | None:
        """The identity whose token has this digest; None if none has, or it has expired.

        The look-up compares digests, of which a stranger learns nothing that helps. What it finds is
        compared in constant time, and so is a dummy if it finds nothing.

        Args:
            digest: of what was shown.
            now_ms: milliseconds since 1970.
        """
        name, token = self._by_digest.get(digest, _NO_TOKEN)
        matches = compare_digest(digest, token.sha256)
        alive = is_alive(token, now_ms)
        return Identity("token", name, digest=digest) if name and matches and alive else None

    def expires_ms(self, digest: str) -> int:
        """When the token with this digest ends, in milliseconds since 1970; 0 if there is none."""
        return self._by_digest.get(digest, _NO_TOKEN)[1].expires_ms


class TokenChanges(Struct, frozen=True):
    """What one policy changes in the tokens of another.

    Args:
        made: the names of tokens that are new, or other ones than before.
        revoked: the names of tokens that are none any more, or other ones than before.
    """

    made: tuple[str, ...]
    revoked: tuple[str, ...]


def token_changes(before: Policy | None, after: Policy) -> TokenChanges:
    """What changes in the tokens, by their names."""
    old: Mapping[str, Token] = {} if before is None else before.tokens
    made = [name for name, token in after.tokens.items() if old.get(name) != token]
    kept = {name for name, token in after.tokens.items() if _is_same(old.get(name), token)}
    return TokenChanges(tuple(sorted(made)), tuple(sorted(old.keys() - kept)))


def _is_same(before: Token | None, after: Token) -> bool:
    """Whether who has the one has the other; it may expire at another time."""
    return before is not None and before.sha256 == after.sha256


def is_alive(token: Token, now_ms: int) -> bool:
    """Whether a token has not expired at this time, in milliseconds since 1970."""
    return now_ms < token.expires_ms
