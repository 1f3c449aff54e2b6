"""Loads by redis-py, under asyncio."""

import asyncio
import importlib
import itertools
import random
from typing import Any

from .account import Account, now_ns
from .order import Order


def perform(order: Order) -> Account:
    """Run the load to its end."""
    return asyncio.run(_perform(order))


async def _perform(order: Order) -> Account:
    redis: Any = importlib.import_module("redis.asyncio")
    host, _, port = order.addresses[0].partition(":")
    client = redis.Redis(host=host, port=int(port), max_connections=order.outstanding)
    account = order.account()
    numbers = itertools.count()
    try:
        await asyncio.gather(
            *(_repeat(client, order, account, numbers) for _ in range(order.outstanding))
        )
    finally:
        await client.aclose()
    return account


async def _repeat(
    client: Any, order: Order, account: Account, numbers: "itertools.count[int]"
) -> None:
    while not account.over:
        since = now_ns()
        match order.op:
            case "claim":
                await client.set(order.key(next(numbers)), order.value, nx=True)
            case "read":
                await client.get(order.key(random.randrange(order.keyspace)))
            case "lock":
                async with client.lock(order.prefix, timeout=30, sleep=0.001):
                    pass
            case _:
                raise ValueError(f"redis-py knows no work {order.op!r}")
        account.acknowledged(since)
