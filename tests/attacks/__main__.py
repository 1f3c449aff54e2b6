"""``python -m tests.attacks``: hostile clients, a node's memory, and a bystander.

Each attack hits one node of a real cluster. The report has the node's memory before the attack, at its
peak, and after the attackers have gone, and how long a bystander's reads took meanwhile. Exit code 1 if
a node used more memory than it may, or did not free it.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from decreed.registry.types import Key
from decreed.registry.wire.requests import GetRequest

from ..support.processes import Processes, running
from . import waiting
from .clients import MIB, TIMEOUT_MS, claim_of, gets, raws, watches, where

MOST_MIB = 400
KEPT_MIB = 150
AFTER_S = 10.0
MIXED_S = 60.0
"""So long all attacks at the same time take to begin; on a slow machine some of them come later."""


@dataclass
class Seen:
    """The measurements during an attack: memory in MiB, a bystander's reads in seconds."""

    memory: list[float] = field(default_factory=list[float])
    reads: list[float] = field(default_factory=list[float])


def memory_of(pid: int) -> float:
    """The resident memory of a process, in MiB, without shared memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if "RssAnon" in line) / 1024


def unread_gets(address: str, hold: Callable[[], None], keys: int = 1) -> None:
    """40 clients pipeline 60 gets of keys of a MiB and read nothing."""
    with raws(address, 1) as [writer]:
        writer.greet()
        for number in range(keys):
            writer.ask(claim_of(f"large/{number}", number.to_bytes(2, "big") * (MIB // 2)))
    with raws(address, 40, 4096) as clients:
        for at, client in enumerate(clients):
            asked = [f"large/{(at * 60 + n) % keys}" for n in range(60)]
            with suppress(OSError, EOFError):
                client.greet().say(*gets(asked))
        hold()


def unread_gets_of_many(address: str, hold: Callable[[], None]) -> None:
    """The same with 300 keys, so that few answers are equal."""
    unread_gets(address, hold, 300)


def stalled_watches(address: str, hold: Callable[[], None]) -> None:
    """30 clients watch 60 times each, a MiB is claimed, and they read nothing."""
    with raws(address, 30, 4096) as clients, raws(address, 1) as [writer]:
        position = where(writer.greet())
        for client in clients:
            client.greet().say(*watches(position, 60))
        writer.ask(claim_of("watched", bytes(MIB - 1)))
        hold()


def half_frames(address: str, hold: Callable[[], None]) -> None:
    """150 clients send all but the last byte of a frame of 8 MiB."""
    with raws(address, 150) as clients:
        for client in clients:
            with suppress(OSError, EOFError):
                client.greet()
        senders = [threading.Thread(target=c.say_half, args=(8 * MIB,)) for c in clients]
        for sender in senders:
            sender.start()
        hold()
    for sender in senders:
        sender.join()


def small_half_frames(address: str, hold: Callable[[], None]) -> None:
    """900 clients send all but the last byte of a frame of 32 KB, too small to wait for room."""
    with raws(address, 900) as clients:
        for client in clients:
            with suppress(OSError, EOFError):
                client.greet().say_half(32_000)
        hold()


def never_greeted(address: str, hold: Callable[[], None]) -> None:
    """3,000 connections that say nothing."""
    with raws(address, 3_000):
        hold()


Attack = Callable[[str, Callable[[], None]], None]
ATTACKS: dict[str, Attack] = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        unread_gets,
        unread_gets_of_many,
        stalled_watches,
        half_frames,
        small_half_frames,
        never_greeted,
        *waiting.ATTACKS,
    )
}


def everything(address: str, hold: Callable[[], None]) -> None:
    """What takes most memory, all at the same time."""
    names = ("unread-gets-of-many", "stalled-watches", "half-frames", "small-half-frames")
    waits = ("waits-on-many-connections", "lists-in-line")
    for name in (*names, *waits):
        attack = threading.Thread(target=_until_dropped, args=(ATTACKS[name], address, hold))
        attack.daemon = True  # one that is blocked in a socket is left there
        attack.start()
    time.sleep(MIXED_S)
    hold()


def _until_dropped(attack: Attack, address: str, hold: Callable[[], None]) -> None:
    with suppress(OSError, EOFError):
        attack(address, hold)
        return
    hold()


@contextmanager
def observed(address: str, pid: int) -> Generator[Seen]:
    """Measure a node while the block runs."""
    seen, over = Seen(), threading.Event()

    def watch_memory() -> None:
        while not over.wait(0.02):
            seen.memory.append(memory_of(pid))

    def read() -> None:
        with raws(address, 1) as [bystander]:
            bystander.greet()
            while not over.wait(0.05):
                began = time.monotonic()
                bystander.ask(GetRequest(1, TIMEOUT_MS, Key("bystander")))
                seen.reads.append(time.monotonic() - began)

    threads = [threading.Thread(target=watch_memory), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def run(cluster: Processes, name: str, seconds: float) -> bool:
    """One attack at the first node; returns whether the node kept to its bounds."""
    node = cluster.nodes[0]
    address, pid = cluster.addresses[node], cluster.running[node].pid
    before = memory_of(pid)
    with observed(address, pid) as seen:
        time.sleep(0.5)
        (ATTACKS | {"everything": everything})[name](address, lambda: time.sleep(seconds))
    time.sleep(AFTER_S)
    after, most = memory_of(pid), max(seen.memory)
    fine = most - before <= MOST_MIB and after - before <= KEPT_MIB
    print(
        f"{name:<20} MiB: {before:6.0f} before, {most:6.0f} at most, {after:6.0f} after;"
        f" {len(seen.reads)} reads of a bystander, the slowest {max(seen.reads):.2f} s"
        f"{'' if fine else '  TOO MUCH'}",
        flush=True,
    )
    return fine


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, and print the measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("attacks", nargs="*", help=f"of {', '.join(ATTACKS)}  [all]")
    parser.add_argument("--seconds", type=float, default=15.0, help="each lasts  [15]")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="[3]")
    parser.add_argument("--fresh", action="store_true", help="new nodes for each attack")
    given = parser.parse_args(arguments)
    names: list[str] = given.attacks or [*ATTACKS, "everything"]
    rounds = [[name] for name in names] if given.fresh else [names]
    fine = True
    for attacks in rounds:
        with (
            tempfile.TemporaryDirectory(prefix="decreed-attacks-") as folder,
            running(Path(folder), given.nodes) as cluster,
        ):
            for name in attacks:
                fine = run(cluster, name, given.seconds) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
