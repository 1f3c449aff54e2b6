"""What operators do to a cluster of processes: start nodes that join, and change its members."""

import json
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from decreed.client import sync
from decreed.registry.errors import DecreedError

from .ports import hold
from .processes import PATIENCE_S, Processes, eventually, run

CLAIM_S = 20.0
"""How long one claim may take while members change and nodes die."""


def member(cluster: Processes, *words: str, at: str = "") -> tuple[int, Any]:
    """The exit code and the document of a ``decreed member`` command, at one address or at all."""
    done = run("member", *words, "--json", "--endpoints", at or cluster.endpoints)
    text = done.stdout or done.stderr
    return done.returncode, json.loads(text)


def change(cluster: Processes, *words: str) -> Any:
    """Change the members; the outcome."""
    code, outcome = member(cluster, *words)
    assert code == 0, outcome
    return outcome


def seats(cluster: Processes, role: str = "voter", at: str = "") -> dict[str, Any]:
    """The nodes in a role, by their names, as the member at an address sees them, or some member."""
    code, report = member(cluster, "list", at=at)
    assert code == 0, report
    found = [*report["members"], *report["others"]]
    return {seat["id"]: seat for seat in found if seat["role"] == role}


def join(cluster: Processes, node: str, at: str) -> None:
    """Start a node on an empty directory, and wait until it follows the cluster."""
    if node in cluster.addresses:
        cluster.start(node, "--join", cluster.addresses[at])
    else:
        [port] = hold(1)
        cluster.addresses[node] = f"127.0.0.1:{port}"
        cluster.start(node, "--listen", cluster.addresses[node], "--join", cluster.addresses[at])
    eventually(f"{node} follows", lambda: seats(cluster, "guest").get(node, {}).get("up", False))


def lose_disk(cluster: Processes, node: str) -> None:
    """Kill a node, and wipe its directory."""
    cluster.kill(node)
    shutil.rmtree(cluster.data(node))


def until_caught_up(cluster: Processes) -> None:
    """Wait until all voters vote, and have read the feed of each of them.

    A voter says how far the others have read its own feed. So each is asked: the feed of one that has
    just got its vote may lack what the others have.
    """

    def have_read(at: str) -> bool:
        return all(
            seat["voting"] and seat["behind"] == 0 for seat in seats(cluster, at=at).values()
        )

    def all_have() -> bool:
        return all(have_read(seat["address"]) for seat in seats(cluster).values())

    eventually("all voters have caught up", all_have)


class Load:
    """Claims of new keys, one after another, from a thread of its own.

    Attributes:
        acknowledged: the claims that were won, by their keys.
        failed: what else they ended with.
    """

    def __init__(self, cluster: Processes) -> None:
        self._endpoints = tuple(cluster.addresses.values())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._claim, daemon=True)
        self.acknowledged: dict[str, bytes] = {}
        self.failed: list[DecreedError] = []

    @contextmanager
    def running(self) -> Generator["Load"]:
        """Claim as long as the block runs, and at least once after it began and before it ends."""
        self._thread.start()
        try:
            self.until_more()
            yield self
            self.until_more()
        finally:
            self._stop.set()
            self._thread.join(PATIENCE_S)

    def until_more(self) -> None:
        """Wait until claims that begin from now on are acknowledged."""
        before = len(self.acknowledged)
        eventually("claims go on", lambda: len(self.acknowledged) > before + 1)

    def _claim(self) -> None:
        with sync.connect(*self._endpoints, timeout=CLAIM_S) as registry:
            number = 0
            while not self._stop.is_set():
                key, value = f"load/{number}", b"%d" % number
                number += 1
                try:
                    registry.claim(key, value)
                except DecreedError as error:
                    self.failed.append(error)
                else:
                    self.acknowledged[key] = value


def read_back_alone(cluster: Processes, load: Load, *nodes: str) -> None:
    """Each of these nodes has all acknowledged claims, with no other node up; all are stopped then."""
    until_caught_up(cluster)
    assert load.acknowledged
    for node in list(cluster.running):
        if node in nodes:
            assert cluster.stop(node) == 0
    for node in nodes:
        cluster.start(node)
        with sync.connect(cluster.addresses[node], timeout=PATIENCE_S) as registry:
            for key, value in load.acknowledged.items():
                found = registry.get(key)
                assert found is not None and found.value == value, (node, key)
        assert cluster.stop(node) == 0
