"""Bytecode of the tests, written before several processes want it at the same time.

In a fresh clone each of them would translate every test for itself, and all of them the same ones at
once. This changes only how long the first run takes.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SHARES = 2
NOTE = "decreed/collected"


def write_once(config: pytest.Config, tests: Path) -> None:
    """Translate all tests, unless that was done before or only some are wanted."""
    cache = getattr(config, "cache", None)  # the plugin that makes it may be switched off
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or cache is None:
        return
    if not cache.get(NOTE, None):
        _collect(sorted(map(str, tests.rglob("test_*.py"))))
        cache.set(NOTE, True)


def _collect(files: list[str]) -> None:
    """Collect the tests of all files, in a few processes that each have a share of them.

    Errors are left to the processes that run the tests, and found there again.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-qq",
        "-n0",
        "-p",
        "no:cacheprovider",
    ]
    nothing = subprocess.DEVNULL
    shares = [
        subprocess.Popen([*command, *files[at::SHARES]], stdout=nothing, stderr=nothing)
        for at in range(SHARES)
    ]
    for share in shares:
        share.wait()
