"""A handshake in memory, as a node and a client will make it, with OpenSSL's strict checks."""

import ssl
from collections.abc import Callable
from pathlib import Path


def context(server: bool, bundle: Path, certificate: Path | None = None) -> ssl.SSLContext:
    """The settings of one side: TLS 1.3, the other side's certificate required, all checks strict."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(bundle)
    if certificate is not None:
        made.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return made


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> tuple[str, str]:
    """Shake hands and pass a byte each way; the URIs that client and server saw of each other.

    Raises:
        ssl.SSLError: if one side refuses the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    dialler = client.wrap_bio(to_client, to_server, server_hostname=host)
    listener = server.wrap_bio(to_server, to_client, server_side=True)
    waiting: list[Callable[[], object]] = [dialler.do_handshake, listener.do_handshake]
    while waiting:
        waiting = [step for step in waiting if not _is_done(step)]
    dialler.write(b"c")
    listener.write(b"s")
    assert (listener.read(1), dialler.read(1)) == (b"c", b"s")
    assert dialler.version() == "TLSv1.3"
    return _uri(dialler), _uri(listener)


def _is_done(step: Callable[[], object]) -> bool:
    try:
        step()
    except ssl.SSLWantReadError:
        return False
    return True


def _uri(side: ssl.SSLObject) -> str:
    seen = side.getpeercert() or {}
    names: list[tuple[str, str]] = list(seen.get("subjectAltName", ()))  # type: ignore[arg-type]
    [uri] = [value for kind, value in names if kind == "URI"]
    return uri
