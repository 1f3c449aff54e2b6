"""What the README installs has types: mypy and pyright see precise ones of all that users call.

The wheel is put into an environment as pip would, and a program of a user is checked there, strictly.
A line of it that must not pass says so, and both checkers complain if it does.
"""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from .test_layout import build, tracked

PROGRAM = """
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, assert_type

from decreed import connect as connect_from_above
from decreed.client import (
    Claimed, Decree, Holder, Json, Lock, LockState, NodeDown, PastTerm, Registry, StatusReport, Watched,
    Watching, connect, errors, sync,
)
from decreed.client.fencing import Fence, token_of


async def asynchronous() -> None:
    async with connect("a:1", ["b:2"], timeout=timedelta(seconds=1)) as registry:
        assert_type(registry, Registry)
        assert_type(await registry.claim("k", "v"), Claimed)
        assert_type(await registry.claim_next("s", Json({})), Claimed)
        assert_type(await registry.claim_many({"k": b"v"}), list[Claimed | errors.DecreedError])
        assert_type(await registry.once("k"), Claimed)
        assert_type(await registry.get("k"), Decree | None)
        assert_type(await registry.get_many(["k"]), dict[str, Decree | None])
        assert_type(await registry.wait("k", timeout=None), Decree)
        assert_type(registry.list("p"), AsyncIterator[Decree])
        assert_type(registry.watch("p"), Watching)
        assert_type(await anext(registry.watch("p")), Watched)
        assert_type(registry.cached("k"), Decree | None)
        assert_type(await registry.status(), list[StatusReport | NodeDown])
        assert_type(await registry.lock_state("l"), LockState | None)
        assert_type(await registry.lock_history("l"), list[PastTerm])
        assert_type(registry.observe("l"), AsyncIterator[Holder])
        async with registry.lock("l", ttl=timedelta(seconds=1), wait=1) as lock:
            assert_type(lock, Lock)
            assert_type(lock.token, int)
            assert_type(await lock.lost, str)
        await registry.claim("k", 7)  # type: ignore
        await registry.claim("k")  # type: ignore
        await registry.get("k", timeout="10")  # type: ignore
        registry.lock("l", info="text")  # type: ignore
        registry.nothing  # type: ignore
    async with connect_from_above("a:1") as registry:
        assert_type(registry, Registry)


def blocking() -> None:
    with sync.connect(["a:1", "b:2"]) as registry:
        assert_type(registry, sync.Registry)
        assert_type(registry.claim("k", "v"), Claimed)
        assert_type(registry.get("k", timeout=timedelta(seconds=1)), Decree | None)
        assert_type(registry.get_many(["k"]), dict[str, Decree | None])
        assert_type(registry.list(), Iterator[Decree])
        assert_type(next(registry.watch()), Watched)
        assert_type(next(registry.observe("l")), Holder)
        with registry.lock("l") as lock:
            assert_type(lock, sync.Lock)
        registry.claim("k", 7)  # type: ignore
        registry.claim(key="k")  # type: ignore
        registry.wait("k", timeout="10")  # type: ignore


def decrees(decree: Decree, claimed: Claimed) -> None:
    assert_type(decree.text, str)
    assert_type(decree.time, datetime)
    assert_type(decree.to_dict(), dict[str, Any])
    assert_type(decree.as_(int), int)
    assert_type(decree.as_(list[str]), list[str])
    assert_type(claimed.decree.value, bytes)
    assert_type(claimed.slot, int | None)
    assert_type(token_of([]), int)
    Fence().check("r", "3")  # type: ignore
    decree.value = b""  # type: ignore


try:
    pass
except errors.LockHeld as held:
    assert_type(held.remaining, float)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program, and an environment `venv` with what a user has installed."""
    folder = tmp_path_factory.mktemp("installed")
    _, wheel = build(tracked(), folder)
    venv.create(folder / "venv", with_pip=False)
    paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    zipfile.ZipFile(wheel).extractall(packages)
    # what it needs, without the way in which it is installed here itself
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "program.py").write_text(PROGRAM)
    settings = {"strict": ["program.py"], "reportUnnecessaryTypeIgnoreComment": True}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return folder


def python(folder: Path) -> str:
    return str(folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python")


def test_the_program_finds_the_installed_package_and_no_other(installed: Path) -> None:
    code = "import decreed.client; print(decreed.client.__file__)"
    done = subprocess.run(
        [python(installed), "-c", code], cwd=installed, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_mypy_sees_precise_types_of_what_is_installed(installed: Path) -> None:
    check(installed, "mypy", "--strict", "--cache-dir=cache", "--python-executable")


def test_pyright_sees_precise_types_of_what_is_installed(installed: Path) -> None:
    check(installed, "pyright", "--pythonpath")


def check(folder: Path, *checker: str) -> None:
    """Run a type checker over the program; it must have nothing to say."""
    command = [sys.executable, "-m", *checker, python(folder), "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
