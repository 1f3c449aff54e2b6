"""How many claims a second to expect, from the processor time of a claim, cores, disk and load.

With N claims in flight, all N are answered once in a *round*. A round takes

    N x CPU / P + k x S

CPU is the processor time of a claim on all nodes together, and of whatever else shares their cores.
S is the time of a sync. P is how many cores are at work at once: no more than there are, or nodes; and
with few claims in flight nodes wait for each other. k is how many syncs a round waits for, one after
the other: a node syncs its own batch and those of the other homes that are at work, and some share a
sync. Claims a second are N divided by the round. `python -m bench formula` compares it with what it
sees on fewer cores and on slower disks; docs/performance.md has that table.

No I/O, no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log

MORE_SYNCS = 0.85
"""By how much k grows with each further home at work; measured with syncs that were delayed."""
CLAIMS_PER_CORE = 32
"""How many claims in flight keep one more core at work."""
REFERENCE_CPU_US: Mapping[int, float] = {1: 1_900, 16: 370, 64: 160, 256: 105}
"""Processor time of a claim by the number in flight, on the machine of docs/performance.md."""
CLIENT_CORES = 1
"""A client is one process, and works on one core."""


@dataclass(frozen=True)
class Conditions:
    """What the formula needs to know.

    Args:
        nodes: how many there are.
        cores: how many all of them have together.
        sync_ms: how long the disk of a node takes to sync.
        cpu_us: the processor time of a claim on these cores, in microseconds.
        outstanding: claims in flight.
        client_us: what a claim costs the client's process, which may be what is slowest.
    """

    nodes: int
    cores: int
    sync_ms: float
    cpu_us: float
    outstanding: int
    client_us: float = 0.0


def claims_per_s(at: Conditions) -> float:
    """The claims a second to expect."""
    expected = at.outstanding / round_s(at)
    return min(expected, CLIENT_CORES * 1e6 / at.client_us) if at.client_us else expected


def round_s(at: Conditions) -> float:
    """The seconds in which all claims in flight are answered once."""
    return cpu_s(at) + syncs_in_a_row(at.nodes, at.outstanding) * at.sync_ms / 1e3


def cpu_s(at: Conditions) -> float:
    """The seconds of a round in which processors are at work."""
    return at.outstanding * at.cpu_us / 1e6 / cores_at_work(at)


def cores_at_work(at: Conditions) -> float:
    """P: how many cores work at once."""
    return max(1.0, min(at.cores, at.nodes, at.outstanding / CLAIMS_PER_CORE + 1.0))


def syncs_in_a_row(nodes: int, outstanding: int) -> float:
    """k: how many syncs a round waits for."""
    return 1.0 + MORE_SYNCS * (homes_at_work(nodes, outstanding) - 1.0)


def homes_at_work(nodes: int, outstanding: int) -> float:
    """How many nodes are the home of at least one of the keys in flight, on average."""
    return nodes * (1.0 - (1.0 - 1.0 / nodes) ** outstanding)


def reference_cpu_us(outstanding: int) -> float:
    """The processor time of a claim on the machine of the page; between its figures, interpolated."""
    marks = sorted(REFERENCE_CPU_US)
    inside = min(max(outstanding, marks[0]), marks[-1])
    upper = next(mark for mark in marks if mark >= inside)
    if upper == inside:
        return REFERENCE_CPU_US[upper]
    lower = marks[marks.index(upper) - 1]
    share = log(inside / lower) / log(upper / lower)
    low, high = log(REFERENCE_CPU_US[lower]), log(REFERENCE_CPU_US[upper])
    return exp(low + share * (high - low))
