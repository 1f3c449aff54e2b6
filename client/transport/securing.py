"""TLS of a client: `Tls` says what it trusts and shows, `ClientSecurity` makes the sessions.

The standard library's `ssl` takes long to load, so it is loaded only for a client with TLS.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from ...registry.errors import BadRequest, ConfigError, ProtocolError
from ...registry.wire.handshake import ClientWelcome
from .journal import Journal
from .tokens import TokenSource

if TYPE_CHECKING:
    import ssl

    from ...registry.policy.tokens import AuthToken
    from ...registry.tls.session import Session
    from ...registry.tls.subject import Subject

LOG = Journal(__name__)
_LOWEST = ("1.2", "1.3")


@dataclass(frozen=True)
class Tls:
    """How a client is secured: whom it trusts, and what it shows of itself. Files are PEM.

    Changed files are read again before the next connection is made.

    Args:
        ca: the CAs of the nodes, one or more in a file; None for those of the system.
        cert: the client's own certificate; None for none.
        key: its private key, not encrypted.
        cluster: the cluster's id: a node is known by the URI in its certificate instead of by the host
            name that was dialled, as behind a forwarded port.
        lowest_version: the lowest version of TLS.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    cluster: str | None = None
    lowest_version: Literal["1.2", "1.3"] = "1.3"


class ClientSecurity:
    """What the connections of one client need.

    Args:
        tls: the settings.
        token: where the client's token comes from; None if it has none.

    Raises:
        ConfigError: if a file cannot be used; names it.
        BadRequest: if a setting is of the wrong type.
    """

    def __init__(self, tls: Tls, token: TokenSource | None = None) -> None:
        self._token = token
        # a user may give anything, whatever the types say
        if not isinstance(tls, Tls):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"tls is a decreed.client.Tls, not {type(tls).__name__}")
        if tls.lowest_version not in _LOWEST:
            raise BadRequest(f"tls.lowest_version is '1.2' or '1.3', not {tls.lowest_version!r}")
        from ...registry.tls.contexts import TlsFiles

        self._cluster = tls.cluster
        if not isinstance(tls.cluster, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"tls.cluster is a text, not {type(tls.cluster).__name__}")
        cert, key, ca = _path("cert", tls.cert), _path("key", tls.key), _path("ca", tls.ca)
        self._files = TlsFiles(cert, key, ca, tls.lowest_version)
        self._state = self._files.state()
        self._context = self._read()

    def session(self, host: str) -> "Session":
        """A session for a connection to `host`.

        Raises:
            ConfigError: if no certificate could name that host.
        """
        from ...registry.tls.session import Session

        self._follow()
        # neither a zone nor the dot of the root stands in a certificate
        name = host.partition("%")[0].removesuffix(".") if self._cluster is None else None
        try:
            return Session(self._context, "dials", name)
        except ValueError as error:
            raise ConfigError(f"no certificate can name the host {host!a}: {error}") from error

    def token(self) -> "AuthToken | None":
        """The token to show on a new connection, as it is now.

        Raises:
            ConfigError: if it cannot be read, or is none.
        """
        return self._token.read() if self._token is not None else None

    def check_node(self, session: "Session") -> "Subject | None":
        """Who the node's certificate names; None if it has no URI of decreed, as from other CAs.

        Raises:
            ProtocolError: if it is no node's, or one of another cluster than the settings name.
        """
        from ...registry.errors import Refused
        from ...registry.tls.subject import named_in, subject_of

        certificate = session.certificate or {}
        try:
            subject = (
                named_in(certificate)
                if self._cluster is None
                else subject_of(certificate, self._cluster)
            )
        except Refused as error:
            raise ProtocolError(f"the node is not trusted: {error}") from error
        if subject is not None and subject.kind != "node":
            raise ProtocolError(f"the certificate there is of {subject.identity}, and of no node")
        return subject

    def _follow(self) -> None:
        """Read the files again if they have changed; what is in use stays if they are bad."""
        state = self._files.state()
        if state == self._state:
            return
        try:
            self._context = self._read()
            self._state = state
        except ConfigError as error:
            LOG.info("the new files of TLS are not used: %s", error)

    def _read(self) -> "ssl.SSLContext":
        from ...registry.tls.contexts import client_context

        return client_context(self._files, check_host=self._cluster is None)


def security_of(tls: Tls | None, token: TokenSource | None) -> ClientSecurity | None:
    """What the connections of a client need; None for connections without TLS.

    Raises:
        ConfigError: if there is a token and no TLS (S33): it would be shown to all who can listen.
        BadRequest: if a setting is of the wrong type.
    """
    if tls is not None:
        return ClientSecurity(tls, token)
    if token is not None:
        raise ConfigError(
            "a token is shown over TLS alone, on this machine too: give the CA of the nodes (--ca FILE,"
            " or tls=…), or leave out the token"
        )
    return None


def _path(name: str, value: object) -> Path | None:
    if value is None:
        return None
    kind = type(value).__name__
    where = os.fspath(cast("str", value)) if isinstance(value, str | os.PathLike) else value
    if not isinstance(where, str) or "\0" in where:
        raise BadRequest(f"tls.{name} is the path of a file, not {kind}")
    return Path(where)


def check_welcome(subject: "Subject | None", welcome: ClientWelcome) -> None:
    """Check that who welcomes us is who the certificate names.

    Raises:
        ProtocolError: if it is another node, or of another cluster.
    """
    if subject is None:
        return
    if (subject.cluster, subject.name) != (welcome.cluster_id, welcome.node):
        raise ProtocolError(
            f"the certificate is of {subject.name} of cluster {subject.cluster}, and {welcome.node} of"
            f" {welcome.cluster_id} answers with it"
        )
