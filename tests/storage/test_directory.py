"""The data directory: only ours, only if complete, one process, never initialised again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import EpochRecord
from decreed.registry.errors import Damaged, DecreedError, IdentityRefused, StorageFailed
from decreed.registry.paxos.instance import EMPTY
from decreed.registry.types import Key, NodeId
from decreed.storage.directory import open_directory
from decreed.storage.marker import MARKER

from .conftest import NODE, make_config
from .samples import learned


def make(path: Path, config: ClusterConfig) -> None:
    """A directory with one key, closed."""
    storage = open_directory(path, config, NODE)
    storage.write([learned("k")])
    storage.close()


def contents(path: Path) -> dict[str, bytes]:
    """Every file below `path` with its bytes."""
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_a_missing_directory_is_made_with_a_disk_id_from_the_source_given(
    tmp_path: Path, config: ClusterConfig
) -> None:
    storage = open_directory(tmp_path / "x" / "y", config, NODE, lambda count: b"r" * count)
    identity = storage.recovered().identity
    storage.close()
    assert (identity.disk_id, identity.incarnation) == (b"r" * 16, 1)
    assert (identity.cluster_id, identity.node, identity.digest) == ("c1", NODE, config.digest())


@pytest.mark.parametrize(
    ("other", "node", "words"),
    [
        (make_config("c2"), NODE, "belongs to cluster 'c1', not to 'c2'"),
        (make_config(), NodeId("b"), "belongs to node 'a', not to 'b'"),
        (make_config(members="abd"), NODE, "other members or quorum sizes"),
        (make_config(prepare=3), NODE, "other members or quorum sizes"),
        (make_config(members="bcd"), NODE, "'a' is no member"),
    ],
)
def test_R07_a_directory_of_somebody_else_is_refused_and_its_count_stays(
    tmp_path: Path, config: ClusterConfig, other: ClusterConfig, node: NodeId, words: str
) -> None:
    make(tmp_path, config)
    with pytest.raises(IdentityRefused, match=words):
        open_directory(tmp_path, other, node)
    storage = open_directory(tmp_path, config, NODE)
    assert storage.recovered().identity.incarnation == 2
    storage.close()


def test_M19_a_directory_that_is_made_to_join_says_so_permanently_and_needs_no_file(
    tmp_path: Path,
) -> None:
    others = make_config(members="bcd")
    storage = open_directory(tmp_path / "x", others, NODE, joins=True)
    assert storage.recovered().identity.joins
    storage.close()
    for file in (others, make_config(), make_config(members="bcd", prepare=3)):
        storage = open_directory(tmp_path / "x", file, NODE)
        assert storage.recovered().identity.joins
        storage.close()


def test_M19_a_members_directory_never_joins(tmp_path: Path, config: ClusterConfig) -> None:
    make(tmp_path, config)
    with pytest.raises(IdentityRefused, match="start it without --join"):
        open_directory(tmp_path, config, NODE, joins=True)
    storage = open_directory(tmp_path, config, NODE)
    assert not storage.recovered().identity.joins
    storage.close()


def test_M19_a_directory_that_knows_a_later_epoch_starts_with_any_file_of_its_cluster(
    tmp_path: Path, config: ClusterConfig
) -> None:
    storage = open_directory(tmp_path, config, NODE)
    storage.write([EpochRecord(1, 0, 0)])
    storage.close()
    for file in (make_config(members="bcd"), make_config(prepare=3)):
        storage = open_directory(tmp_path, file, NODE)
        assert storage.recovered().identity.digest == config.digest()
        storage.close()
    with pytest.raises(IdentityRefused, match="belongs to cluster 'c1'"):
        open_directory(tmp_path, make_config("c2"), NODE)


def test_a_strangers_directory_is_refused_and_not_written_to(
    tmp_path: Path, config: ClusterConfig
) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(IdentityRefused, match="is not empty"):
        open_directory(tmp_path, config, NODE)
    assert os.listdir(tmp_path) == ["precious"]


def test_a_node_that_is_no_member_makes_no_directory(tmp_path: Path) -> None:
    with pytest.raises(IdentityRefused, match="the members are b, c, d"):
        open_directory(tmp_path / "data", make_config(members="bcd"), NODE)
    assert not (tmp_path / "data").exists()


def test_a_newer_format_is_refused_and_not_touched(tmp_path: Path, config: ClusterConfig) -> None:
    make(tmp_path, config)
    (tmp_path / MARKER).write_text("decreed data directory, format 7, ready\n")
    before = contents(tmp_path)
    with pytest.raises(IdentityRefused, match="the newer decreed that wrote it"):
        open_directory(tmp_path, config, NODE)
    assert contents(tmp_path) == before


def test_an_older_format_is_refused_and_not_touched(tmp_path: Path, config: ClusterConfig) -> None:
    make(tmp_path, config)
    (tmp_path / MARKER).write_text("decreed data directory, format 3, ready\n")
    before = contents(tmp_path)
    with pytest.raises(IdentityRefused, match="the older decreed that wrote it"):
        open_directory(tmp_path, config, NODE)
    assert contents(tmp_path) == before


def test_every_flipped_bit_of_the_marker_is_refused(tmp_path: Path, config: ClusterConfig) -> None:
    make(tmp_path, config)
    marker = tmp_path / MARKER
    sound = marker.read_bytes()
    for position in range(len(sound)):
        for bit in range(8):
            flipped = bytearray(sound)
            flipped[position] ^= 1 << bit
            marker.write_bytes(flipped)
            with pytest.raises(IdentityRefused):
                open_directory(tmp_path, config, NODE)


def test_an_interrupted_first_start_is_begun_again(tmp_path: Path, config: ClusterConfig) -> None:
    data = tmp_path / "data"
    made = open_directory(data, config, NODE)
    interrupted = shutil.copytree(data, tmp_path / "interrupted")
    made.close()
    (interrupted / MARKER).write_text("decreed data directory, format 6, making\n")
    storage = open_directory(interrupted, config, NODE)
    assert storage.recovered().identity.incarnation == 1
    storage.close()


@pytest.mark.parametrize("closed", [False, True])
def test_R13_a_used_directory_is_not_initialised_again_for_an_older_marker(
    tmp_path: Path, config: ClusterConfig, closed: bool
) -> None:
    data = tmp_path / "data"
    used = open_directory(data, config, NODE)
    used.write([learned("k")])
    left = shutil.copytree(data, tmp_path / "left")
    used.close()
    left = data if closed else left
    (left / MARKER).write_text("decreed data directory, format 6, making\n")
    before = contents(left)
    with pytest.raises(Damaged, match="the marker is an older one"):
        open_directory(left, config, NODE)
    assert contents(left) == before


@pytest.mark.parametrize("gone", ["db", "db/CURRENT"])
def test_R13_a_directory_that_lost_its_records_is_not_initialised_again(
    tmp_path: Path, config: ClusterConfig, gone: str
) -> None:
    make(tmp_path, config)
    victim = tmp_path / gone
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    with pytest.raises(Damaged, match="must not vote"):
        open_directory(tmp_path, config, NODE)


def test_R13_a_directory_that_lost_a_file_is_refused(tmp_path: Path, config: ClusterConfig) -> None:
    make(tmp_path, config)
    make(tmp_path, config)
    for victim in [*(tmp_path / "db").glob("*.sst"), *(tmp_path / "db").glob("MANIFEST-*")]:
        sound = victim.read_bytes()
        victim.unlink()
        with pytest.raises(DecreedError, match=victim.name):
            open_directory(tmp_path, config, NODE)
        victim.write_bytes(sound)
    open_directory(tmp_path, config, NODE).close()


def test_a_directory_in_use_by_another_process_is_refused(
    tmp_path: Path, config: ClusterConfig
) -> None:
    make(tmp_path, config)
    program = (
        "import fcntl, sys; held = open(sys.argv[1], 'r+'); fcntl.flock(held, fcntl.LOCK_EX);"
        " print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(IdentityRefused, match="in use by another process"):
            open_directory(tmp_path, config, NODE)
        other.communicate()
    open_directory(tmp_path, config, NODE).close()


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path, config: ClusterConfig) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed, match="file"):
        open_directory(tmp_path / "file", config, NODE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB, where we may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting a small file system is not permitted")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_stops_writes_permanently_and_reads_go_on(
    small_disk: Path, config: ClusterConfig
) -> None:
    storage = open_directory(small_disk / "data", config, NODE)
    (small_disk / "filler").write_bytes(b"x" * 16 * 1024 * 1024)
    written: list[str] = []
    with pytest.raises(StorageFailed, match="No space left"):
        for number in range(100):
            storage.write([learned(f"k{number}", os.urandom(500_000))])
            written.append(f"k{number}")
    (small_disk / "filler").unlink()
    with pytest.raises(StorageFailed, match="restart the node"):
        storage.write([learned("later")])
    page = storage.scan("", "", 1000, 10**9)
    assert {key for key, _ in page.instances} >= set(written)
    storage.close()
    again = open_directory(small_disk / "data", config, NODE)
    page = again.scan("", "", 1000, 10**9)
    assert {key for key, _ in page.instances} >= set(written)
    assert again.load([Key("later")])[Key("later")] == EMPTY
    again.write([learned("later")])
    again.close()
