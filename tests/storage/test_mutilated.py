"""R13, R14 for a directory in which one file is gone, cut, older or another's.

The node may refuse to start, with exit code 7 and before RocksDB deletes a table. It may answer that
the record of one key is damaged. Or nothing that was synced is missing. The one exception: whole
records at the end of the newest log, which nobody can miss on one machine.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import shake_128
from pathlib import Path
from typing import NamedTuple

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import DecreedError, Exit
from decreed.registry.types import Key
from decreed.registry.unserved import DamagedInstance as DamagedValue
from decreed.storage.continuity import newest_log
from decreed.storage.directory import open_directory
from decreed.storage.high_water import NAME, noted
from decreed.storage.marker import MARKER
from decreed.storage.rocks import RocksStorage

from ..support.logs import record_starts
from .conftest import NODE, make_config
from .samples import learned

VALUE_BYTES = 3_000
LOG_BYTES = 20_000

PROGRAM = """
import os, signal, sys
from pathlib import Path
from tests.storage.test_mutilated import live
storage = live(Path(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3])))
if sys.argv[4] == "dropped":
    del storage
os.kill(os.getpid(), signal.SIGKILL)
"""


def key(number: int) -> Key:
    return Key(f"k/{number:04}")


def value(number: int) -> bytes:
    """Not compressible, and of one size, so that many tables are equally long."""
    return shake_128(b"%d" % number).digest(VALUE_BYTES)


def live(path: Path, numbers: range) -> RocksStorage:
    """Write the keys of one incarnation, each synced, and leave the directory open."""
    storage = open_directory(path, make_config(), NODE, log_bytes=LOG_BYTES)
    for number in numbers:
        storage.write([learned(key(number), value(number))])
    return storage


class Case(NamedTuple):
    """One file of a directory, and its change."""

    file: str
    what: str
    contents: bytes | None


class Starts:
    """A directory of three lives, two of which closed it, and its older copies.

    Args:
        place: where to put them.
        end: how the third life ended: ``killed``, or ``dropped``: then it is closed at the end.
        size: how many keys each incarnation wrote.
    """

    def __init__(self, place: Path, end: str, size: int) -> None:
        self.sound = place / "data"
        self.older = [place / "older-1", place / "older-2"]
        for incarnation, copy in enumerate(self.older):
            live(self.sound, range(incarnation * size, (incarnation + 1) * size)).close()
            shutil.copytree(self.sound, copy)
        first, behind = (str(count * size) for count in (2, 3))
        done = subprocess.run([sys.executable, "-c", PROGRAM, self.sound, first, behind, end])
        assert done.returncode == -signal.SIGKILL
        self.keys = [key(number) for number in range(3 * size)]
        self.copy = place / "copy"

    def files(self) -> list[str]:
        found = (path for path in self.sound.rglob("*") if path.is_file())
        names = sorted(str(path.relative_to(self.sound)) for path in found)
        return [name for name in names if "LOG" not in name.rpartition("/")[2]]

    def newest_log(self) -> str:
        return f"db/{newest_log(self.sound / 'db'):06}.log"

    def mutilated(self, case: Case) -> Path:
        """A copy with one file changed."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.sound, self.copy)
        victim = self.copy / case.file
        victim.unlink(missing_ok=True)
        if case.contents is not None:
            victim.write_bytes(case.contents)
        return self.copy


