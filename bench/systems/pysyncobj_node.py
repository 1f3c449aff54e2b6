"""One PySyncObj node that takes orders, a line of JSON each, and does the load itself."""

import importlib
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..library.account import Account, now_ns

RETRY_S = 0.01
LOST_S = 1.0
LOCK_S = 60.0


class ReplicatedNode:
    """The node: a write-once table, and locks.

    Args:
        data: the folder for journal and dumps.
        addresses: of all nodes, this one first.
    """

    def __init__(self, data: str, addresses: list[str]) -> None:
        library: Any = importlib.import_module("pysyncobj")
        batteries: Any = importlib.import_module("pysyncobj.batteries")
        settings = library.SyncObjConf(
            journalFile=f"{data}/journal", fullDumpFile=f"{data}/dump", appendEntriesUseBatch=False
        )
        self._done = library.FAIL_REASON.SUCCESS
        self._table = _table_class(library)()
        self._locks = batteries.ReplLockManager(autoUnlockTime=LOCK_S)
        consumers = [self._table, self._locks]
        self._node = library.SyncObj(addresses[0], addresses[1:], settings, consumers=consumers)

    def status(self) -> dict[str, Any]:
        """Who leads, and whether this node takes part."""
        found = self._node.getStatus()
        leader = str(found["leader"]) if found["leader"] else ""
        return {"ready": self._node.isReady(), "leader": leader, "self": str(found["self"])}

    def claim(self, key: str, value: str, then: Callable[[bool], None]) -> None:
        """Claim a key; `then` is called with whether it succeeded."""

        def answered(_: Any, error: Any) -> None:
            then(error == self._done)

        self._table.claim(key, value, callback=answered)

    def cycle(self, lock: str, owner: str) -> None:
        """Acquire and release a lock."""
        inner = self._locks._consumer()
        while not inner.acquire(lock, owner, time.time(), sync=True, timeout=5):
            pass
        inner.release(lock, owner, sync=True, timeout=5)


def _table_class(library: Any) -> Any:
    class ReplicatedTable(library.SyncObjConsumer):  # type: ignore[misc]
        """Keys and what they are frozen to."""

        def __init__(self) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]
            self.values: dict[str, str] = {}

        @library.replicated  # type: ignore[untyped-decorator]
        def claim(self, key: str, value: str) -> str:
            """Create if absent; the first claim wins."""
            return self.values.setdefault(key, value)

    return ReplicatedTable


class ReplicatedClaims:
    """A closed loop of claims; a claim that failed, or whose answer is lost, is repeated.

    Args:
        node: makes the claims.
        load: a `bench.load.Load` as a dictionary, with the pids of the nodes.
        account: records the claims.
    """

    def __init__(self, node: ReplicatedNode, load: dict[str, Any], account: Account) -> None:
        self._node, self._load, self._account = node, load, account
        self._value = "x" * load["value_size"]
        self._numbers = itertools.count(load["key_base"])
        self._pending: dict[str, tuple[int, float]] = {}
        self._counted = 0

    def run(self) -> None:
        """Run until the time is up or the count is reached."""
        for _ in range(self._load["outstanding"]):
            self._next()
        while not self._account.over and not self._complete():
            time.sleep(RETRY_S)
            for key, (since, again_at) in list(self._pending.items()):
                if time.monotonic() > again_at:
                    self._send(key, since)

    def _complete(self) -> bool:
        return bool(0 < self._load["count"] <= self._counted)

    def _next(self) -> None:
        number = next(self._numbers)
        if self._load["count"] and number >= self._load["key_base"] + self._load["count"]:
            return
        self._send(f"{self._load['prefix']}{number:010d}", now_ns())

    def _send(self, key: str, since: int) -> None:
        self._pending[key] = (since, time.monotonic() + LOST_S)

        def then(done: bool) -> None:
            if key not in self._pending:
                return
            if not done:
                self._account.failed += 1
                self._pending[key] = (since, time.monotonic() + RETRY_S)
                return
            del self._pending[key]
            self._counted += 1
            self._account.acknowledged(since)
            if not self._account.over:
                self._next()

        self._node.claim(key, self._value, then)


def _locks(node: ReplicatedNode, load: dict[str, Any], account: Account) -> None:
    def repeat(owner: str) -> None:
        while not account.over:
            since = now_ns()
            node.cycle(load["prefix"], owner)
            account.acknowledged(since)

    threads = [
        threading.Thread(target=repeat, args=(f"{os.getpid()}-{number}",))
        for number in range(load["clients"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def perform(node: ReplicatedNode, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order; returns the answer."""
    if order["op"] == "status":
        return node.status()
    account = Account(
        order["op"], order["outstanding"], order["seconds"], order["warm_up"], order["pids"],
        order["series_ms"],
    )  # fmt: skip
    if order["op"] == "claim":
        ReplicatedClaims(node, order, account).run()
    else:
        _locks(node, order, account)
    return account.report()


def _serve(node: ReplicatedNode, caller: socket.socket) -> None:
    with caller, caller.makefile() as lines:
        for line in lines:
            caller.sendall(json.dumps(perform(node, json.loads(line))).encode() + b"\n")


def main() -> None:
    """Arguments: the port for orders, the data folder, and the ports of the nodes, the own first."""
    port, data, *raft = sys.argv[1:]
    node = ReplicatedNode(data, [f"127.0.0.1:{number}" for number in raft])
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        while True:
            caller, _ = listener.accept()
            threading.Thread(target=_serve, args=(node, caller), daemon=True).start()
