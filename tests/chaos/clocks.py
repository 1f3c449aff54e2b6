"""Wall clocks that jump, one for each node; the monotonic clock is not changed.

libfaketime intercepts the C library and adds an offset from a file to the wall clock; the file may
change while the process runs. The library comes with the Python package of its name, or with the
distribution. Without it, clocks cannot jump.
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
    """The path of libfaketime; None if it is not installed."""
    found = importlib.util.find_spec("libfaketime")
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    inside = [folder / "vendor/libfaketime/src/libfaketime.so.1" for folder in folders]
    return next((path for path in (*inside, *map(Path, PLACES)) if path.exists()), None)


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock of one node.

    Args:
        file: holds the offset in seconds.
    """

    file: Path

    def jump(self, seconds: int) -> None:
        """Set the offset of the clock."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.replace(self.file)

    def environment(self) -> dict[str, str]:
        """The environment variables for a process that is to use this clock."""
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
