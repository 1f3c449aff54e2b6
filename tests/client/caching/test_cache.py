"""The cache: bounded in memory, kept on disk, of one formation; it raises no errors."""

import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest

from decreed.client import connect
from decreed.client.caching.disk import DecreeFile
from decreed.client.caching.memory import Memory, size_of
from decreed.registry.errors import Unreachable
from decreed.registry.types import Key
from decreed.registry.wire.requests import ClaimRequest, GetRequest

from ..fakes import LIMIT_S, HangUp, cluster_of, decree_of


def test_memory_drops_the_least_recently_used_beyond_the_number() -> None:
    memory = Memory(2, 1_000_000)
    for key in ("a", "b"):
        memory.put(decree_of(key))
    assert memory.get("a") is not None
    memory.put(decree_of("c"))
    assert [key for key in "abc" if memory.get(key)] == ["a", "c"]


def test_memory_is_bounded_by_bytes() -> None:
    size = size_of(decree_of("a", b"v" * 1000))
    memory = Memory(100, 2 * size)
    for key in "abc":
        memory.put(decree_of(key, b"v" * 1000))
    memory.put(decree_of("huge", b"v" * 10_000))
    assert [key for key in ("a", "b", "c", "huge") if memory.get(key)] == ["b", "c"]
    memory.clear()
    assert len(memory) == 0


def test_a_file_keeps_decrees_and_drops_the_oldest(tmp_path: Path) -> None:
    file = DecreeFile(tmp_path / "f", 300, 1_000_000)
    keys = [Key(f"key{number}") for number in range(600)]
    for key in keys:
        file.put([decree_of(key)])
    kept = {decree.key for decree in file.get(keys)}
    assert keys[-1] in kept and keys[0] not in kept
    assert len(kept) < 300 + 256
    file.close()


def totals(path: Path) -> tuple[int, int]:
    """The totals in a file: the number of decrees, and their size."""
    with closing(sqlite3.connect(path)) as database:
        [row] = database.execute("SELECT decrees, bytes FROM totals").fetchall()
        [(count, size)] = database.execute("SELECT COUNT(*), SUM(LENGTH(record)) FROM decrees")
        assert row == (count, size)
    return count, size


def test_a_file_counts_its_decrees_and_bytes(tmp_path: Path) -> None:
    one, two = (DecreeFile(tmp_path / "f", 300, 1_000_000) for _ in range(2))
    one.put([decree_of("a"), decree_of("b", b"v" * 100)])
    two.put([decree_of("a"), decree_of("c")])
    assert totals(tmp_path / "f")[0] == 3
    two.put([decree_of(f"key{number}") for number in range(600)])
    assert totals(tmp_path / "f")[0] < 300
    one.close()
    two.close()


def test_decrees_in_a_file_without_totals_are_counted(tmp_path: Path) -> None:
    file = DecreeFile(tmp_path / "f", 300, 1_000_000)
    file.put([decree_of("a"), decree_of("b")])
    file.close()
    with closing(sqlite3.connect(tmp_path / "f")) as database:
        database.executescript("DROP TRIGGER added; DROP TRIGGER dropped; DROP TABLE totals")
    file.put([decree_of("c")])
    assert totals(tmp_path / "f")[0] == 3
    file.close()


def test_two_users_of_one_file(tmp_path: Path) -> None:
    one, two = (DecreeFile(tmp_path / "f", 100, 100_000) for _ in range(2))
    one.put([decree_of("a")])
    two.put([decree_of("b")])
    assert {decree.key for decree in one.get([Key("a"), Key("b")])} == {"a", "b"}
    one.close()
    two.close()


def test_a_damaged_record_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = DecreeFile(tmp_path / "f", 100, 100_000)
    file.put([decree_of("a"), decree_of("b")])
    file.close()
    with sqlite3.connect(tmp_path / "f") as database:
        database.execute("UPDATE decrees SET record = x'00112233445566778899' WHERE key = 'a'")
    database.close()
    with caplog.at_level(logging.WARNING):
        assert [decree.key for decree in file.get([Key("a"), Key("b")])] == ["b"]
    assert "damaged record" in caplog.text
    file.put([decree_of("a")])
    assert len(file.get([Key("a")])) == 1
    file.close()


def test_a_damaged_file_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "f").write_bytes(b"no database at all" * 1000)
    file = DecreeFile(tmp_path / "f", 100, 100_000)
    with caplog.at_level(logging.WARNING):
        assert file.get([Key("a")]) == []
    assert "started again" in caplog.text
    file.put([decree_of("a")])
    assert len(file.get([Key("a")])) == 1
    file.close()


@pytest.mark.anyio
async def test_cached_is_fast_and_sends_no_request() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("k"))
        await registry.get("k")
        began = time.thread_time()
        for _ in range(100_000):
            registry.cached("k")
        # CPU time of this thread, which does not depend on the load of the machine
        assert time.thread_time() - began < 1
        assert len(cluster.nodes[0].requests) == 1


