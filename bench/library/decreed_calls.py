"""Loads by decreed's own client, under trio."""

import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import trio

from decreed.client import Claimed, Outcome, Registry, connect, errors
from decreed.client.requests.listing import PAGE_SIZE

from .account import Account, now_ns
from .order import Order

Call = Callable[[], Awaitable[int]]
"""One operation; returns how many keys it handled."""


def perform(order: Order) -> Account:
    """Run the load to its end."""
    return trio.run(_perform, order)


async def _perform(order: Order) -> Account:
    # each contender for a lock and each lister has a client of its own; all else shares one
    clients = order.outstanding if order.op in ("lock", "list") else 1
    cached = 2 * order.keyspace if order.op == "cached-read" else 1
    async with AsyncExitStack() as stack:
        registries = [
            await stack.enter_async_context(
                connect(*order.addresses, cache_decrees=cached, timeout=20.0)
            )
            for _ in range(clients)
        ]
        if order.op == "cached-read":
            return await _read_cached(registries[0], order)
        account = order.account()
        numbers = itertools.count()
        async with trio.open_nursery() as nursery:
            for task in range(order.outstanding):
                call = _call(registries[task % clients], order, account, numbers)
                nursery.start_soon(_repeat, call, account)
    return account


async def _repeat(call: Call, account: Account) -> None:
    while not account.over:
        since = now_ns()
        try:
            account.acknowledged(since, await call())
        except errors.DecreedError:
            account.failed += 1


def _call(
    registry: Registry, order: Order, account: Account, numbers: "itertools.count[int]"
) -> Call:
    match order.op:
        case "claim" if order.batch > 1:
            return lambda: _claim_many(registry, order, account, numbers)
        case "claim":
            return lambda: _claim(registry, order, account, numbers)
        case "read" if order.batch > 1:
            return lambda: _get_many(registry, order)
        case "read":
            return lambda: _get(registry, order)
        case "lock":
            return lambda: _lock(registry, order)
        case "list":
            return Lister(registry).page
        case _:
            raise ValueError(f"decreed's client knows no work {order.op!r}")


async def _claim(
    registry: Registry, order: Order, account: Account, numbers: "itertools.count[int]"
) -> int:
    claimed = await registry.claim(order.key(next(numbers)), order.value)
    account.lost += claimed.outcome is not Outcome.WON
    return 1


async def _claim_many(
    registry: Registry, order: Order, account: Account, numbers: "itertools.count[int]"
) -> int:
    keys = [order.key(next(numbers)) for _ in range(order.batch)]
    settled = await registry.claim_many([(key, order.value) for key in keys])
    account.failed += sum(not isinstance(claimed, Claimed) for claimed in settled)
    return order.batch


async def _get(registry: Registry, order: Order) -> int:
    await registry.get(order.key(random.randrange(order.keyspace)))
    return 1


async def _get_many(registry: Registry, order: Order) -> int:
    keys = random.sample(range(order.keyspace), min(order.batch, order.keyspace))
    await registry.get_many([order.key(number) for number in keys])
    return len(keys)


async def _lock(registry: Registry, order: Order) -> int:
    async with registry.lock(order.prefix, wait=60.0):
        return 1


class Lister:
    """Lists all keys page by page, and starts again at the end.

    Args:
        registry: its own client.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._decrees = aiter(registry.list())

    async def page(self) -> int:
        """Read one more page, or the rest at the end."""
        for _ in range(PAGE_SIZE):
            try:
                await anext(self._decrees)
            except StopAsyncIteration:
                self._decrees = aiter(self._registry.list())
                break
        return 1


async def _read_cached(registry: Registry, order: Order) -> Account:
    """Read keys in memory, in one thread; a thousand at a time, to spread the cost of the clock."""
    keys = [order.key(number) for number in range(order.keyspace)]
    await registry.get_many(keys)
    account = order.account()
    while not account.over:
        since = now_ns()
        for key in keys:
            if registry.cached(key) is None:
                account.failed += 1
        account.acknowledged(since, len(keys))
    return account
