"""The figures of a load test: how many, how long each took, what went wrong. No I/O, no clock."""

from collections import Counter
from dataclasses import dataclass, field
from math import log2

from ..registry.errors import DecreedError

# a latency is known to about 2 %: so many classes for each doubling, from a microsecond on
CLASSES_PER_DOUBLING = 32
PERCENTILES = (50, 90, 99)


@dataclass
class Latencies:
    """Lengths of time, in a bounded number of classes however many are added."""

    count: int = 0
    longest: float = 0.0
    _classes: Counter[int] = field(default_factory=Counter[int])

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.longest = max(self.longest, seconds)
        self._classes[int(log2(max(1.0, seconds * 1e6)) * CLASSES_PER_DOUBLING)] += 1

    def percentile(self, percent: float) -> float | None:
        """Seconds that `percent` of them did not exceed; None if there are none."""
        left = self.count * percent / 100
        for number in sorted(self._classes):
            left -= self._classes[number]
            if left <= 0:
                # the upper end of the class, which may lie above all that is in it
                return min(self.longest, 2 ** ((number + 1) / CLASSES_PER_DOUBLING) / 1e6)
        return None


@dataclass
class Figures:
    """What one kind of work came to.

    Args:
        name: of the work.
        seconds: how long it has been going on, or went on.
        cpu_seconds: what this process computed meanwhile.
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
        """Operations that went well, per second."""
        return self.latencies.count / self.seconds if self.seconds else 0.0

    @property
    def client_share(self) -> float:
        """How much of one processor this process took; near 1, it was what set the pace."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    @property
    def exit_code(self) -> int:
        """The highest of those of the errors; 0 without one."""
        return max((int(error.exit_code) for error in self.examples.values()), default=0)
