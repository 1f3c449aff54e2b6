"""Replacing a small file atomically: a crash leaves the old text or the new one."""

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Replace the text of the file at `path`, durably."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_names(path.parent)


def sync_names(folder: Path) -> None:
    """Make the names of files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
