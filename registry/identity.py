"""Who is at the other end of a connection, as far as the node has proof of it.

An identity belongs to a connection and is fixed at its greeting (security rule S07). A request says
nothing of it, with one exception: a gateway may name somebody for whom it acts, and the policy is asked
about both (S08). A node that passes a claim on names its identity; only a proven peer is believed.
"""

import re
from functools import lru_cache
from typing import Annotated, Literal, cast

from msgspec import Meta
from msgspec.structs import force_setattr

from .types import MAX_IDENTITY_CHARS, Value

IdentityText = Annotated[str, Meta(max_length=MAX_IDENTITY_CHARS)]
"""An identity as it is recorded: ``client/alice``; empty if the claimant was not authenticated."""

Kind = Literal["node", "client", "token", "anonymous"]
MAX_NAME_CHARS = 128
NAME = re.compile(rf"[A-Za-z0-9._@-]{{1,{MAX_NAME_CHARS}}}")
"""The name of a client, a token, a node or a role: no escapes, and compared as it is."""


MAX_READ = 1_024
"""How many identities are kept at hand."""


class Identity(Value, frozen=True):
    """Who it is.

    Args:
        kind: what vouches for the name: the certificate of a node or of a client, or a token; or
            nothing.
        name: the name; empty if anonymous.
        recorded: as a decree records it: empty if nothing vouches for a name. It is worked out here,
            once for a connection and not once for a claim.
        digest: of the token by which the connection has proven it; empty if by something else, or at
            another node. A token that is made later under the same name is not this one.
        through: the gateway that has named this identity; None if it speaks for itself. What the
            identity does is its own: a decree records it, and quotas are counted for it, by `recorded`.
            Limits are those of the gateway, whose connection it is.
    """

    kind: Kind
    name: str
    recorded: str = ""
    digest: str = ""
    through: "Identity | None" = None

    def __post_init__(self) -> None:
        if self.name:
            force_setattr(self, "recorded", f"{self.kind}/{self.name}")

    def __str__(self) -> str:
        return self.recorded or self.kind

    @property
    def itself(self) -> "Identity":
        """The identity alone, without the one that has named it."""
        return self if self.through is None else Identity(self.kind, self.name)

    @property
    def acting_for(self) -> str:
        """Whom a gateway has named, for the audit log; empty if this identity speaks for itself."""
        return "" if self.through is None else str(self)

    def acts_for(self, named: str) -> "Identity":
        """The identity that a gateway names.

        Raises:
            ValueError: if the text is none, or this one is named by a gateway itself.
        """
        if self.through is not None or not named:
            raise ValueError("only who has proven an identity names another one")
        return _acting(self, named)

    @classmethod
    def of_recorded(cls, text: str) -> "Identity":
        """The identity that `recorded` gave.

        Raises:
            ValueError: if the text is no identity.
        """
        return _read(text)


@lru_cache(maxsize=MAX_READ)
def _read(text: str) -> Identity:
    """Each claim that is passed on has such a text, and most have one of a few."""
    if not text:
        return ANONYMOUS
    kind, _, name = text.partition("/")
    if kind not in ("node", "client", "token") or not NAME.fullmatch(name):
        raise ValueError(f"{text!a} is no identity, such as client/alice")
    return Identity(cast(Kind, kind), name)


@lru_cache(maxsize=MAX_READ)
def _acting(gateway: Identity, named: str) -> Identity:
    """A gateway names a few identities again and again."""
    found = _read(named)
    return Identity(found.kind, found.name, through=gateway)


ANONYMOUS = Identity("anonymous", "")
"""Nothing vouches for a name."""


def identity_of(text: str) -> Identity:
    """The identity whose text this is, which of nobody is ``anonymous``.

    Raises:
        ValueError: if the text is no identity.
    """
    return ANONYMOUS if text == str(ANONYMOUS) else Identity.of_recorded(text)
