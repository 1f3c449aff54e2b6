"""A scheduler that runs on many machines with one at work: another takes over when it dies.

    python examples/elected_scheduler.py 5

It is a trio program; under asyncio the same code works with `asyncio.run`. The argument is the number
of ticks after which it retires, for trying it out; leave it out to run forever.
"""

import os
import sys
from math import inf

import anyio
import trio

from decreed.client import Lock, connect

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")


async def main(ticks: float) -> None:
    """Lead whenever possible, and tick while leading."""

    async def schedule(term: Lock) -> None:
        print(f"leading, term {term.token}", flush=True)
        count = 0
        # when the lead is lost, the sleep is cancelled
        while count < ticks:
            count += 1
            print(f"tick {count}", flush=True)
            await anyio.sleep(0.1)

    async with connect(*ENDPOINTS) as registry:
        await registry.keep_leading("scheduler", schedule, info={"pid": os.getpid()}, ttl=5)
    print("retired", flush=True)


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else inf)
