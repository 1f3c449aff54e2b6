"""The measurements of a load by a library, under the names that the load generator prints."""

import itertools
import resource
import time
from collections.abc import Sequence
from typing import Any

from ..measure import cpu_seconds, latency
from ..measure import percentile as at

now_ns = time.monotonic_ns


class Account:
    """Latencies, gaps and CPU time of one load; any thread of the load may acknowledge.

    Args:
        op: the kind of operation.
        outstanding: operations under way at a time.
        seconds, warm_up: measured, and before that unmeasured.
        pids: the servers.
        series_ms: length of the cells of a series; 0 for none.
    """

    def __init__(
        self,
        op: str,
        outstanding: int,
        seconds: float,
        warm_up: float,
        pids: Sequence[int],
        series_ms: float = 0.0,
    ) -> None:
        self._op, self._outstanding, self._pids, self._series_ms = op, outstanding, pids, series_ms
        self.begins = now_ns() + int(warm_up * 1e9)
        self.ends = self.begins + int(seconds * 1e9)
        self.done = self.failed = self.lost = 0
        self._samples: list[tuple[int, int]] = []
        self._before: tuple[float, float] | None = None

    @property
    def over(self) -> bool:
        """Whether the load is over. Also reads the CPU times when measuring begins."""
        now = now_ns()
        if self._before is None and now >= self.begins:
            self._before = self._cpu()
        return now >= self.ends

    def acknowledged(self, since: int, operations: int = 1) -> None:
        """Record that operations that were started at `since` (nanoseconds) are done."""
        now = now_ns()
        if self.begins <= now < self.ends:
            self.done += operations
            self._samples.append((now, now - since))

    def report(self) -> dict[str, Any]:
        """All measurements; called at the end."""
        servers, client = self._cpu()
        servers_before, client_before = self._before or (servers, client)
        seconds = (min(now_ns(), self.ends) - self.begins) / 1e9
        gap_at, gap = self._longest_gap()
        found: dict[str, Any] = {
            "op": self._op,
            "outstanding": self._outstanding,
            "elapsed_s": seconds,
            "done": self.done,
            "per_s": self.done / seconds,
            "failed": self.failed,
            "lost": self.lost,
            "started_ns": self.begins,
            "longest_gap_ms": gap / 1e6,
            "gap_at_ns": gap_at,
            "server_cpu_s": servers - servers_before,
            "client_cpu_s": client - client_before,
            "latency": latency(taken for _, taken in self._samples),
        }
        return found | self._series()

    def _cpu(self) -> tuple[float, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return sum(map(cpu_seconds, self._pids)), own.ru_utime + own.ru_stime

    def _longest_gap(self) -> tuple[int, int]:
        moments = [self.begins, *(moment for moment, _ in self._samples), self.ends]
        gaps = itertools.pairwise(moments)
        return max(((left, right - left) for left, right in gaps), key=lambda gap: gap[1])

    def _series(self) -> dict[str, Any]:
        if self._series_ms <= 0:
            return {}
        length = int(self._series_ms * 1e6)
        cells: list[list[float]] = [[] for _ in range((self.ends - self.begins) // length + 1)]
        for moment, taken in self._samples:
            cells[(moment - self.begins) // length].append(taken / 1e3)
        series = [
            [len(cell), at(cell, 0.5), at(cell, 0.99), cell[-1]] if cell else [0, 0, 0, 0]
            for cell in map(sorted, cells)
        ]
        return {"series_ms": self._series_ms, "series": series}
