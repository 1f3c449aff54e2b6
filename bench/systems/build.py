"""Other builds of decreed, beside the present one, and nodes that count their calls."""

import json
import os
import pstats
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from .cluster import NotReady
from .decreed import DecreedSystem

WIRE_VERSIONS = (1, 2)
"""Versions of the protocol that the load generator speaks."""
_WIRE = "from decreed.registry.wire import handshake as h; print(h.VERSION, h.__file__)"


class OtherBuild(DecreedSystem):
    """Another build of decreed: a checkout of it, run by its own interpreter if it has one.

    Attributes:
        checkout: its folder.
        wire: the version of the protocol that its nodes speak.
    """

    checkout: ClassVar[Path]
    wire: ClassVar[int]

    @classmethod
    def compile(cls) -> None:
        """Compile its modules too; errors as for the present build."""
        cls.compile_with(_environment(cls.checkout))

    def environment(self) -> dict[str, str]:
        """The checkout is found before the installed build."""
        return _environment(self.checkout)

    def wire_options(self) -> Mapping[str, object]:
        """Its version of the protocol."""
        return {"wire": self.wire}

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

    def calls(self) -> list[int]:
        """How many calls each node has made; they have been stopped before."""
        accounts = [pstats.Stats(str(self._account(node))) for node in range(self.size)]
        return [int(vars(account)["total_calls"]) for account in accounts]

    def _account(self, node: int) -> Path:
        return self.folder / f"node{node}.calls"


class CountingBuild(Counting, OtherBuild):
    """The same of another build."""


def other_build(folder: Path) -> type[OtherBuild]:
    """The build of a checkout, under the name of its commit.

    Raises:
        NotReady: if it cannot be imported, or the load generator does not speak its protocol.
    """

    class ChosenBuild(OtherBuild):
        name = name_of(folder)
        checkout = folder
        python = interpreter(folder)
        wire = _wire_version(folder)

    return ChosenBuild


def counting_build(build: type[OtherBuild]) -> type[CountingBuild]:
    """The same build with nodes that count their calls."""

    class CountedBuild(CountingBuild):
        name = build.name
        checkout = build.checkout
        python = build.python
        wire = build.wire

    return CountedBuild


def name_of(folder: Path) -> str:
    """The commit of a checkout, abbreviated; the folder's name if git does not know it."""
    done: subprocess.CompletedProcess[str] | None = None
    if shutil.which("git"):
        command = ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done is not None and done.returncode == 0 else folder.name


def interpreter(folder: Path) -> str:
    """The interpreter of a checkout's own environment; without one that of the present build."""
    own = folder / ".venv" / "bin" / "python"
    return str(own) if own.exists() else DecreedSystem.python


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder)}


def _wire_version(folder: Path) -> int:
    done = subprocess.run(
        [interpreter(folder), "-c", _WIRE],
        capture_output=True, text=True, env=_environment(folder), cwd=folder,
    )  # fmt: skip
    version_text, _, file = done.stdout.strip().partition(" ")
    # modules that a checkout lacks would come from the installed build
    if done.returncode or not Path(file).resolve().is_relative_to(folder.resolve()):
        raise NotReady(f"{folder} is no build of decreed: {done.stderr[-500:]}")
    version = int(version_text)
    if version not in WIRE_VERSIONS:
        raise NotReady(f"{folder} speaks version {version} of the protocol, not {WIRE_VERSIONS}")
    return version
