"""The files of a command's TLS: from options, variables, or the context, in this order."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...client import Tls

SYSTEM = "system"
"""What stands for the CAs of the system, where a file of CAs is wanted."""

CA_VARIABLE = "DECREED_TLS_CA"
CERT_VARIABLE = "DECREED_TLS_CERT"
KEY_VARIABLE = "DECREED_TLS_KEY"


class TlsPaths(NamedTuple):
    """Where the files are; None if not set.

    Args:
        ca: the CAs of the nodes, or `SYSTEM`.
        cert: the client's certificate.
        key: its private key.
        cluster: the cluster's id, by which nodes are known instead of by their host names.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    cluster: str | None = None

    def or_else(self, other: "TlsPaths") -> "TlsPaths":
        """These, and those of `other` that are not set here."""
        pairs = zip(self, other, strict=True)
        return TlsPaths(*(ours if ours is not None else theirs for ours, theirs in pairs))

    def beside(self, file: str) -> "TlsPaths":
        """The same, where relative paths begin at the folder of `file`."""
        ca = self.ca if self.ca == SYSTEM else beside(file, self.ca)
        return TlsPaths(ca, beside(file, self.cert), beside(file, self.key), self.cluster)

    def to_tls(self) -> "Tls | None":
        """For the client library; None if nothing is set, which means no TLS."""
        if self == NO_TLS:
            return None
        from ...client.transport.securing import Tls

        ca = None if self.ca == SYSTEM else self.ca
        return Tls(ca, self.cert, self.key, self.cluster)


NO_TLS = TlsPaths()
"""Nothing is set."""


def beside(file: str, path: str | None) -> str | None:
    """A path of which the relative form begins at the folder of `file`."""
    if path is None:
        return None
    return os.path.join(os.path.dirname(file), os.path.expanduser(path))


def of_variables(environ: Mapping[str, str]) -> TlsPaths:
    """What the variables say; an empty one says nothing."""
    names = (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE)
    return TlsPaths(*(environ.get(name) or None for name in names))
