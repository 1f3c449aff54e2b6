"""``python -m bench.library ORDER``: one load in a process of its own; prints its report."""

import importlib
import json
import sys

from .order import Order

MODULES = {"decreed": "decreed_calls", "zookeeper": "kazoo_calls", "redis": "redis_calls"}


def main() -> None:
    """Perform the order on the command line."""
    order = Order.decoded(sys.argv[1])
    calls = importlib.import_module(f"{__package__}.{MODULES[order.system]}")
    print(json.dumps(calls.perform(order).report()))


if __name__ == "__main__":
    main()
