"""A node's certificate, key and CAs: read again when the files change, refused if they are bad (S03).

New handshakes use the new contexts; open connections go on with what they have. Bad files are said
aloud, the old contexts stay in use, and the files are tried again at the next look: a certificate and
its key are often written one after the other.
"""

import ssl
import time

from ..errors import ConfigError
from ..tls.contexts import NodeContexts, TlsFiles, node_contexts
from ..tls.subject import Certificate
from ..wire.status import CertificatePart, CertificateStatus
from . import log

MAX_SUBJECT_CHARS = 200
MAX_TOLD = 32
"""Of how many CAs it is told when they expire."""


class Credentials:
    """With what a node shakes hands.

    Args:
        files: where they are.
        cluster_id, node: whom the certificate must name.
        clients_must: whether clients must have a certificate.

    Attributes:
        contexts: for new handshakes.
        fault: why the newest files are not used; empty if they are.

    Raises:
        ConfigError: if they cannot be used.
    """

    def __init__(
        self, files: TlsFiles, cluster_id: str, node: str, *, clients_must: bool = False
    ) -> None:
        self._files, self._cluster_id, self._node = files, cluster_id, node
        self._clients_must = clients_must
        self._state = files.state()
        self.contexts = self._read()
        self.fault = ""

    def reload(self) -> None:
        """Read the files again; what is in use stays if they are bad."""
        self._state = self._files.state()
        try:
            self.contexts = self._read()
        except ConfigError as error:
            if str(error) != self.fault:
                self.fault = str(error)
                log.error("the new files of TLS are not used; the old go on", reason=self.fault)
            return
        self.fault = ""
        log.info("the files of TLS were read", expires=day_of(self.expires_s))

    def look(self) -> None:
        """Read the files again if they have changed, or could not be used the last time."""
        if self.fault or self._files.state() != self._state:
            self.reload()

    @property
    def expires_s(self) -> float:
        """When the first of certificate and CAs expires, in seconds since 1970."""
        return min(map(_end_of, (self.contexts.certificate, *self.contexts.authorities)))

    def certificates(self) -> list[CertificateStatus]:
        """The node's own certificate, and those of the CAs that it trusts."""
        own = self.contexts.certificate
        first = CertificateStatus(
            CertificatePart.OWN, f"node/{self._node}", _ends_ms(own), self.contexts.marks
        )
        return [first, *(_authority(each) for each in self.contexts.authorities[:MAX_TOLD])]

    def _read(self) -> NodeContexts:
        return node_contexts(
            self._files, self._cluster_id, self._node, clients_must=self._clients_must
        )


def day_of(seconds: float) -> str:
    """The day of a time, for people to read."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _authority(certificate: Certificate) -> CertificateStatus:
    words = ", ".join(f"{name}={value}" for part in certificate["subject"] for name, value in part)
    return CertificateStatus(CertificatePart.CA, words[:MAX_SUBJECT_CHARS], _ends_ms(certificate))


def _ends_ms(certificate: Certificate) -> int:
    return max(0, int(_end_of(certificate) * 1000))


def _end_of(certificate: Certificate) -> float:
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))
