"""What the client library costs: CPU time of the client's own process per operation.

``python bench/client_costs.py`` prints a table. The nodes are fakes: one other process answers every
request immediately, without consensus and without a disk, so that only the client is measured. CPU
time is that of the process, which load on the machine hardly changes.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio

from decreed.client import Registry, connect, sync
from decreed.client.caching.cache_directory import CacheDirectory
from decreed.client.caching.disk import DecreeFile
from decreed.registry.keys import parse_key
from decreed.registry.types import Ballot, Claim, Decree, Key, NodeId, Process
from decreed.registry.wire import codec, frames
from decreed.registry.wire.handshake import VERSION, ClientWelcome, Greeting, Member
from decreed.registry.wire.requests import (
    Answer,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    Request,
    Undecided,
)

FORMATION = b"pretended-nodes!"
NODES = tuple(NodeId(name) for name in ("n1", "n2", "n3"))
MAX_BYTES = 8 * 1024 * 1024
VALUE = b"v" * 64
BALLOT = Ballot(1, Process(NODES[0], 1))
DISK_LIMIT = 10**12

Work = Callable[[Registry, Iterator[str], int], Coroutine[Any, Any, None]]


# ---- the fake nodes ----


async def serve() -> None:
    """Listen as three nodes, print their addresses, and answer until standard input ends."""
    addresses: dict[NodeId, str] = {}
    for node in NODES:
        server = await asyncio.start_server(partial(_talk, node, addresses), "127.0.0.1", 0)
        addresses[node] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(*addresses.values(), flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _talk(
    node: NodeId,
    addresses: dict[NodeId, str],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    cutter = frames.FrameCutter(MAX_BYTES)
    greeted = False
    while data := await reader.read(256 * 1024):
        for payload in cutter.feed(data):
            messages = codec.decode_batch(payload, Request if greeted else Greeting)
            answers = map(_answer, messages) if greeted else [_welcome(node, addresses)]
            greeted = True
            writer.writelines(frames.pack(map(codec.encode, answers)))
    writer.close()


def _welcome(node: NodeId, addresses: dict[NodeId, str]) -> ClientWelcome:
    members = tuple(Member(name, address, 0) for name, address in addresses.items())
    limits = (1024 * 1024, MAX_BYTES, 4096)
    return ClientWelcome(VERSION, "pretended", FORMATION, node, members, *limits)


def _answer(request: Any) -> Answer:
    match request:
        case ClaimRequest(id=id, claim=claim):
            return Decreed(id, Decree.of(claim, BALLOT, 0))
        case GetRequest(id=id, key=key) if key.startswith("nobody"):
            return Undecided(id)
        case GetRequest(id=id, key=key):
            return Decreed(id, decree_of(key))
        case _:
            return Failed(request.id, 1, "no such request")


def decree_of(key: Key) -> Decree:
    """The decree of every key."""
    return Decree.of(Claim(key, VALUE, "text/plain", "somebody", b"i" * 16), BALLOT, 0)


@contextmanager
def pretended_nodes() -> Generator[list[str]]:
    """Run the fake nodes in a process of their own; yields their addresses."""
    command = [sys.executable, __file__, "--serve"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.communicate()


# ---- the work ----


async def get_cached(registry: Registry, keys: Iterator[str], times: int) -> None:
    """Read one key that is in memory."""
    key = next(keys)
    await registry.get(key)
    for _ in range(times):
        await registry.get(key)


async def look_cached(registry: Registry, keys: Iterator[str], times: int) -> None:
    """Ask for one key in memory, without await."""
    key = next(keys)
    await registry.get(key)
    for _ in range(times):
        registry.cached(key)


async def get_one(registry: Registry, keys: Iterator[str], times: int) -> None:
    """Read keys one at a time."""
    for _ in range(times):
        await registry.get(next(keys))


async def claim_one(registry: Registry, keys: Iterator[str], times: int) -> None:
    """Claim keys one at a time."""
    for _ in range(times):
        await registry.claim(next(keys), VALUE)


async def get_many(registry: Registry, keys: Iterator[str], times: int) -> None:
    """Read a hundred keys a call."""
    for _ in range(times // 100):
        await registry.get_many([next(keys) for _ in range(100)])


async def claim_many(registry: Registry, keys: Iterator[str], times: int) -> None:
    """Claim a hundred keys a call."""
    for _ in range(times // 100):
        await registry.claim_many([(next(keys), VALUE) for _ in range(100)])


def by_64(work: Work) -> Work:
    """The same work, divided among 64 tasks."""

    async def all_of(registry: Registry, keys: Iterator[str], times: int) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(work, registry, keys, times // 64)

    return all_of


SUITE: dict[str, tuple[Work, int]] = {
    "get, in memory": (get_cached, 300_000),
    "cached, in memory": (look_cached, 300_000),
    "get, 1 at a time": (get_one, 4_000),
    "get, 64 at a time": (by_64(get_one), 20_000),
    "get_many of 100": (get_many, 20_000),
    "claim, 1 at a time": (claim_one, 4_000),
    "claim, 64 at a time": (by_64(claim_one), 20_000),
    "claim_many of 100": (claim_many, 20_000),
}


# ---- measuring ----


def fresh_keys() -> Iterator[str]:
    """Keys that were not used before."""
    return (f"bench/costs/key-{number}" for number in count())


@asynccontextmanager
async def counted(label: str, times: int) -> AsyncGenerator[None]:
    """Print the CPU time of the block: all threads of this process."""
    began = time.process_time()
    yield
    show(label, time.process_time() - began, times)


def show(label: str, seconds: float, times: int) -> None:
    """Print one row of the table: the time of one operation, and operations per second."""
    each = seconds / times * 1e6
    print(f"{label:<34}{each:>10.2f} us{1e6 / each:>14,.0f}/s", flush=True)


async def measure(endpoints: list[str], name: str, only: str) -> None:
    """Run the suite in the event loop that runs."""
    keys = fresh_keys()
    for label, (work, times) in SUITE.items():
        if only in label:
            async with connect(*endpoints) as registry:
                await work(registry, keys, 200)
                async with counted(f"{name}: {label}", times):
                    await work(registry, keys, times)


def measure_blocking(endpoints: list[str], only: str) -> None:
    """The same through the blocking client, from one thread."""
    keys = fresh_keys()
    calls: dict[str, tuple[Callable[[sync.Registry, str], object], int]] = {
        "get, in memory": (lambda registry, key: registry.get(key), 100_000),
        "cached, in memory": (lambda registry, key: registry.cached(key), 300_000),
        "get, 1 at a time": (lambda registry, key: registry.get(key), 4_000),
        "claim, 1 at a time": (lambda registry, key: registry.claim(key, VALUE), 4_000),
    }
    for label, (call, times) in calls.items():
        if only in label:
            with sync.connect(*endpoints) as registry:
                known = next(keys)
                registry.get(known)
                names = [known] * times if "memory" in label else [next(keys) for _ in range(times)]
                began = time.process_time()
                for name in names:
                    call(registry, name)
                show(f"blocking: {label}", time.process_time() - began, times)


def measure_disk(endpoints: list[str], decrees: int) -> None:
    """Open a disk cache with `decrees` in it, and read one."""
    with tempfile.TemporaryDirectory() as name:
        _fill(Path(name), endpoints, decrees)
        _forget(Path(name))
        began = time.perf_counter()
        cpu = time.process_time()
        cache_directory = CacheDirectory(Path(name), DISK_LIMIT, DISK_LIMIT)
        file = cache_directory.take("pretended", FORMATION, endpoints)
        [found] = file.get([_disk_key(decrees // 2)])
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        file.close()
        assert found.value == VALUE
        print(f"disk cache of {decrees:,}: opened and read in {elapsed * 1000:.1f} ms,", end=" ")
        print(f"{cpu * 1000:.1f} ms of CPU; {file.path.stat().st_size / 1e6:,.0f} MB")
        _measure_through(Path(name), endpoints, decrees)


def _forget(folder: Path) -> None:
    """Have the system drop the files from its page cache, if it can."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _measure_through(folder: Path, endpoints: list[str], decrees: int) -> None:
    """Measure from connecting to the first decree from the disk, with a blocking client."""
    began = time.perf_counter()
    with sync.connect(*endpoints, cache_dir=folder, cache_decrees=DISK_LIMIT) as registry:
        assert registry.get(_disk_key(7)) is not None
        first = time.perf_counter() - began
    print(f"disk cache of {decrees:,}: from connect to the first decree in {first * 1000:.1f} ms")


