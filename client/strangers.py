"""Who answers at an endpoint, if it is no decreed node: told by the first bytes that it sends.

Some servers speak first, or complain about what they do not know; those are recognised by that.
Others wait for a line, or for a handshake of their own; `questions` are such things, to be said on
connections of their own, and `verdict` is what the answers mean. `task_look` and `socket_look` ask. All
this is for people who look at an error, so it may fail to find out. No I/O.
"""

from collections.abc import Mapping
from contextlib import suppress

LOOK_SECONDS = 0.5
LOOK_BYTES = 1_024
SHOWN_BYTES = 16

_GREETINGS = (
    (b"HTTP/", "an HTTP server"),
    (b"<!DOCTYPE", "an HTTP server"),
    (b"<html", "an HTTP server"),
    (b"\x15\x03", "a TLS server"),
    (b"\x16\x03", "a TLS server"),
    (b"SSH-", "an SSH server"),
    (b"220", "a mail or FTP server"),
    (b"-ERR", "a Redis server"),
    (b"-NOAUTH", "a Redis server"),
    (b"-DENIED", "a Redis server"),
    (b"AMQP", "an AMQP broker"),
)


def recognise(data: bytes) -> str:
    """What kind of server begins with `data`; empty if it is none of those known here."""
    return next((name for start, name in _GREETINGS if data.startswith(start)), "")


def complaint(data: bytes) -> str:
    """What to say of a server that began with `data`, which is no greeting of a decreed node."""
    if name := recognise(data):
        return is_there(name)
    return f"what answers there is no decreed node: it began with {data[:SHOWN_BYTES]!r}"


def is_there(name: str) -> str:
    """What to say of an endpoint where a server of another kind was recognised."""
    return f"{name} answers there, and no decreed node"


def questions() -> dict[str, bytes]:
    """What to say to servers that wait for a word, each on a connection of its own."""
    return {"tls": _tls_hello(), "http": b"GET / HTTP/1.0\r\n\r\n"}


def verdict(answers: Mapping[str, bytes]) -> str:
    """What kind of server began with these answers to `questions`; empty if that is unknown."""
    # some that speak TLS complain in plain HTTP about plain HTTP
    return recognise(answers["tls"]) or recognise(answers["http"])


def _tls_hello() -> bytes:
    """How a TLS client begins."""
    import ssl  # only a failing client needs it

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()
