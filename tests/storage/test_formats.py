"""A directory of an earlier format is read, and is of the present one from then on."""

import shutil
from pathlib import Path

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.errors import Damaged
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key
from decreed.registry.version import FORMAT
from decreed.storage.directory import MARKER, open_directory
from decreed.storage.high_water import NAME

from .conftest import NODE
from .samples import accepted, learned

FORMAT_5 = Path(__file__).with_name("format-5")
"""By the last version with that format: a key in a table, one in the log, one only accepted."""

RIGHT: dict[Key, Instance] = {
    record.key: record.instance
    for record in (
        learned("in/a/table", b"1"),
        learned("in/the/log", b"2"),
        accepted("half/done", b"3"),
    )
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return shutil.copytree(FORMAT_5, tmp_path / "data")


def test_a_directory_of_format_5_is_read_and_brought_to_the_present_format(
    data: Path, config: ClusterConfig
) -> None:
    for incarnation in (3, 4):
        storage = open_directory(data, config, NODE)
        assert storage.load([*RIGHT]) == RIGHT
        recovered = storage.recovered()
        assert (recovered.feed_end, recovered.unlearned) == (2, ("half/done",))
        assert recovered.identity.incarnation == incarnation
        storage.close()
        assert (data / MARKER).read_text() == f"decreed data directory, format {FORMAT}, ready\n"


def test_a_directory_of_format_5_needs_its_mark_once_it_was_read(
    data: Path, config: ClusterConfig
) -> None:
    open_directory(data, config, NODE).close()
    (data / "db" / NAME).unlink()
    with pytest.raises(Damaged, match=f"{NAME} is missing"):
        open_directory(data, config, NODE)
