"""Who answers at an endpoint, if it is no decreed node: told by the first bytes that it sends.

Some servers speak first, or complain about what they do not know; those are recognised by that.
Others wait for a line, or for a handshake of their own. `identify` says such a thing to them, on
connections of its own. It is for people who look at an error, so it may fail to find out.
"""

from contextlib import suppress

import anyio

from .endpoints import Endpoint

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


async def identify(endpoint: Endpoint) -> str:
    """What kind of server is at `endpoint`; empty if that cannot be found out. Never raises."""
    found: dict[str, str] = {}

    async def look(way: str, question: bytes) -> None:
        found[way] = recognise(await _first_words(endpoint, question))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look, "tls", _tls_hello())
        tasks.start_soon(look, "http", b"GET / HTTP/1.0\r\n\r\n")
    # some that speak TLS complain in plain HTTP about plain HTTP
    return found["tls"] or found["http"]


async def _first_words(endpoint: Endpoint, question: bytes) -> bytes:
    """What a server answers first; empty if it says nothing for a while, or hangs up."""
    try:
        with anyio.move_on_after(LOOK_SECONDS):
            async with await anyio.connect_tcp(endpoint.host, endpoint.port) as stream:
                await stream.send(question)
                return await stream.receive(LOOK_BYTES)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    return b""


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
