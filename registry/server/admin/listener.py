"""HTTP/1.1 for operators and their programs: /livez, /readyz, /status and /metrics.

At loopback it speaks plain HTTP to all who are on this machine, and only by its own names: a page in a
browser that has another name for it gets nothing. Beyond, it speaks TLS alone, with the node's own
certificate. Everybody may ask there whether the node lives. All else takes the right `admin` (S01,
S07), by a client's certificate or by a bearer token (`askers`). Only GET and HEAD are known, so nothing
can be changed here.

Connections are bounded in number, in time and in memory; when all places are taken, the oldest goes.
"""

import json
import ssl
from collections.abc import Callable
from typing import NamedTuple

import h11
import trio

from ...addresses import is_loopback, join_address
from ...errors import ConfigError, DecreedError, Denied, ProtocolError, TokenRefused
from ...errors import Unreachable as NotKnownYet
from ...identity import ANONYMOUS, Identity
from .. import log
from ..handshakes import Handshakes
from ..listening import open_listeners
from ..securing import Securing, WrongCertificate
from .askers import OPEN, Askers, NotShown, Presented, check_near
from .metrics import CONTENT_TYPE, exposition
from .sources import NodeSources

MOST = 32
"""Connections at a time."""
REQUEST_S, IDLE_S = 10.0, 120.0
"""How long a handshake, a request and an answer may take, and how long a connection may rest."""
HEAD_BYTES, BODY_BYTES = 16 * 1024, 64 * 1024
MAX_REQUESTS = 10_000
"""How many requests one connection has at most."""
_ENDS = (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError)
Stream = trio.SSLStream[trio.SocketStream] | trio.SocketStream


class HttpAnswer(NamedTuple):
    """An answer."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"


def _live(_: NodeSources, who: Identity) -> HttpAnswer:
    """The process answers: its peers, its disk and its quorum are not looked at."""
    return HttpAnswer(200, b"alive\n")


def _ready(sources: NodeSources, who: Identity) -> HttpAnswer:
    reason = sources.readiness()
    return (
        HttpAnswer(503, f"not ready: {reason}\n".encode())
        if reason
        else HttpAnswer(200, b"ready\n")
    )


def _status(sources: NodeSources, who: Identity) -> HttpAnswer:
    body = json.dumps({"nodes": [sources.document(who)], "quorum": not sources.readiness()})
    return HttpAnswer(200, f"{body}\n".encode(), "application/json")


def _metrics(sources: NodeSources, who: Identity) -> HttpAnswer:
    return HttpAnswer(200, exposition(sources), CONTENT_TYPE)


PATHS: dict[str, Callable[[NodeSources, Identity], HttpAnswer]] = {
    "/livez": _live,
    "/readyz": _ready,
    "/status": _status,
    "/metrics": _metrics,
}


class AdminListener:
    """The admin listener of one node.

    Args:
        sources: the node.
        securing: its credentials.
        askers: judges who asks beyond this machine.
    """

    def __init__(self, sources: NodeSources, securing: Securing, askers: Askers) -> None:
        self._sources, self._securing, self._askers = sources, securing, askers
        self._open: dict[trio.CancelScope, None] = {}
        self._handshakes = Handshakes(MOST)
        self.is_near = True
        self.places: list[str] = []

    async def run(self, place: str) -> None:
        """Listen at ``host:port`` until cancelled.

        Raises:
            ConfigError: if that is beyond loopback and there is no TLS.
            Refused: if the address cannot be used.
        """
        listeners = await open_listeners([place])
        names = [each.socket.getsockname() for each in listeners]
        self.is_near = all(is_loopback(name[0]) for name in names)
        if not self.is_near and self._securing.credentials is None:
            for each in listeners:
                each.socket.close()
            raise ConfigError(
                f"--admin {place}: beyond this machine there is TLS alone; give the node a certificate,"
                " a key and a CA, or listen at 127.0.0.1"
            )
        self.places = [join_address(name[0], name[1]) for name in names]
        log.info("health and metrics", at=",".join(self.places), tls=not self.is_near)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._handshakes.keep_pace)
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection. Its errors end it alone."""
        if len(self._open) >= MOST:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        with trio.CancelScope() as scope:
            self._open[scope] = None
            try:
                async with stream:
                    await self._talk(stream)
            except (h11.ProtocolError, ProtocolError, *_ENDS) as error:
                log.debug("a connection to the admin listener ended", reason=str(error))
            finally:
                self._open.pop(scope, None)

    async def _talk(self, stream: trio.SocketStream) -> None:
        if self.is_near:
            await self._answer_all(stream, Presented())
            return
        credentials = self._securing.credentials
        assert credentials is not None, "beyond loopback it opens with TLS alone"
        host, port = stream.socket.getpeername()[:2]
        http = credentials.contexts.http
        secured = trio.SSLStream(stream, http, server_side=True, https_compatible=True)
        with trio.move_on_after(REQUEST_S) as shaking:
            await self._handshakes.turn(host)
            with self._handshakes.one(host):
                await secured.do_handshake()
        if not shaking.cancelled_caught:
            await self._answer_all(secured, self._shown(secured, join_address(host, port)))

    def _shown(self, stream: "trio.SSLStream[trio.SocketStream]", address: str) -> Presented:
        return self._askers.shown(stream.getpeercert(), stream.getpeercert(True), address)

    # -- requests

    async def _answer_all(self, stream: Stream, shown: Presented) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        for _ in range(MAX_REQUESTS):
            request = None
            with trio.move_on_after(IDLE_S):
                try:
                    request = await _request(http, stream)
                except h11.RemoteProtocolError as error:
                    await _say(
                        http, stream, HttpAnswer(error.error_status_hint, b"malformed\n"), True
                    )
                    return
            if request is None:
                return
            with trio.move_on_after(REQUEST_S) as answering:
                await _say(http, stream, self.answer(request, shown), request.method != b"HEAD")
            if answering.cancelled_caught or http.our_state is not h11.DONE:
                return
            if http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    def answer(self, request: h11.Request, shown: Presented) -> HttpAnswer:
        """The answer to one request.

        Args:
            request: the request.
            shown: what its connection has shown.

        Raises:
            Refused: if the audit log is required and cannot be written.
        """
        path = request.target.decode("ascii", "replace").partition("?")[0]
        try:
            who = self._who(request, path, shown)
        except DecreedError as refused:
            return _refusal(refused)
        if request.method not in (b"GET", b"HEAD"):
            return HttpAnswer(405, b"only GET and HEAD are known here\n")
        found = PATHS.get(path)
        if found is None:
            return HttpAnswer(404, f"there are {', '.join(PATHS)}\n".encode())
        try:
            return found(self._sources, who)
        except Exception as error:  # noqa: BLE001 -- a fault in what is told must not end the node
            log.failed("the admin listener failed", error, path=path)
            return HttpAnswer(500, b"this answer failed; the log of the node says why\n")

    def _who(self, request: h11.Request, path: str, shown: Presented) -> Identity:
        """Who asks.

        Raises:
            DecreedError: if he may not.
        """
        if self.is_near:
            check_near(request)
            return ANONYMOUS
        return ANONYMOUS if path == OPEN else self._askers.check(request, shown)


