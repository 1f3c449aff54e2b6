"""``python -m bench.attackers KIND``: a client that takes what it can get from a cluster of decreed.

It speaks the protocol by hand, from an address of its own, so that the nodes take it for another caller
than those who come from the usual one. It goes on until it is ended.
"""

import argparse
import itertools
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from decreed.registry.types import Claim, Key
from decreed.registry.wire.codec import decode_batch, encode
from decreed.registry.wire.frames import FrameCutter, pack
from decreed.registry.wire.handshake import MAGIC, VERSION, ClientHello, Reception
from decreed.registry.wire.requests import (
    Answer,
    ClaimRequest,
    GetRequest,
    ListRequest,
    Request,
    WatchPage,
    WatchRequest,
)

MIB = 1 << 20
LONG_MS = 600_000
OUTSTANDING = 256
CONNECTIONS = 8
WATCHES = 300
_NUMBERS = itertools.count(1)
_SALT = time.monotonic_ns()

Ask = Callable[[int], Request]


class Attacker:
    """One connection.

    Args:
        address: of the node.
        source: the address from which it comes.
    """

    def __init__(self, address: tuple[str, int], source: str) -> None:
        self.socket = socket.create_connection(address, 30.0, (source, 0))
        self._cutter = FrameCutter(64 * MIB)
        self.say(ClientHello(MAGIC, VERSION, VERSION, "attacker"))
        self._hear(Reception)

    def say(self, *messages: object) -> None:
        """Send messages, however long that takes."""
        for frame in pack(map(encode, messages)):
            self.socket.sendall(frame)

    def ask(self, request: Request) -> object:
        """Send a request and wait for its answer."""
        self.say(request)
        return self._hear(Answer)[0]

    def _hear(self, kind: object) -> Sequence[object]:
        while True:
            found = self.take(kind)
            if found:
                return found

    def take(self, kind: object = Answer) -> list[object]:
        """What comes next, perhaps nothing whole yet.

        Raises:
            OSError: if the node has closed the connection.
        """
        data = self.socket.recv(MIB)
        if not data:
            raise ConnectionResetError("the node closed it")
        return [each for part in self._cutter.feed(data) for each in decode_batch(part, kind)]


def _claim(size: int) -> Ask:
    value = b"x" * size

    def ask(number: int) -> ClaimRequest:
        claim = Claim(Key(f"attack/{_SALT}/{number}"), value, "", "attacker", b"%d" % number)
        return ClaimRequest(number, LONG_MS, False, claim)

    return ask


def _pipelined(connect: Callable[[], Attacker], ask: Ask, outstanding: int) -> None:
    """Keep so many requests in flight on each connection, and one more for each answer."""
    ready = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        made = connect()
        ready.register(made.socket, selectors.EVENT_READ, made)
        made.say(*(ask(next(_NUMBERS)) for _ in range(outstanding)))
    while True:
        for key, _ in ready.select():
            count = len(key.data.take())
            if count:
                key.data.say(*(ask(next(_NUMBERS)) for _ in range(count)))


def claims(connect: Callable[[], Attacker]) -> None:
    """Claims at full speed."""
    _pipelined(connect, _claim(64), OUTSTANDING)


def huge_values(connect: Callable[[], Attacker]) -> None:
    """Claims of a MiB."""
    _pipelined(connect, _claim(MIB - 1024), 4)


def lists(connect: Callable[[], Attacker]) -> None:
    """Lists of everything, again and again."""
    _pipelined(connect, lambda number: ListRequest(number, LONG_MS, "", "", 1_000), 8)


def reconnects(connect: Callable[[], Attacker]) -> None:
    """Connections that greet and go."""
    while True:
        connect().socket.close()


def watches(connect: Callable[[], Attacker]) -> None:
    """Hundreds of watches of everything, on from where each page ends."""
    ready = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        made = connect()
        page = made.ask(WatchRequest(1, LONG_MS, "", None, 100))
        assert isinstance(page, WatchPage)
        numbers = (next(_NUMBERS) for _ in range(WATCHES // CONNECTIONS))
        made.say(*(WatchRequest(n, LONG_MS, "", page.position, 100) for n in numbers))
        ready.register(made.socket, selectors.EVENT_READ, made)
    while True:
        for key, _ in ready.select():
            pages = [each for each in key.data.take() if isinstance(each, WatchPage)]
            again = [
                WatchRequest(next(_NUMBERS), LONG_MS, "", page.position, 100) for page in pages
            ]
            if again:
                key.data.say(*again)


def unread(connect: Callable[[], Attacker]) -> None:
    """Readers that ask for large values and never read them; they come again when they are dropped."""
    writer = connect()
    large = _claim(MIB - 1024)(0)
    writer.ask(large)
    assert isinstance(large, ClaimRequest)
    while True:
        made = list[Attacker]()
        with suppress(OSError):
            for _ in range(CONNECTIONS):
                made.append(connect())
                gets = (GetRequest(next(_NUMBERS), LONG_MS, large.claim.key) for _ in range(100))
                made[-1].say(*gets)
            time.sleep(1.0)
        for each in made:
            each.socket.close()


KINDS = {
    kind.__name__.replace("_", "-"): kind
    for kind in (claims, huge_values, lists, reconnects, watches, unread)
}


def main(arguments: Sequence[str]) -> None:
    """Attack until ended; an attacker that is turned away comes again."""
    parser = argparse.ArgumentParser(prog="python -m bench.attackers", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--nodes", required=True, help="host:port of the nodes, with commas")
    parser.add_argument(
        "--source", default="127.0.0.2", help="the address to come from  [127.0.0.2]"
    )
    given = parser.parse_args(arguments)
    places = [
        (host, int(port)) for host, port in (each.split(":") for each in given.nodes.split(","))
    ]
    turns: Iterator[tuple[str, int]] = itertools.cycle(places)
    while True:
        with suppress(OSError):
            KINDS[given.kind](lambda: Attacker(next(turns), given.source))
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
