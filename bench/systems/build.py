"""The build before, beside the present one, and nodes that count their calls."""

import json
import os
import pstats
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from .decreed import DecreedSystem


class BuildBefore(DecreedSystem):
    """Another build of decreed: a checkout of it, run by the same interpreter.

    Attributes:
        checkout: its folder; None if there is none to compare with.
    """

    name = "before"
    checkout: ClassVar[Path | None] = None

    def environment(self) -> dict[str, str]:
        """The checkout is found before the installed build."""
        return os.environ | {"PYTHONPATH": str(self.checkout)}

    def serving(self) -> bool:
        """Whether all nodes vote, as its own client says: the protocol may have changed since."""
        command = [self.python, "-m", "decreed", "status", "--json", "--endpoints"]
        done = subprocess.run(
            [*command, ",".join(self.addresses())],
            capture_output=True, text=True, cwd=self.folder, env=self.environment(),
        )  # fmt: skip
        nodes: list[dict[str, Any]] = []
        if done.returncode == 0:
            nodes = json.loads(done.stdout)["nodes"]
        return len(nodes) == self.size and all(node["up"] and node["voting"] for node in nodes)


class Counting(DecreedSystem):
    """Nodes under Python's own profiler, which are slower for it."""

    def command(self, node: int) -> list[str]:
        """``decreed serve``; each node leaves an account of its calls when it ends by itself."""
        python, *serve = super().command(node)
        return [python, "-m", "cProfile", "-o", str(self._account(node)), *serve]

    def calls(self) -> int:
        """How many calls the nodes have made; they have been stopped before."""
        accounts = [pstats.Stats(str(self._account(node))) for node in range(self.size)]
        return sum(int(vars(account)["total_calls"]) for account in accounts)

    def _account(self, node: int) -> Path:
        return self.folder / f"node{node}.calls"


class CountingBefore(Counting, BuildBefore):
    """The same of the build before."""
