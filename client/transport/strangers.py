"""Identifies a service that is no decreed node by the first bytes that it sends.

Some servers speak first, or send an error about bytes that they do not understand. Others wait for a
line, or for a handshake of their own: `questions` are sent to them, each on its own connection, and
`verdict` interprets the answers. `task_look` and `socket_look` send the questions. All this only makes
error messages clearer, so it may fail to find out. No I/O.
"""

from collections.abc import Mapping
from contextlib import suppress

LOOK_SECONDS = 0.5
LOOK_BYTES = 1_024
SHOWN_BYTES = 16

_TLS = "a TLS server"
_GREETINGS = (
    (b"HTTP/", "an HTTP server"),
    (b"<!DOCTYPE", "an HTTP server"),
    (b"<html", "an HTTP server"),
    (b"\x15\x03", _TLS),
    (b"\x16\x03", _TLS),
    (b"SSH-", "an SSH server"),
    (b"220", "a mail or FTP server"),
    (b"-ERR", "a Redis server"),
    (b"-NOAUTH", "a Redis server"),
    (b"-DENIED", "a Redis server"),
    (b"AMQP", "an AMQP broker"),
)


WAY_OUT = "check host and port"


def recognise(data: bytes) -> str:
    """The kind of server that begins with `data`; empty if it is not known here."""
    return next((name for start, name in _GREETINGS if data.startswith(start)), "")


def complaint(data: bytes) -> str:
    """The error text for a server that began with `data`, which is no greeting of a decreed node."""
    if name := recognise(data):
        return is_there(name)
    began = f"it began with {data[:SHOWN_BYTES]!r}"
    return f"what answers there is no decreed node, {began}: {WAY_OUT}"


def is_there(name: str) -> str:
    """The error text for an endpoint where a server of another kind was recognised."""
    if name == _TLS:
        way_out = f"if it is a decreed node, give its CA (--ca, or tls=…), else {WAY_OUT}"
        return f"{name} answers there: {way_out}"
    return f"{name} answers there, and no decreed node: {WAY_OUT}"


def questions() -> dict[str, bytes]:
    """The bytes to send to servers that wait, by a name, each on a connection of its own."""
    return {"tls": _tls_hello(), "http": b"GET / HTTP/1.0\r\n\r\n"}


def verdict(answers: Mapping[str, bytes]) -> str:
    """The kind of server that gave these answers to `questions`; empty if unknown."""
    # TLS first: some TLS servers answer plain HTTP with an error in plain HTTP
    return recognise(answers["tls"]) or recognise(answers["http"])


def _tls_hello() -> bytes:
    """The first bytes of a TLS client."""
    import ssl  # only a failing client needs it

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()
