"""Finding out without an event loop which service is at an endpoint that is no decreed node."""

import socket
from collections.abc import Callable
from selectors import EVENT_READ

from .endpoints import Endpoint
from .socket_dial import Poller, SocketDial
from .strangers import LOOK_BYTES, LOOK_SECONDS, questions, verdict


class Look:
    """Identifies the service at one endpoint, on connections of its own.

    Args:
        endpoint: where to look.
        poller: tells when there is something to do.
        now: the time in seconds.
        found: called once with the kind of server; empty if that cannot be found out.
    """

    def __init__(
        self, endpoint: Endpoint, poller: Poller, now: float, found: Callable[[str], None]
    ) -> None:
        self.over_at = now + LOOK_SECONDS
        self._endpoint, self._poller, self._found = endpoint, poller, found
        self._now = now
        self._questions = questions()
        self._answers: dict[str, bytes] = {}
        self._dials: list[SocketDial] = []
        self._open: set[socket.socket] = set()
        self._over = False

    def begin(self) -> None:
        """Send the questions."""
        for way, question in self._questions.items():
            self._ask(way, question)

    def advance(self, now: float) -> None:
        """End, if the time is over."""
        if now >= self.over_at:
            self._end()

    def close(self) -> None:
        """Stop; `found` is not called any more."""
        self._over = True
        for dial in self._dials:
            dial.close()
        for connection in list(self._open):
            self._drop(connection)

    def _ask(self, way: str, question: bytes) -> None:
        def say(connection: socket.socket) -> None:
            self._open.add(connection)
            self._poller.watch(connection, EVENT_READ, lambda _: self._hear(way, connection))
            try:
                # the first bytes always fit into the send buffer of a new connection
                connection.sendall(question)
            except OSError:
                self._take(way, b"")

        dial = SocketDial(
            self._endpoint,
            self._poller,
            say,
            lambda error: self._take(way, b""),
            lambda: self._now,
            pause=0.0,
        )
        self._dials.append(dial)
        dial.begin()

    def _hear(self, way: str, connection: socket.socket) -> None:
        try:
            words = connection.recv(LOOK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        self._drop(connection)
        self._take(way, words)

    def _take(self, way: str, words: bytes) -> None:
        self._answers[way] = words
        if len(self._answers) == len(self._questions):
            self._end()

    def _end(self) -> None:
        if not self._over:
            self.close()
            self._found(verdict(dict.fromkeys(self._questions, b"") | self._answers))

    def _drop(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        self._poller.watch(connection, 0, lambda _: None)
        connection.close()
