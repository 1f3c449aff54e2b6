"""Clients that misbehave: they do not read answers, do not finish frames, or do not greet."""

import contextlib
import socket
from collections.abc import Generator, Iterable
from typing import Any

from decreed.registry.types import Claim, Key
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import MAGIC, VERSION, ClientHello, Reception
from decreed.registry.wire.requests import (
    Answer,
    ClaimRequest,
    GetRequest,
    Position,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

PATIENCE_S = 120.0
TIMEOUT_MS = 300_000
MIB = 1024 * 1024


class Raw:
    """A connection that speaks the protocol by hand, and waits only for `greet`, `hear` and `ask`.

    Args:
        address: ``host:port`` of a node.
        receive_bytes: the size of the system's receive buffer, for bytes that we do not read.
    """

    def __init__(self, address: str, receive_bytes: int = 0) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect((host, int(port)))
        self._cutter = FrameCutter(64 * MIB)
        self._received: list[Any] = []

    def greet(self) -> "Raw":
        """Shake hands as a client."""
        self.say(ClientHello(MAGIC, VERSION, VERSION, "attack"))
        self.hear(Reception)
        return self

    def say(self, *messages: object) -> None:
        """Send messages in as few frames as possible."""
        for frame in pack(map(encode, messages)):
            self.socket.sendall(frame)

    def hear(self, kind: Any = Answer) -> Any:
        """The next message."""
        while not self._received:
            data = self.socket.recv(MIB)
            if not data:
                raise EOFError("the node closed the connection")
            for payload in self._cutter.feed(data):
                self._received += decode_batch(payload, kind)
        return self._received.pop(0)

    def ask(self, request: object) -> Any:
        """Send a request and read its answer."""
        self.say(request)
        return self.hear()

    def say_half(self, size: int) -> None:
        """Send a frame of `size` bytes without its last byte; the node may reset the connection."""
        with contextlib.suppress(OSError):
            self.socket.sendall(size.to_bytes(4, "big") + bytes(size - 1))

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


@contextlib.contextmanager
def raws(address: str, count: int, receive_bytes: int = 0) -> Generator[list[Raw]]:
    """`count` connections, closed after the block."""
    made: list[Raw] = []
    try:
        for _ in range(count):
            made.append(Raw(address, receive_bytes))
        yield made
    finally:
        for raw in made:
            raw.close()


def claim_of(key: str, value: bytes) -> ClaimRequest:
    """A claim of a key."""
    claim = Claim(Key(key), value, "", "attack", key.encode(), "")
    return ClaimRequest(1, TIMEOUT_MS, False, claim)


def gets(keys: Iterable[str]) -> list[GetRequest]:
    """A get of each key."""
    return [GetRequest(number, TIMEOUT_MS, Key(key)) for number, key in enumerate(keys, 1)]


def waits(prefix: str, count: int) -> list[WaitRequest]:
    """`count` waits, each for a key that stays undecided."""
    return [WaitRequest(n, TIMEOUT_MS, Key(f"{prefix}/{n}")) for n in range(1, count + 1)]


def watches(position: Position, count: int) -> list[WatchRequest]:
    """`count` watches of all keys from a position on."""
    return [WatchRequest(number, TIMEOUT_MS, "", position, 100) for number in range(1, count + 1)]


def where(raw: Raw) -> Position:
    """The present position in the feed of a node."""
    page: WatchPage = raw.ask(WatchRequest(1, TIMEOUT_MS, "", None, 100))
    return page.position
