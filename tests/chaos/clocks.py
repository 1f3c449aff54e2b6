"""Wall clocks that jump, one a node, while the monotonic clock goes on undisturbed.

libfaketime stands between a process and its C library and adds to the wall clock what a file says;
the file may change while the process runs. The library comes with the Python package of its name, or
with the distribution. Where it is missing, clocks cannot jump.
"""

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PLACES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)


@cache
def library() -> Path | None:
    """Where libfaketime is; None if it is not on this machine."""
    found = importlib.util.find_spec("libfaketime")
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    inside = [folder / "vendor/libfaketime/src/libfaketime.so.1" for folder in folders]
    return next((path for path in (*inside, *map(Path, PLACES)) if path.exists()), None)


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock of one node.

    Args:
        file: says by how many seconds it is wrong.
    """

    file: Path

    def jump(self, seconds: int) -> None:
        """From now on the clock is wrong by so many seconds."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.replace(self.file)

    def environment(self) -> dict[str, str]:
        """The variables for a process that shall see this clock."""
        found = library()
        assert found is not None, "without the library there is no such clock"
        return os.environ | {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }
