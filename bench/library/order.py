"""The order for a library load: a line of JSON on its command line."""

import json
from dataclasses import asdict, dataclass

from .account import Account


@dataclass(frozen=True)
class Order:
    """A load, and the system to run it on.

    Args:
        system: decreed, zookeeper or redis.
        addresses: its nodes, as ``host:port``.
        pids: its processes.
        op: claim, read, cached-read or lock.
        outstanding: tasks, or clients for locks.
        batch: keys in one call.
        value_size: bytes.
        seconds, warm_up: measured, and before that unmeasured.
        keyspace: how many keys reads choose from.
        prefix: of keys, or the lock's name.
        series_ms: length of the cells of a series; 0 for none.
    """

    system: str
    addresses: list[str]
    pids: list[int]
    op: str
    outstanding: int
    batch: int
    value_size: int
    seconds: float
    warm_up: float
    keyspace: int
    prefix: str
    series_ms: float

    def encoded(self) -> str:
        """The order as a command-line argument."""
        return json.dumps(asdict(self))

    @classmethod
    def decoded(cls, text: str) -> "Order":
        """Read what `encoded` wrote."""
        return cls(**json.loads(text))

    def account(self) -> Account:
        """An account for this order, which begins now."""
        return Account(
            self.op, self.outstanding, self.seconds, self.warm_up, self.pids, self.series_ms
        )

    def key(self, number: int) -> str:
        """The name of a key, by the rule of the load generator."""
        return f"{self.prefix}{number:010d}"

    @property
    def value(self) -> bytes:
        """The value that is claimed."""
        return b"x" * self.value_size
