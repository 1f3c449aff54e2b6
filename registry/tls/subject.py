"""Who a certificate that was verified names (S04): a node or a client of one cluster.

`decreed.registry.certificate_names` reads its URI. The certificate of a CA names nobody who could
speak, and one of another cluster nobody here.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ..certificate_names import NameKind, is_ours, name_of
from ..errors import ConfigError, Refused
from ..identity import Identity

Certificate = Mapping[str, Any]
"""What `ssl.SSLObject.getpeercert` returns of a certificate that was verified."""


def marks_of(certificate: Certificate, der: bytes) -> tuple[str, str]:
    """The texts by which a policy can refuse this one certificate (S36).

    Args:
        certificate: as `ssl` returns it.
        der: its bytes.
    """
    serial = str(certificate["serialNumber"]).lower().lstrip("0") or "0"
    return f"sha256:{hashlib.sha256(der).hexdigest()}", f"serial:{serial}"


class Subject(NamedTuple):
    """Who a certificate is made for.

    Args:
        cluster: the cluster's id.
        kind: a node, or a client.
        name: its name.
    """

    cluster: str
    kind: Literal["node", "client"]
    name: str

    @property
    def identity(self) -> Identity:
        """The identity that such a certificate shows."""
        return Identity(self.kind, self.name)


def subject_of(certificate: Certificate, cluster_id: str) -> Subject:
    """Who a verified certificate names.

    Args:
        certificate: as `ssl` returns it.
        cluster_id: the cluster that it must belong to.

    Raises:
        Refused: if it names nobody, or more than one, or somebody of another cluster.
    """
    subject = named_in(certificate)
    if subject is None:
        raise Refused(
            "its certificate names nobody: it needs the URI decreed://"
            f"{cluster_id}/node/NAME, or …/client/NAME, among its alternative names"
        )
    if subject.cluster != cluster_id:
        raise Refused(f"its certificate is of cluster {subject.cluster!a}, not of {cluster_id!a}")
    return subject


def named_in(certificate: Certificate) -> Subject | None:
    """Who a verified certificate names, in whatever cluster; None if it has no such URI.

    Raises:
        Refused: if it has more than one, or one that is malformed.
    """
    names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    uris = [uri for kind, uri in names if kind == "URI" and is_ours(uri)]
    if not uris:
        return None
    try:
        found = name_of(uris)
    except ConfigError as error:
        raise Refused(f"its certificate names nobody by a URI of decreed: {error}") from error
    match found.kind:
        case NameKind.NODE:
            return Subject(found.cluster_id, "node", found.name)
        case NameKind.CLIENT:
            return Subject(found.cluster_id, "client", found.name)
        case NameKind.AUTHORITY:
            raise Refused(f"its certificate is of a CA: the URI {found.uri} names nobody")
