"""decreed on fewer cores, or on a disk whose syncs take longer, and how such a disk is made."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from .cluster import NotReady
from .decreed import DecreedSystem

SOURCE = Path(__file__).parent.parent / "shim" / "slow_sync.c"
DELAY = "SLOW_SYNC_US"


def build_shim(folder: Path) -> Path:
    """Compile the library that delays syncs into `folder`.

    Raises:
        NotReady: with the compiler's errors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "slow_sync.so"
    command = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC"]
    done = subprocess.run(
        [*command, "-o", str(library), str(SOURCE), "-ldl"], capture_output=True, text=True
    )
    if done.returncode:
        raise NotReady(f"the delay of syncs does not compile: {done.stderr[-2000:]}")
    return library


def slow_syncs(shim: Path, delay_ms: float) -> dict[str, str]:
    """The environment of a program whose syncs are to take `delay_ms` longer."""
    return os.environ | {"LD_PRELOAD": str(shim), DELAY: f"{delay_ms * 1e3:.0f}"}


class ConditionedSystem(DecreedSystem):
    """A cluster whose nodes share some cores, and a disk that may be slowed down.

    Args:
        folder, size: as for every cluster.
        cores: the cores that all nodes share; by default those of the benchmark.
        delay_ms: how much longer each sync takes.
        shim: the library that delays them; needed only for a delay.
    """

    name: ClassVar[str] = "decreed"

    def __init__(
        self,
        folder: Path,
        size: int = 3,
        *,
        cores: tuple[int, ...] = (),
        delay_ms: float = 0.0,
        shim: Path | None = None,
    ) -> None:
        super().__init__(folder, size)
        self._cores, self._delay_ms, self._shim = cores, delay_ms, shim

    @classmethod
    def missing(cls) -> str:
        """Needs ``taskset``."""
        return "" if shutil.which("taskset") else "taskset not installed (util-linux)"

    def command(self, node: int) -> list[str]:
        """``decreed serve``, on the chosen cores alone."""
        return [*self.pinned(), *super().command(node)]

    def pinned(self) -> list[str]:
        """The command that keeps another one on the chosen cores."""
        return ["taskset", "-c", ",".join(map(str, self._cores))] if self._cores else []

    def environment(self) -> dict[str, str] | None:
        """With the delay, if there is one."""
        if self._shim is None or not self._delay_ms:
            return None
        return slow_syncs(self._shim, self._delay_ms)