def _refusal(refused: DecreedError) -> HttpAnswer:
    """What somebody is told who may not ask.

    Raises:
        DecreedError: if that is no matter of his, such as an audit log that cannot be written.
    """
    body = f"{refused}\n".encode()
    match refused:
        case NotKnownYet():
            return HttpAnswer(503, body)
        case NotShown() | TokenRefused():
            return HttpAnswer(401, body)
        case Denied() | WrongCertificate():
            return HttpAnswer(403, body)
        case _:
            raise refused


async def _request(http: h11.Connection, stream: Stream) -> h11.Request | None:
    """The next request, with its body read and dropped; None if the other side has gone."""
    request: h11.Request | None = None
    dropped = 0
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                if http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await stream.send_all(http.send(go_on) or b"")
                http.receive_data(bytes(await stream.receive_some(HEAD_BYTES)))
            case h11.Request():
                request = event
            case h11.Data():
                dropped += len(event.data)
                if dropped > BODY_BYTES:
                    raise h11.RemoteProtocolError("too large a body", error_status_hint=413)
            case h11.EndOfMessage():
                return request
            case _:
                return None


async def _say(http: h11.Connection, stream: Stream, said: HttpAnswer, with_body: bool) -> None:
    headers = [
        ("content-type", said.kind),
        ("content-length", str(len(said.body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ]
    if said.status == 401:
        headers.append(("www-authenticate", 'Bearer realm="decreed"'))
    if said.status == 405:
        headers.append(("allow", "GET, HEAD"))
    if http.their_state is not h11.DONE:
        headers.append(("connection", "close"))
    data = http.send(h11.Response(status_code=said.status, headers=headers)) or b""
    if with_body:
        data += http.send(h11.Data(data=said.body)) or b""
    data += http.send(h11.EndOfMessage()) or b""
    await stream.send_all(data)
