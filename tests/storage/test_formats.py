"""A directory of an earlier format or build is read, and is of the present one from then on."""

import shutil
from pathlib import Path

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import ForgetRecord, PeerRecord
from decreed.registry.errors import Damaged
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key, NodeId
from decreed.registry.unserved import ForgottenInstance
from decreed.registry.version import FORMAT
from decreed.registry.wire.peers import FLOOR_DIGEST
from decreed.storage.directory import open_directory
from decreed.storage.high_water import NAME
from decreed.storage.marker import MARKER

from .conftest import NODE
from .samples import accepted, learned

FORMAT_5 = Path(__file__).with_name("format-5")
"""By the last version with that format: a key in a table, one in the log, one only accepted."""

FORMAT_6 = Path(__file__).with_name("format-6")
"""By the last build whose feed told no floors: one lock keeps terms, the other one none."""
UNTOLD = ("$locks/a/l", "$locks/left")

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


def test_a_directory_of_format_6_that_told_no_floors_is_read(
    tmp_path: Path, config: ClusterConfig
) -> None:
    data = shutil.copytree(FORMAT_6, tmp_path / "data")
    for incarnation in (3, 4):
        storage = open_directory(data, config, NODE)
        assert storage.load([*RIGHT]) == RIGHT
        recovered = storage.recovered()
        assert recovered.unlearned == ("half/done",)
        assert recovered.identity.incarnation == incarnation
        assert recovered.peers == (PeerRecord(NodeId("b"), b"d" * 16, 7, b"n" * 16),)
        for last in ("$locks/a/l@10", "$locks/left@99"):
            assert isinstance(storage.load([Key(last)])[Key(last)], ForgottenInstance)
        storage.close()


def test_M16_floors_that_an_earlier_build_raised_are_told_at_the_first_opening(
    tmp_path: Path, config: ClusterConfig
) -> None:
    data = shutil.copytree(FORMAT_6, tmp_path / "data")
    for _ in range(2):
        storage = open_directory(data, config, NODE)
        recovered = storage.recovered()
        told = {Key("$locks/a/l@10"), Key("$locks/left@99")}
        entries, end = storage.feed(31, 10)
        assert {entry.key for entry in entries} == told
        assert {entry.digest for entry in entries} == {FLOOR_DIGEST}
        assert end == recovered.feed_end == 33
        assert storage.feed(30, 1)[0][0].index > 30, "what stayed as the newest entry is deleted"
        floors = {floor.series: floor for floor in recovered.floors}
        assert floors.keys() == {*UNTOLD}
        for entry in entries:
            series, _, last = entry.key.partition("@")
            assert floors[series] == ForgetRecord(series, int(last) + 1, entry.index)
        storage.close()
