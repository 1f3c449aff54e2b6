"""Periodic tasks that run once in each period, although the program runs on many machines.

    python examples/periodic_singleton.py reports 3

As with the beat of a task queue, one of many programs sends the tasks. The tasks that were sent are a
series in the registry: a slot is claimed before its task is sent. So no tick is sent twice or left out
when another program takes over.
"""

import os
import sys
import time

from decreed.client import errors, sync

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")
PERIOD_SECONDS = 0.2


def beat(registry: sync.Registry, name: str, last: int) -> None:
    """Send the ticks up to number `last` while this program is the singleton."""
    with registry.lead(f"beat/{name}", info={"pid": os.getpid()}, ttl=5) as term:
        latest = registry.latest(f"beat/{name}/sent")
        sent = int(latest.text) if latest else 0
        while sent < last:
            term.ensure_held()
            tick = registry.claim_next(f"beat/{name}/sent", str(sent + 1), note=f"{term.token}")
            sent += 1
            print(f"tick {sent} is slot {tick.slot}", flush=True)
            time.sleep(PERIOD_SECONDS)


def main(name: str, last: int) -> None:
    """Be the singleton until all ticks are sent; queue again after another took over."""
    with sync.connect(*ENDPOINTS) as registry:
        while True:
            try:
                return beat(registry, name, last)
            except errors.LockLost as error:
                print(f"another takes over: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
