"""The seeds of a kind of storm, in blocks of one test each, and what happened in all of them."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from ..model.checker import without_garbage_collection
from .lease_spans import LockWorld
from .plan import Plan

FEW = 25


class Storm(Protocol):
    """One run over locks."""

    @property
    def world(self) -> LockWorld:
        """Its cluster."""
        ...

    def run(self) -> None:
        """Run it and check it."""


class Seeds:
    """The seeds of `DECREED_SEEDS`, such as ``17-17``, or those that are run by default.

    Args:
        default: in the same form.
        block: how many seeds a test runs.
    """

    def __init__(self, default: str, block: int) -> None:
        self.first, self.last = map(int, os.environ.get("DECREED_SEEDS", default).split("-"))
        self.block = block
        self.seen = Counter[str]()

    @property
    def blocks(self) -> range:
        """The first seed of each block."""
        return range(self.first, self.last + 1, self.block)

    def run(self, first: int, make: Callable[[Plan], Storm]) -> None:
        """Run a block."""
        for seed in range(first, min(first + self.block, self.last + 1)):
            storm = make(Plan.drawn(seed))
            try:
                with without_garbage_collection():
                    storm.run()
            except BaseException as error:
                error.add_note(f"seed {seed}: DECREED_SEEDS={seed}-{seed}")
                raise
            self.seen.update(storm.world.seen)

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """What happened in no seed; the test that asks is skipped if there are few seeds."""
        if self.last - self.first < FEW:
            pytest.skip("a few seeds need not show everything")
        return [what for what in wanted if not self.seen[what]]
