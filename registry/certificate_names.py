"""Whom a certificate names: one URI for a node or a client of one cluster (S04).

``decreed://CLUSTER/node/NAME`` or ``decreed://CLUSTER/client/NAME``, and ``decreed://CLUSTER/ca`` in
the certificate of the CA itself. Exactly one such URI counts; a certificate with two names nobody. The
common name and roles are never read: what a name may do is said elsewhere, and changes without a new
certificate.

The names are compared as they are: nothing in them is escaped, folded or shortened.
"""

import re
from collections.abc import Iterable
from enum import Enum

from .errors import ConfigError
from .identity import MAX_NAME_CHARS, NAME
from .types import Value

SCHEME = "decreed"
_URI = re.compile(rf"{SCHEME}://([A-Za-z0-9._@-]+)/(?:(ca)|(node|client)/([A-Za-z0-9._@-]+))")
_OURS = re.compile(rf"{SCHEME}:", re.IGNORECASE)


class NameKind(Enum):
    """What a certificate is for."""

    AUTHORITY = "ca"
    NODE = "node"
    CLIENT = "client"


class CertificateName(Value, frozen=True):
    """Whom a certificate names.

    Args:
        cluster_id: of ``cluster.toml``.
        kind: what it is for.
        name: of the node or the client; empty for a CA.
    """

    cluster_id: str
    kind: NameKind
    name: str = ""

    @property
    def uri(self) -> str:
        """The URI that stands for it in a certificate."""
        path = self.kind.value if self.kind is NameKind.AUTHORITY else str(self)
        return f"{SCHEME}://{self.cluster_id}/{path}"

    def __str__(self) -> str:
        return f"{self.kind.value}/{self.name}" if self.name else self.kind.value


def certificate_name(cluster_id: str, kind: NameKind, name: str = "") -> CertificateName:
    """Check the parts of a name.

    Raises:
        ConfigError: if no certificate could carry it.
    """
    allowed = f"1 to {MAX_NAME_CHARS} characters of A-Z a-z 0-9 . _ @ -"
    if not NAME.fullmatch(cluster_id):
        raise ConfigError(f"cluster_id {cluster_id!r} is not made of {allowed}")
    if kind is not NameKind.AUTHORITY and not NAME.fullmatch(name):
        raise ConfigError(f"the name {name!r} is not made of {allowed}")
    return CertificateName(cluster_id, kind, name)


def is_ours(uri: str) -> bool:
    """Whether a URI is meant for decreed, however it goes on."""
    return _OURS.match(uri) is not None


def name_of(uris: Iterable[str]) -> CertificateName:
    """Whom a certificate with these URIs names.

    Args:
        uris: all URIs among the alternative names of the subject.

    Raises:
        ConfigError: if that is nobody: none of them is ours, or it is malformed, or there are two.
    """
    ours = [uri for uri in uris if is_ours(uri)]
    if len(ours) != 1:
        raise ConfigError(f"it names {len(ours) or 'no'} {SCHEME}:// URI{'s' * (len(ours) != 1)}")
    found = _URI.fullmatch(ours[0])
    if found is None:
        raise ConfigError(f"{ours[0][:200]!a} is not {SCHEME}://CLUSTER/node/NAME or …/client/NAME")
    cluster_id, authority, kind, name = found.groups()
    return certificate_name(cluster_id, NameKind(authority or kind), name or "")