@pytest.mark.anyio
async def test_a_claim_of_a_cached_key_is_answered_from_memory() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        assert (await registry.claim("k", "v", claim_id="mine")).won
        assert (await registry.claim("k", "v", claim_id="mine")).won
        assert not (await registry.claim("k", "w")).won
        assert len(cluster.nodes[0].asked(ClaimRequest)) == 1


@pytest.mark.anyio
async def test_another_formation_drops_the_cache(tmp_path: Path) -> None:
    async with cluster_of(1) as cluster:
        node = cluster.nodes[0]
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            cluster.decide(decree_of("k"))
            await registry.get("k")
            cluster.formation = b"g" * 16
            cluster.decrees.clear()
            node.script = lambda node, request: HangUp
            with pytest.raises(Unreachable):
                await registry.get("other", timeout=0.3)
            node.script = None
            assert await registry.get("other") is None
            assert registry.cached("k") is None
            assert await registry.get("k") is None
        files = [path.name for path in tmp_path.iterdir() if path.name.endswith(".decrees")]
        assert len(files) == 1 and (b"g" * 16).hex() in files[0]


@pytest.mark.anyio
async def test_decrees_of_a_cluster_that_has_not_formed_are_not_kept() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.formation = None
        cluster.decide(decree_of("k"))
        await registry.get("k")
        assert registry.cached("k") is None
        # the welcome is out of date now: the client reconnects and learns the formation
        cluster.formation = b"f" * 16
        with anyio.fail_after(LIMIT_S):
            while registry.cached("k") is None:
                await registry.get("k")


@pytest.mark.anyio
async def test_a_disk_cache_answers_while_the_cluster_is_down(tmp_path: Path) -> None:
    async with cluster_of(3) as cluster:
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            for key in ("a", "b"):
                cluster.decide(decree_of(key))
            await registry.get_many(["a", "b"])
        for node in cluster.nodes:
            await node.stop()
        async with connect(cluster.endpoints[0], cache_dir=tmp_path) as registry:
            with anyio.fail_after(LIMIT_S):
                assert await registry.get("a", timeout=10 * LIMIT_S) == cluster.decrees["a"]
                assert await registry.wait("b", timeout=10 * LIMIT_S) == cluster.decrees["b"]
            with pytest.raises(Unreachable):
                await registry.get("c", timeout=0.2)


@pytest.mark.anyio
async def test_a_disk_cache_of_other_endpoints_is_not_used(tmp_path: Path) -> None:
    async with (
        cluster_of(1) as cluster,
        connect(*cluster.endpoints, cache_dir=tmp_path) as registry,
    ):
        cluster.decide(decree_of("a"))
        await registry.get("a")
    async with connect("127.0.0.1:1", cache_dir=tmp_path) as registry:
        with pytest.raises(Unreachable):
            await registry.get("a", timeout=0.3)


@pytest.mark.anyio
async def test_a_disk_cache_of_an_older_formation_is_not_used(tmp_path: Path) -> None:
    async with cluster_of(1) as cluster:
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            cluster.decide(decree_of("a"))
            await registry.get("a")
        cluster.formation = b"g" * 16
        cluster.decrees.clear()
        async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
            assert await registry.get("a") is None


@pytest.mark.anyio
async def test_a_disk_cache_spares_the_cluster_after_a_restart(tmp_path: Path) -> None:
    async with cluster_of(1) as cluster:
        cluster.decide(decree_of("a"))
        for _ in range(2):
            async with connect(*cluster.endpoints, cache_dir=tmp_path) as registry:
                assert await registry.get("a") is not None
        assert len(cluster.nodes[0].asked(GetRequest)) == 1


@pytest.mark.anyio
async def test_an_unusable_directory_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    async with (
        cluster_of(1) as cluster,
        connect(*cluster.endpoints, cache_dir=tmp_path / "file") as registry,
    ):
        assert (await registry.claim("k", "v")).won
        assert await registry.get("other") is None
    assert "no decree cache" in caplog.text


ROUNDS = """
import sys
from pathlib import Path
from decreed.client.caching.disk import DecreeFile
from decreed.registry.types import Key
from tests.client.fakes import decree_of

file = DecreeFile(Path(sys.argv[1]), 1000, 1_000_000)
print("begun", flush=True)
for number in range(300):
    keys = [f"k/{(number + other) % 50}" for other in range(10)]
    file.put([decree_of(key, b"v" * 400) for key in keys])
    file.get([Key(key) for key in keys])
"""


def test_truncating_a_file_in_use_crashes_no_program(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ROUNDS, str(tmp_path / "f")]
    programs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    for program in programs:
        assert program.stdout is not None and program.stdout.readline() == b"begun\n"
    while any(program.poll() is None for program in programs):
        for path in tmp_path.iterdir():
            # SQLite removes what it no longer needs
            with suppress(FileNotFoundError):
                os.truncate(path, 0)
        time.sleep(0.01)
    for program in programs:
        program.communicate()
    assert [program.returncode for program in programs] == [0, 0]
    file = DecreeFile(tmp_path / "f", 1000, 1_000_000)
    file.put([decree_of("k")])
    assert file.get([Key("k")]) == [decree_of("k")]
    file.close()