# with few keys the tables of all incarnations are still there, with many they were merged
@pytest.fixture(scope="module", params=[("killed", 14), ("dropped", 40)])
def incarnations(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Starts:
    return Starts(tmp_path_factory.mktemp("lives"), *request.param)


def cuts(incarnations: Starts, name: str) -> Iterator[int]:
    path = incarnations.sound / name
    size = path.stat().st_size
    yield from {0, 1, size // 3, size // 2, max(0, size - 60), max(0, size - 1)}
    if name.endswith(".log") or "MANIFEST" in name:
        yield from record_starts(path)


def cases(incarnations: Starts) -> Iterator[Case]:
    for name in incarnations.files():
        data = (incarnations.sound / name).read_bytes()
        yield Case(name, "gone", None)
        for size in sorted({*cuts(incarnations, name)} - {len(data)}):
            yield Case(name, f"cut to {size} of {len(data)}", data[:size])
        yield Case(name, "zeroed", bytes(len(data)))
        yield Case(name, "longer", data + b"more")
        for copy in incarnations.older:
            old = copy / name
            if old.exists() and old.read_bytes() != data:
                yield Case(name, f"of {copy.name}", old.read_bytes())
        yield from swapped(incarnations, name, data)


def swapped(incarnations: Starts, name: str, data: bytes) -> Iterator[Case]:
    """The contents of other files of the same kind."""
    for other in incarnations.files():
        found = (incarnations.sound / other).read_bytes()
        if other != name and Path(other).suffix == Path(name).suffix != "" and found != data:
            yield Case(name, f"has the contents of {other}", found)


def returned(incarnations: Starts) -> Iterator[Case]:
    """Files of older copies that were deleted since, put back."""
    for copy in incarnations.older:
        for path in (copy / "db").iterdir():
            name = f"db/{path.name}"
            if path.is_file() and not (incarnations.sound / name).exists():
                yield Case(name, f"put back from {copy.name}", path.read_bytes())


def tables(path: Path) -> dict[str, bytes]:
    return {table.name: table.read_bytes() for table in (path / "db").glob("*.sst")}


def judge(incarnations: Starts, case: Case, config: ClusterConfig) -> str | None:
    """What is wrong with the node's reaction; None if it is right."""
    path = incarnations.mutilated(case)
    before = tables(path)
    try:
        storage = open_directory(path, config, NODE, log_bytes=LOG_BYTES)
    except DecreedError as error:
        if error.exit_code is not Exit.REFUSED:
            return f"exit code {error.exit_code}: {error}"
        if case.file == "signing-key":
            return None  # its database is sound, so it was opened, and may have merged its tables
        return None if before.items() <= tables(path).items() else f"tables are gone: {error}"
    try:
        found = storage.load(incarnations.keys)
        lost = [
            name
            for number, name in enumerate(incarnations.keys)
            if not isinstance(found[name], DamagedValue)
            and found[name] != learned(name, value(number)).instance
        ]
    finally:
        storage.close()
    if lost and not (
        case.file == incarnations.newest_log() and lost == incarnations.keys[-len(lost) :]
    ):
        return f"{len(lost)} keys are lost without a word, from {lost[0]} on"
    return None


def check_all(
    incarnations: Starts, config: ClusterConfig, made: Callable[[Starts], Iterator[Case]]
) -> None:
    wrong = [
        f"{case.file} {case.what}: {reason}"
        for case in made(incarnations)
        if (reason := judge(incarnations, case, config)) is not None
    ]
    assert not wrong, "\n".join(wrong)


def test_R13_R14_the_directory_as_it_was_left_opens_with_every_key(
    incarnations: Starts, config: ClusterConfig
) -> None:
    storage = open_directory(
        incarnations.mutilated(Case("db/none", "gone", None)), config, NODE, log_bytes=LOG_BYTES
    )
    assert not any(
        isinstance(one, DamagedValue) for one in storage.load(incarnations.keys).values()
    )
    storage.close()
    assert judge(incarnations, Case("db/none", "gone", None), config) is None
    assert len([name for name in incarnations.files() if name.endswith(".sst")]) > 1
    assert {MARKER, f"db/{NAME}", "db/CURRENT"} < {*incarnations.files()}


@pytest.mark.parametrize("end", ["storage.close()", "del storage", "sys.exit()"])
def test_R13_R14_rows_are_noted_before_a_database_that_ends_moves_them_into_a_table(
    tmp_path: Path, end: str
) -> None:
    """Then RocksDB may delete their log, and only the MANIFEST tells of the table."""
    live(tmp_path / "data", range(1)).close()
    before = noted(tmp_path / "data" / "db")
    program = PROGRAM.replace("del storage", end)
    subprocess.run([sys.executable, "-c", program, tmp_path / "data", "1", "4", "dropped"])
    assert noted(tmp_path / "data" / "db").sequence > before.sequence + 3


def test_R13_R14_no_lost_or_changed_file_silently_loses_a_key(
    incarnations: Starts, config: ClusterConfig
) -> None:
    check_all(incarnations, config, cases)


def test_R13_R14_no_restored_old_file_silently_loses_a_key(
    incarnations: Starts, config: ClusterConfig
) -> None:
    check_all(incarnations, config, returned)


def test_R13_R14_a_current_and_manifest_of_an_earlier_incarnation_are_refused(
    incarnations: Starts, config: ClusterConfig
) -> None:
    for copy in incarnations.older:
        named = (copy / "db" / "CURRENT").read_text()
        path = incarnations.mutilated(Case("db/CURRENT", f"of {copy.name}", named.encode()))
        shutil.copy(copy / "db" / named.strip(), path / "db")
        before = tables(path)
        with pytest.raises(DecreedError, match="must not vote"):
            open_directory(path, config, NODE, log_bytes=LOG_BYTES)
        assert tables(path) == before
