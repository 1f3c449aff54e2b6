"""`view_of`: a database opened for reading, without a change to the folder that it is in.

RocksDB writes a little even into a database that it opens for reading only. So it is given another
folder with links to the tables, which are never changed, and copies of the small files. Where files
are cut, or do not fit together, the copy is repaired: RocksDB keeps what each whole table and each
whole record of a log has.

Invariants: nothing is written into the folder itself. What is read after a repair has sound rows, but
rows may be missing, and an older row may stand where a newer one was lost.
"""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ...registry.errors import Damaged, StorageFailed
from ..continuity import check_directory
from ..identity import STAYS_OUT
from ..rocks import RocksView, repair

_LINKED = ".sst"
_LEFT_OUT = ("LOCK", "LOG")


class View(NamedTuple):
    """An open database.

    Args:
        data: reads it.
        fault: what is wrong with its files; empty if nothing is.
    """

    data: RocksView
    fault: str


@contextmanager
def view_of(database: Path, *, marked: bool) -> Generator[View]:
    """Open a database that no process uses.

    Args:
        database: its folder.
        marked: whether it must have a high-water mark.

    Raises:
        Damaged: if nothing can be read from it.
        StorageFailed: if it cannot be copied.
    """
    fault = _fault(database, marked)
    with TemporaryDirectory(prefix="decreed-recover-") as scratch:
        view = _copied(database, Path(scratch))
        data, opened = _opened(view, fault)
        try:
            yield View(data, opened)
        finally:
            data.close()


def _fault(database: Path, marked: bool) -> str:
    if not database.is_dir():
        raise Damaged(f"{database} is missing")
    try:
        check_directory(database, marked=marked)
    except Damaged as error:
        return str(error).removesuffix(f". {STAYS_OUT}")
    return ""


def _copied(database: Path, scratch: Path) -> Path:
    view = scratch / "db"
    view.mkdir()
    for path in sorted(database.iterdir()):
        if path.suffix == _LINKED:
            (view / path.name).symlink_to(path.absolute())
        elif path.is_file() and not path.name.startswith(_LEFT_OUT):
            shutil.copyfile(path, view / path.name)
    return view


def _opened(view: Path, fault: str) -> tuple[RocksView, str]:
    if not fault:
        try:
            return RocksView(view), ""
        except (Damaged, StorageFailed) as error:
            fault = str(error).removesuffix(f". {STAYS_OUT}")
    repair(view)
    return RocksView(view), fault
