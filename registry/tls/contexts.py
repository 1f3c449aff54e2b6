"""What handshakes need, made from files: a new context each time, never a changed one (S03).

A live context is never loaded into: CAs add up there, so that one that was taken out would stay
trusted, and a pair that does not fit spoils it. `node_contexts` tries a new pair by a handshake with
itself, in memory, before anybody uses it.
"""

import ssl
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from ..errors import ConfigError, ProtocolError, Refused
from .session import PROTOCOL, Session
from .subject import Certificate, Subject, named_in, subject_of

Lowest = Literal["1.2", "1.3"]
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_MOST_FLIGHTS = 10
"""A handshake has two or three flights on each side."""


class TlsFiles(NamedTuple):
    """Where a side of TLS has its certificate, and whom it trusts. All files are PEM.

    Args:
        certificate: the own certificate, and those between it and a CA; None for none.
        key: its private key, not encrypted; None for none.
        ca: the CAs that are trusted, one or more; None for those of the system.
        lowest: the lowest version of TLS.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    lowest: Lowest = "1.3"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that there are."""
        return tuple(path for path in (self.certificate, self.key, self.ca) if path is not None)

    def state(self) -> tuple[object, ...]:
        """Something that differs after one of the files was replaced or changed."""
        return tuple(map(_state, self.paths))


class NodeContexts(NamedTuple):
    """What a node shakes hands with.

    Args:
        accepting, dialling: for connections that it accepts, and for those that it makes.
        http: for connections to its admin listener, with the same files and demands as `accepting`.
        certificate: its own certificate.
        marks: of that one.
    """

    accepting: ssl.SSLContext
    dialling: ssl.SSLContext
    http: ssl.SSLContext
    certificate: Certificate
    marks: tuple[str, ...]

    @property
    def authorities(self) -> list[Certificate]:
        """The CAs that it trusts."""
        return list(self.dialling.get_ca_certs())


def node_contexts(
    files: TlsFiles, cluster_id: str, node: str, *, clients_must: bool = False
) -> NodeContexts:
    """The contexts of a node, tried by a handshake with itself.

    Args:
        files: certificate, key and CAs; a node needs all three.
        cluster_id, node: whom the certificate must name.
        clients_must: whether clients without a certificate are refused too.

    Raises:
        ConfigError: if a file cannot be read, or the handshake fails; names the file or the reason.
    """
    accepting = _accepting(files, clients_must=clients_must)
    http = _accepting(files, clients_must=clients_must)
    http.set_alpn_protocols(["http/1.1"])
    dialling = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    dialling.check_hostname = False  # a node is known by its URI, wherever it is dialled
    try:
        certificate, marks = _shake_hands_with_itself(accepting, dialling)
        subject = subject_of(certificate, cluster_id)
    except Refused as error:
        raise ConfigError(f"{files.certificate} does not work with {files.ca}: {error}") from error
    if (subject.kind, subject.name) != ("node", node):
        raise ConfigError(f"{files.certificate} is of {subject.identity}, not of node/{node}")
    return NodeContexts(accepting, dialling, http, certificate, marks)


def _accepting(files: TlsFiles, *, clients_must: bool) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    context.verify_mode = ssl.CERT_REQUIRED if clients_must else ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would outlive the CA that vouched for it
    return context


def client_context(files: TlsFiles, *, check_host: bool = True) -> ssl.SSLContext:
    """The context of a client.

    Args:
        files: whom it trusts, and the certificate that it shows, if any.
        check_host: whether the certificate of a node must name the host that was dialled.

    Raises:
        ConfigError: if a file cannot be read; names it.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    context.check_hostname = check_host
    return context


def own_subject(files: TlsFiles) -> Subject | None:
    """Who a certificate names to nodes that trust the same CAs; None if they would trust it not.

    Args:
        files: certificate, key and CAs.

    Raises:
        ConfigError: if a file cannot be used; names it.
    """
    accepting = _context(ssl.PROTOCOL_TLS_SERVER, files)
    accepting.verify_mode = ssl.CERT_REQUIRED
    dialling = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    dialling.check_hostname = False
    dialling.verify_mode = ssl.CERT_NONE  # what it dials is itself
    try:
        return named_in(_shake_hands(accepting, dialling)[0].certificate or {})
    except Refused:
        return None


def _context(side: int, files: TlsFiles) -> ssl.SSLContext:
    # not `create_default_context`, which writes the keys of sessions to where SSLKEYLOGFILE says
    context = ssl.SSLContext(side)
    context.minimum_version = _VERSIONS[files.lowest]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([PROTOCOL])
    _load_pair(context, files)
    if files.ca is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(files.ca)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{files.ca}: {_why(error, 'no CA certificates in PEM')}") from error
    return context


def _load_pair(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.certificate is None and files.key is None:
        return
    if files.certificate is None or files.key is None:
        missing = "certificate" if files.certificate is None else "key"
        raise ConfigError(f"a certificate and its key go together, and the {missing} is missing")
    for path in (files.certificate, files.key):
        _check_readable(path)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        fault = _why(error, "not a certificate and its key in PEM")
        raise ConfigError(f"{files.certificate} and {files.key}: {fault}") from error


def _check_readable(path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _no_password() -> NoReturn:
    raise ConfigError("the key is encrypted: a node starts without anybody to ask; decrypt it")


def _why(error: Exception, usual: str) -> str:
    if isinstance(error, ssl.SSLError):
        fits = error.reason != "KEY_VALUES_MISMATCH"
        return usual if fits else "the key is not that of the certificate"
    return getattr(error, "strerror", None) or str(error) or usual


def _shake_hands_with_itself(
    accepting: ssl.SSLContext, dialling: ssl.SSLContext
) -> tuple[Certificate, tuple[str, ...]]:
    """Shake hands in memory; returns the certificate, as verified by both sides, and its marks."""
    theirs, ours = _shake_hands(accepting, dialling)
    certificate = theirs.certificate
    if not (certificate and ours.certificate):
        raise ProtocolError("the handshake with itself does not end")
    return certificate, theirs.marks


def _shake_hands(accepting: ssl.SSLContext, dialling: ssl.SSLContext) -> tuple[Session, Session]:
    """Shake hands in memory; returns both ends: the one that accepts, and the one that dials."""
    ours, theirs = Session(dialling, "dials"), Session(accepting, "accepts")
    done = False
    for _ in range(_MOST_FLIGHTS):
        ours.handshake(theirs.owed())
        done = theirs.handshake(ours.owed())
        if done and ours.shaken:
            break
    if not (done and ours.shaken):
        raise ProtocolError("the handshake with itself does not end")
    return theirs, ours


def _state(path: Path) -> object:
    try:
        facts = path.stat()
    except OSError as error:
        return error.errno
    return facts.st_mtime_ns, facts.st_size, facts.st_ino, facts.st_dev