def _disk_key(number: int) -> Key:
    return parse_key(f"disk/key-{number}")


def _fill(folder: Path, endpoints: list[str], decrees: int) -> None:
    file: DecreeFile = CacheDirectory(folder, DISK_LIMIT, DISK_LIMIT).take(
        "pretended", FORMATION, endpoints
    )
    for start in range(0, decrees, 50_000):
        some = range(start, min(decrees, start + 50_000))
        file.put([decree_of(_disk_key(number)) for number in some])
    file.close()


def main() -> None:
    """Print the table."""
    parser = ArgumentParser(description="CPU time of the client per operation")
    parser.add_argument("--serve", action="store_true", help="be the pretended nodes")
    parser.add_argument("--only", default="", help="rows whose label has this in it")
    parser.add_argument("--disk", type=int, default=0, help="decrees in the disk cache; 0: skip")
    parser.add_argument("--loops", default="trio,asyncio", help="event loops to measure under")
    parser.add_argument("--blocking", action=BooleanOptionalAction, default=True)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    with pretended_nodes() as endpoints:
        for backend in filter(None, options.loops.split(",")):
            anyio.run(measure, endpoints, backend, options.only, backend=backend)
        if options.blocking:
            measure_blocking(endpoints, options.only)
        if options.disk:
            measure_disk(endpoints, options.disk)


if __name__ == "__main__":
    main()
