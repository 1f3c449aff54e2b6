"""A startup that waits for a value that another process will freeze.

    python examples/wait_for_value.py deploy/database-url 30

It is an asyncio program; under trio the same code works.
"""

import asyncio
import os
import sys

from decreed.client import connect, errors

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")


async def start(key: str, seconds: float) -> str:
    """Wait until somebody freezes `key`, and return its text."""
    async with connect(*ENDPOINTS) as registry:
        decree = await registry.wait(key, timeout=seconds)
    return f"{decree.text} (from {decree.claimant})"


def main(key: str, seconds: float) -> int:
    """Wait, and print the outcome."""
    try:
        print("starting with", asyncio.run(start(key, seconds)))
    except errors.StillUndecided:
        print(f"nobody froze {key} within {seconds:g} s", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
