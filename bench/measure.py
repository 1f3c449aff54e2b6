"""Figures: percentiles, the spread of repeated runs, and the resources that processes use."""

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spread:
    """The median of repeated runs, with the least and the greatest of them."""

    median: float
    least: float
    greatest: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """The spread of repeated runs; there must be at least one."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `ordered` lie, by the nearest rank below."""
    return ordered[int((len(ordered) - 1) * share)]


def latency(nanoseconds: Iterable[int]) -> dict[str, float]:
    """Percentiles in microseconds, under the names that the load generator uses too."""
    ordered = sorted(ns / 1e3 for ns in nanoseconds)
    if not ordered:
        return {}
    names = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999, "max_us": 1.0}
    mean = {"n": float(len(ordered)), "mean_us": sum(ordered) / len(ordered)}
    return mean | {name: percentile(ordered, share) for name, share in names.items()}


def cpu_seconds(pid: int) -> float:
    """CPU of a process and of its reaped children, user and system; 0 if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    # the process name may contain spaces, so count the fields after it
    fields = text.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def waited_seconds(pid: int) -> float:
    """How long the main thread of a process could run and had no processor; 0 if that is not known."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def busy_seconds() -> float:
    """The processor time of everything on this machine, all cores together, and what a host stole."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, _, _, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def memory_mb(pid: int) -> float:
    """Resident memory in megabytes (10^6 bytes); 0 if there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    sizes = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return sizes[0] * 1024 / 1e6 if sizes else 0.0


def open_files(pid: int) -> int:
    """How many files and sockets a process holds open; 0 if there is no such process."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def disk_mb(folder: Path) -> float:
    """The disk space of the files below `folder`, in megabytes (10^6 bytes)."""
    blocks = 0
    for path in folder.rglob("*"):
        try:
            blocks += path.lstat().st_blocks
        except FileNotFoundError:  # a server removed it meanwhile
            continue
    return blocks * 512 / 1e6
