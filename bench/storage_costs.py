"""The cost of claims for a node's storage: CPU, bytes written, sync time, memory, and start.

Drives only `decreed.storage`, without a network, as a node does: instances of fresh keys are looked up
and written as accepted, with a sync; then they are looked up again and written as learned, with their
feed entries. The cost is the CPU time of the whole process, with RocksDB's own threads and without
making the claims; other load on the machine hardly changes it.

    python -m bench.storage_costs --keys 1000000
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.disk import FeedRecord, InstanceRecord, Record
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import DIGEST_BYTES, Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.storage.directory import open_directory
from decreed.storage.rocks import RocksStorage

NODE = NodeId("n1")
BALLOT = Ballot(1, Process(NODE, 1))
KIB, MIB = 1024, 1024 * 1024


class Sample(NamedTuple):
    """The resources used by the process at one moment.

    Args:
        cpu_s: CPU time of the process so far, all threads.
        written: bytes handed to the kernel so far.
        wall_s: wall-clock time.
    """

    cpu_s: float
    written: int
    wall_s: float

    @classmethod
    def now(cls) -> "Sample":
        """The resources used so far."""
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return cls(time.process_time(), int(fields["wchar"]), time.perf_counter())


class ClaimRows:
    """Claims of fresh keys in batches.

    Args:
        value_bytes: the length of each value.
        batch: how many keys a turn has.

    Attributes:
        making_s: the CPU time spent on making claims so far.
    """

    def __init__(self, value_bytes: int, batch: int) -> None:
        self._value_bytes = value_bytes
        self.batch = batch
        self.making_s = 0.0

    def run(self, storage: RocksStorage, first: int, count: int) -> Iterator[float]:
        """Claim keys `first` to `first + count`; yields the seconds that each synced write took."""
        for start in range(first, first + count, self.batch):
            begun = time.thread_time()
            decrees = [self._decree(number) for number in range(start, start + self.batch)]
            self.making_s += time.thread_time() - begun
            yield self._turn(storage, start, decrees)

    def key(self, number: int) -> Key:
        """The key of claim `number`; neighbours are far from each other, as with random names."""
        return Key(f"bench/{hashlib.blake2b(b'%d' % number, digest_size=10).hexdigest()}")

    def _decree(self, number: int) -> Decree:
        key, value = self.key(number), os.urandom(self._value_bytes // 2).hex().encode()
        kind, claim_id = "application/octet-stream", os.urandom(16)
        return Decree(key, value, kind, "user@host", claim_id, "", 1_700_000_000_000, BALLOT)

    def _turn(self, storage: RocksStorage, start: int, decrees: list[Decree]) -> float:
        keys = [decree.key for decree in decrees]
        storage.load(keys)
        accepted: list[Record] = [
            InstanceRecord(d.key, Instance(BALLOT, Proposal(BALLOT, d))) for d in decrees
        ]
        begun = time.perf_counter()
        storage.write(accepted)
        took_s = time.perf_counter() - begun
        storage.load(keys)
        learned: list[Record] = [InstanceRecord(d.key, Instance(learned=d)) for d in decrees]
        learned.append(FeedRecord(start, tuple(keys), b"d" * DIGEST_BYTES * len(keys)))
        storage.write(learned, sync=False)
        return took_s


def config() -> ClusterConfig:
    """A cluster of three."""
    members = {f"n{at}": f"127.0.0.1:{7000 + at}" for at in (1, 2, 3)}
    return parse_config({"cluster_id": "bench", "members": members})


def rss_mib() -> float:
    """The resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def disk_mib(folder: Path) -> float:
    """The size of the files below a folder, in MiB."""
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sum(sizes) / MIB


def reading(storage: RocksStorage, claims: ClaimRows, keys: int, count: int) -> float:
    """The CPU time of reading one of `keys` keys, chosen uniformly, in microseconds."""
    numbers = [int.from_bytes(os.urandom(6)) % keys for _ in range(count)]
    wanted = [claims.key(number) for number in numbers]
    begun = time.process_time()
    for start in range(0, count, claims.batch):
        storage.load(wanted[start : start + claims.batch])
    return (time.process_time() - begun) / count * 1e6


def header() -> str:
    """The names of the columns."""
    names = ("keys", "CPU us", "written B", "sync ms", "p99 ms", "read us", "RSS MiB", "disk MiB")
    return " ".join(f"{name:>10}" for name in names)


def stage(storage: RocksStorage, claims: ClaimRows, first: int, until: int, folder: Path) -> str:
    """Claim keys up to `until`; returns the table row of their costs."""
    before, made_s = Sample.now(), claims.making_s
    syncs = sorted(claims.run(storage, first, until - first))
    after, count = Sample.now(), until - first
    figures = (
        (after.cpu_s - before.cpu_s - claims.making_s + made_s) / count * 1e6,
        (after.written - before.written) / count,
        syncs[len(syncs) // 2] * 1e3,
        syncs[int(len(syncs) * 0.99)] * 1e3,
        reading(storage, claims, until, 2_000),
        rss_mib(),
        disk_mib(folder),
    )
    return f"{until:10}" + "".join(f" {figure:10.2f}" for figure in figures)


def restart(folder: Path, claims: ClaimRows) -> str:
    """Open the directory as it was left; returns what that costs."""
    before = Sample.now()
    storage = open_directory(folder, config(), NODE)
    storage.load([claims.key(0)])
    after = Sample.now()
    wall_s, cpu_s = after.wall_s - before.wall_s, after.cpu_s - before.cpu_s
    storage.close()
    return f"wall {wall_s:.2f} s, CPU {cpu_s:.2f} s, then {rss_mib():.0f} MiB"


def stages(keys: int) -> list[int]:
    """The numbers of keys at which costs are measured, up to `keys`."""
    return [at for at in (1_000, 10_000, 100_000, 300_000, 1_000_000, 3_000_000) if at < keys] + [
        keys
    ]


def fill(folder: Path, claims: ClaimRows, keys: int) -> None:
    """Print all rows for a directory that grows to `keys` keys; then kill this process."""
    storage = open_directory(folder, config(), NODE)
    print(header())
    first = 0
    for until in stages(keys):
        print(stage(storage, claims, first, until, folder), flush=True)
        first = until
    os.kill(os.getpid(), signal.SIGKILL)


def measure(folder: Path, arguments: list[str], claims: ClaimRows) -> None:
    """Fill a directory in a process of its own, then open it in this one."""
    subprocess.run([sys.executable, "-m", "bench.storage_costs", *arguments, "--fill", folder])
    print("after a kill:", restart(folder, claims))
    print("after a stop:", restart(folder, claims))


def main() -> None:
    """Read the arguments, and measure in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--batch", type=int, default=100, help="keys a turn")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    claims = ClaimRows(given.value_bytes, given.batch)
    if given.fill is not None:
        fill(given.fill, claims, given.keys)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        measure(Path(scratch) / "data", sys.argv[1:], claims)


if __name__ == "__main__":
    main()
