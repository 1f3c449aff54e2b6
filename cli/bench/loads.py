"""The kinds of work of a load test: the repeated operations, and their concurrency."""

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import count
from time import perf_counter, process_time

import trio

from ...client import Claimed, Registry
from ...registry.errors import DecreedError
from .figures import CLAIMS, Figures

READ_KEYS = 1_000
READ_BATCH = 100
LOCK_TTL = 10.0
PAUSE = 0.05
"""Seconds that a worker waits after an error, so that a failing cluster is not overloaded."""


class LoadKind(Enum):
    """The kinds of work that may be chosen."""

    CLAIMS = "claims"
    READS = "reads"
    LOCKS = "locks"


@dataclass(frozen=True)
class LoadPlan:
    """The settings of a load test.

    Args:
        prefix: of all keys and locks; used by nobody else.
        seconds: how long each kind of work lasts.
        outstanding: how many operations are under way at a time.
        value_bytes: the size of a value.
        timeout: seconds that one operation may take.
        kinds: the kinds of work.
    """

    prefix: str
    seconds: float
    outstanding: int
    value_bytes: int
    timeout: float
    kinds: tuple[LoadKind, ...]


Act = Callable[[int, int], Awaitable[object]]
"""One operation, by the worker in the first argument, with a unique number."""


class LoadTest:
    """A load test under way.

    Args:
        registry: a client without a cache, so that a node answers each read.
        plan: the settings.

    Attributes:
        figures: of each kind of work, done or under way.
        frozen: how many keys it is known to have frozen.
    """

    def __init__(self, registry: Registry, plan: LoadPlan) -> None:
        self.figures: list[Figures] = []
        self.frozen = 0
        self._registry = registry
        self._plan = plan
        # random, in case disks compress
        self._value = os.urandom(plan.value_bytes)

    async def run(self) -> None:
        """Run all kinds of work, one after another.

        Raises:
            DecreedError: if the cluster does not answer; nothing was frozen then.
        """
        await self._get("nobody")
        for kind in self._plan.kinds:
            match kind:
                case LoadKind.CLAIMS:
                    await self._work(Figures(CLAIMS), self._claim)
                case LoadKind.READS:
                    await self._read()
                case LoadKind.LOCKS:
                    await self._work(Figures("lock cycles"), self._cycle)

    # ---- the operations ----

    async def _claim(self, worker: int, number: int) -> None:
        key = f"{self._plan.prefix}/claims/{number}"
        await self._registry.claim(key, self._value, timeout=self._plan.timeout)
        self.frozen += 1

    async def _get(self, name: str) -> object:
        return await self._registry.get(f"{self._plan.prefix}/{name}", timeout=self._plan.timeout)

    async def _cycle(self, worker: int, number: int) -> None:
        name = f"{self._plan.prefix}/lock-{worker}"
        async with self._registry.lock(name, ttl=LOCK_TTL, wait=self._plan.timeout):
            pass

    async def _read(self) -> None:
        figures = Figures("reads, decided")
        frozen = await self._freeze_some(figures)
        if frozen:
            await self._work(figures, lambda worker, number: self._get(random.choice(frozen)))
        await self._work(
            Figures("reads, undecided"), lambda worker, number: self._get(f"nobody/{number}")
        )

    async def _freeze_some(self, figures: Figures) -> list[str]:
        """Freeze keys to read later; returns the ones that were frozen."""
        frozen: list[str] = []
        self.figures.append(figures)
        for start in range(0, READ_KEYS, READ_BATCH):
            names = [f"read/{number}" for number in range(start, start + READ_BATCH)]
            items = {f"{self._plan.prefix}/{name}": self._value for name in names}
            results = await self._registry.claim_many(items, timeout=self._plan.timeout)
            for name, result in zip(names, results, strict=True):
                if isinstance(result, Claimed):
                    frozen.append(name)
                else:
                    figures.fail(result)
        self.frozen += len(frozen)
        return frozen

    # ---- the workers ----

    async def _work(self, figures: Figures, act: Act) -> None:
        """Have all workers repeat `act` until the time is up, and finish what is under way then."""
        if figures not in self.figures:
            self.figures.append(figures)
        watch = _Watch(figures, self._plan.seconds)
        numbers = count()
        async with trio.open_nursery() as workers:
            for worker in range(self._plan.outstanding):
                workers.start_soon(_repeat, worker, numbers, act, watch)


class _Watch:
    """Measures how long figures have been gathered, and whether the time is up."""

    def __init__(self, figures: Figures, seconds: float) -> None:
        self.figures = figures
        self._seconds = seconds
        self._began, self._cpu = perf_counter(), process_time()

    def tick(self) -> float:
        """Update the duration; returns the time."""
        now = perf_counter()
        self.figures.seconds = now - self._began
        self.figures.cpu_seconds = process_time() - self._cpu
        return now

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return perf_counter() - self._began >= self._seconds


async def _repeat(worker: int, numbers: Iterator[int], act: Act, watch: _Watch) -> None:
    while not watch.over:
        began = perf_counter()
        try:
            await act(worker, next(numbers))
        except DecreedError as error:
            watch.figures.fail(error)
            await trio.sleep(PAUSE)
            watch.tick()
        else:
            watch.figures.latencies.add(watch.tick() - began)
