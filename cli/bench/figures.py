"""The figures of a load test: counts, latencies, errors. No I/O, no clock."""

from collections import Counter
from dataclasses import dataclass, field
from math import log2

from ...registry.errors import DecreedError

# the number of classes for each doubling, from 1 us on: latencies are known to about 2 %
CLASSES_PER_DOUBLING = 32
PERCENTILES = (50, 90, 99)
CLAIMS = "claims"
"""The name of the work that the formula is about."""


@dataclass
class Latencies:
    """A histogram of durations, of bounded size."""

    count: int = 0
    longest: float = 0.0
    _classes: Counter[int] = field(default_factory=Counter[int])

    def add(self, seconds: float) -> None:
        """Add a duration."""
        self.count += 1
        self.longest = max(self.longest, seconds)
        self._classes[int(log2(max(1.0, seconds * 1e6)) * CLASSES_PER_DOUBLING)] += 1

    def percentile(self, percent: float) -> float | None:
        """The seconds that `percent` of the durations did not exceed; None if it is empty."""
        left = self.count * percent / 100
        for number in sorted(self._classes):
            left -= self._classes[number]
            if left <= 0:
                # the upper end of the class may be above the longest duration
                return min(self.longest, 2 ** ((number + 1) / CLASSES_PER_DOUBLING) / 1e6)
        return None


@dataclass
class Figures:
    """The results of one kind of work.

    Args:
        name: of the work.
        seconds: its duration so far, or in total.
        cpu_seconds: the CPU time of this process meanwhile.
    """

    name: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)
    failed: Counter[str] = field(default_factory=Counter[str])
    # the last error of each kind
    examples: dict[str, DecreedError] = field(default_factory=dict[str, DecreedError])

    def fail(self, error: DecreedError) -> None:
        """Count an operation that ended with an error."""
        kind = type(error).__name__
        self.failed[kind] += 1
        self.examples[kind] = error

    @property
    def rate(self) -> float:
        """Successful operations per second."""
        return self.latencies.count / self.seconds if self.seconds else 0.0

    @property
    def client_share(self) -> float:
        """The share of one processor that this process used; near 1, the client was the bottleneck."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    @property
    def exit_code(self) -> int:
        """The highest exit code of the errors; 0 without errors."""
        return max((int(error.exit_code) for error in self.examples.values()), default=0)
