"""Clients that wait: for keys, decrees, series, lists and locks, by the thousand."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from decreed.registry.locks.terms import TermClaim
from decreed.registry.types import Key
from decreed.registry.wire.codec import encode
from decreed.registry.wire.frames import pack
from decreed.registry.wire.requests import (
    Cancel,
    LatestRequest,
    ListRequest,
    LockRequest,
    Request,
    WaitRequest,
    WatchRequest,
)

from .clients import TIMEOUT_MS, Raw, claim_of, raws, waits, where

IN_FLIGHT = 4_096
SENDING_S = 30.0


def packed(requests: Iterable[Request]) -> bytes:
    """Requests as they are sent."""
    return b"".join(pack(map(encode, requests)))


def send_all(clients: list[Raw], made: Callable[[int], bytes]) -> None:
    """Let all of them greet and send at the same time; who is dropped meanwhile is."""

    def send(client: Raw, number: int) -> None:
        with suppress(OSError, EOFError):
            client.greet().socket.sendall(made(number))

    senders = [
        threading.Thread(target=send, args=(client, number), daemon=True)
        for number, client in enumerate(clients)
    ]
    until = time.monotonic() + SENDING_S
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(max(0.01, until - time.monotonic()))


def many_waits(address: str, hold: Callable[[], None]) -> None:
    """20 clients wait for 4,096 keys each."""
    with raws(address, 20) as clients:
        send_all(clients, lambda number: packed(waits(f"never{number}", IN_FLIGHT)))
        hold()


def waits_on_many_connections(address: str, hold: Callable[[], None]) -> None:
    """300 clients wait for 8,192 keys with long names each, of which half may be in flight."""
    path = "/".join(["x" * 100, "y" * 100, "z" * 100])
    with raws(address, 300) as clients:
        send_all(clients, lambda number: packed(waits(f"{path}/{number}", 2 * IN_FLIGHT)))
        hold()


def one_id(address: str, hold: Callable[[], None]) -> None:
    """60 clients, one after the other, wait for 4,096 keys under one id, and go."""
    said = packed(WaitRequest(1, TIMEOUT_MS, Key(f"never/{n}")) for n in range(IN_FLIGHT))
    for _ in range(60):
        with raws(address, 1) as clients:
            send_all(clients, lambda _: said)
            time.sleep(0.1)
    hold()


def reads_in_line(address: str, hold: Callable[[], None]) -> None:
    """40 clients ask for the latest slots of 4,096 series and for 4,096 pages of decrees long past."""
    with raws(address, 40) as clients, raws(address, 1) as [writer]:
        position = where(writer.greet())
        for number in range(1_000):
            writer.ask(claim_of(f"past/{number}", b"x"))
        watched = [WatchRequest(n, TIMEOUT_MS, "no", position, 10) for n in range(IN_FLIGHT)]
        asked = [LatestRequest(n, TIMEOUT_MS, f"series/{n}") for n in range(IN_FLIGHT)]
        send_all(clients, lambda number: packed(watched if number % 2 else asked))
        hold()


def reads_then_gone(address: str, hold: Callable[[], None]) -> None:
    """100 clients, one after the other, ask for the latest slots of 4,096 series, and go."""
    for number in range(100):
        said = packed(LatestRequest(n, TIMEOUT_MS, f"s{number}/{n}") for n in range(IN_FLIGHT))
        with raws(address, 1) as clients:
            send_all(clients, lambda _, said=said: said)  # type: ignore[misc]
            time.sleep(0.05)
    hold()


def lists_in_line(address: str, hold: Callable[[], None]) -> None:
    """20 clients list 4,096 paths each."""
    with raws(address, 20) as clients:
        send_all(
            clients,
            lambda number: packed(
                ListRequest(n, TIMEOUT_MS, f"path{number}/{n}", "", 10) for n in range(IN_FLIGHT)
            ),
        )
        hold()


def watches_that_leave(address: str, hold: Callable[[], None]) -> None:
    """10 clients watch everything 4,096 times each; half of them go, and a key is claimed."""
    with raws(address, 5) as staying, raws(address, 1) as [writer]:
        position = where(writer.greet())
        said = packed(WatchRequest(n, TIMEOUT_MS, "", position, 10) for n in range(IN_FLIGHT))
        send_all(staying, lambda _: said)
        with raws(address, 5) as leaving:
            send_all(leaving, lambda _: said)
            time.sleep(2)
        hold()
        writer.ask(claim_of("watched", b"x"))


def queues_for_a_lock(address: str, hold: Callable[[], None]) -> None:
    """10 clients queue 4,096 times each for one lock; half of it ends at once, much is cancelled."""

    def queue(number: int) -> bytes:
        timeout_ms = TIMEOUT_MS if number % 2 else 8_000
        return packed(
            LockRequest(n, timeout_ms, "lock", True, _wish(number, n)) for n in range(IN_FLIGHT)
        )

    with raws(address, 10) as clients:
        send_all(clients, queue)
        time.sleep(3)
        for client in clients[1:4:2]:
            with suppress(OSError):
                client.say(*map(Cancel, range(IN_FLIGHT)))
        hold()


def _wish(client: int, number: int) -> TermClaim:
    return TermClaim("attack", b"%08d%08d" % (client, number), 60_000, bytes(32))


ATTACKS = (
    many_waits,
    waits_on_many_connections,
    one_id,
    reads_in_line,
    reads_then_gone,
    lists_in_line,
    watches_that_leave,
    queues_for_a_lock,
)
