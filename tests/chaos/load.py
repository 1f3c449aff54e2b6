"""``python -m tests.chaos.load``: many clients in one process, each with connections of its own.

They claim contended keys, keys of their own and slots of series; they read, wait and list. The process
ends when its standard input does, so it never outlives the run that started it.
"""

import argparse
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from decreed.client import Claimed, Decree, Registry, connect
from decreed.client.requests.claims import make_claim
from decreed.registry.keys import parse_key, series_and_slot, slot_key

from ..history.operations import Kind, Result, Wish
from ..history.recorder import Pending
from .diary import Diary, begin

ERA_S = 5.0
"""After this long, contended keys and series are replaced by new ones."""
SHARDS = 4
KEYS_PER_SHARD = 12
TIMEOUTS_S = (1.0, 3.0, 8.0)
TRIES = 3


class Client:
    """One client, which runs one operation after another.

    Args:
        name: its name as a claimant.
        registry: its connection.
        diary: where its operations are written.
        chance: draws its operations.
    """

    def __init__(self, name: str, registry: Registry, diary: Diary, chance: random.Random) -> None:
        self._name = name
        self._registry = registry
        self._diary = diary
        self._chance = chance
        self._count = 0
        self._doings: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._claim_contended, 30),
            (self._claim_fresh, 15),
            (self._claim_next, 10),
            (self._get, 30),
            (self._wait, 3),
            (self._latest, 6),
            (self._list, 6),
        )

    async def run(self, pause_s: float) -> None:
        """Run operations until cancelled, with pauses of about `pause_s`."""
        doings = [doing for doing, _ in self._doings]
        weights = [weight for _, weight in self._doings]
        while True:
            await trio.sleep(self._chance.expovariate(1 / pause_s))
            (doing,) = self._chance.choices(doings, weights)
            await doing()

    async def _claim_contended(self) -> None:
        # few values, so that some claims find their own value decreed for another claim
        await self._claim(self._contended_key(), self._chance.choice(("same", self._name)))

    async def _claim_fresh(self) -> None:
        await self._claim(f"own/{self._name}/{self._count + 1}", "mine")

    async def _claim(self, key: str, value: str) -> None:
        """Claim, and repeat the claim with the same id while the outcome is unknown."""
        claim_id = self._next_id()
        claim = make_claim(parse_key(key), value, self._name, claim_id=claim_id)
        for _ in range(TRIES):
            pending = begin().claim(self._name, claim)
            work = self._registry.claim(
                key, value, claim_id=claim_id, claimant=self._name, timeout=self._timeout()
            )
            await self._diary.note(pending, work, _told(pending))
            if pending.operation.result is not Result.UNKNOWN:
                return

    async def _claim_next(self) -> None:
        series = self._series()
        latest = begin().latest(self._name, series)
        work = self._registry.latest(series, timeout=self._timeout())
        found = await self._diary.note(latest, work, _read(latest))
        if latest.operation.result in (Result.DECREED, Result.UNDECIDED):
            await self._claim_from(series, _slot_of(found) + 1)

    async def _claim_from(self, series: str, first_slot: int) -> None:
        claim_id = self._next_id()
        key = parse_key(slot_key(series, first_slot))
        wish = Wish.of(make_claim(key, "next", self._name, claim_id=claim_id))
        for _ in range(TRIES):
            pending = begin().claim_next(self._name, series, wish, first_slot)
            work = self._registry.claim_next(
                series,
                "next",
                claim_id=claim_id,
                claimant=self._name,
                first_slot=first_slot,
                timeout=self._timeout(),
            )
            await self._diary.note(pending, work, _told(pending))
            if pending.operation.result is not Result.UNKNOWN:
                return

    async def _get(self) -> None:
        key = self._contended_key()
        pending = begin().get(self._name, key)
        work = self._registry.get(key, timeout=self._timeout())
        await self._diary.note(pending, work, _read(pending))

    async def _wait(self) -> None:
        key = self._contended_key()
        pending = begin().wait(self._name, key)
        work = self._registry.wait(key, timeout=TIMEOUTS_S[0])
        await self._diary.note(pending, work, _read(pending))

    async def _latest(self) -> None:
        series = self._series()
        pending = begin().latest(self._name, series)
        work = self._registry.latest(series, timeout=self._timeout())
        await self._diary.note(pending, work, _read(pending))

    async def _list(self) -> None:
        prefix = f"all/{_era()}/{self._chance.randrange(SHARDS)}"
        pending = begin().list(self._name, prefix)
        await self._diary.note(pending, self._pages(prefix, pending), lambda _: pending.listed())

    async def _pages(self, prefix: str, pending: Pending) -> None:
        async for decree in self._registry.list(prefix, timeout=self._timeout()):
            pending.page((decree,))

    def _contended_key(self) -> str:
        shard = self._chance.randrange(SHARDS)
        return f"all/{_era()}/{shard}/{self._chance.randrange(KEYS_PER_SHARD)}"

    def _series(self) -> str:
        return f"series/{_era()}/{self._chance.choice('ab')}"

    def _timeout(self) -> float:
        return self._chance.choice(TIMEOUTS_S)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._name}/{self._count}"


def _era() -> int:
    return int(time.monotonic() // ERA_S)


def _slot_of(decree: Decree | None) -> int:
    return (series_and_slot(decree.key)[1] or 0) if decree is not None else 0


def _told(pending: Pending) -> Callable[[Claimed], None]:
    assert pending.operation.kind in (Kind.CLAIM, Kind.CLAIM_NEXT)
    return lambda claimed: pending.decreed(claimed.decree, claimed.outcome)


def _read(pending: Pending) -> Callable[[Decree | None], None]:
    def end(decree: Decree | None) -> None:
        if decree is None:
            pending.undecided()
        else:
            pending.decreed(decree)

    return end


async def load(endpoints: str, clients: int, rate: float, seed: str, path: Path) -> None:
    """Run the clients until standard input ends.

    Args:
        endpoints: the nodes.
        clients: how many.
        rate: the most operations that all clients together begin in a second.
        seed: seeds the names and the random choices of these clients.
        path: the file for the history.
    """
    with path.open("w", encoding="utf-8") as file:
        diary = Diary(file)
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(_one, endpoints, f"{seed}-{number}", diary, clients / rate)
            async with trio.lowlevel.FdStream(0) as standard_input:
                while await standard_input.receive_some():
                    pass
            nursery.cancel_scope.cancel()


async def _one(endpoints: str, name: str, diary: Diary, pause_s: float) -> None:
    # the smallest cache, so that nodes answer the reads
    async with connect(endpoints, claimant=name, cache_decrees=1) as registry:
        await Client(name, registry, diary, random.Random(name)).run(pause_s)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.load", description=__doc__)
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument(
        "--rate", type=float, required=True, help="operations a second, all clients"
    )
    parser.add_argument("--seed", required=True)
    parser.add_argument("--history", type=Path, required=True)
    given = parser.parse_args()
    trio.run(load, given.endpoints, given.clients, given.rate, given.seed, given.history)
    return 0


if __name__ == "__main__":
    sys.exit(main())
