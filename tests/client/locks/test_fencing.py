"""Fences: in memory, in a database, and in front of a service."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from decreed.client.fencing import HEADER, SQL_TABLE, Fence, fence_sql, pass_fence, token_of
from decreed.registry.errors import BadRequest, StaleToken


def test_a_fence_lets_tokens_grow_and_never_shrink() -> None:
    fence = Fence()
    for token in (3, 3, 5):
        fence.check("a", token)
    with pytest.raises(StaleToken, match="token 4 is stale for 'a': 5 has been there"):
        fence.check("a", 4)
    fence.check("b", 1)
    fence.check("a", 5)


def test_a_fence_used_by_many_threads_lets_no_stale_token_pass_after_a_newer() -> None:
    fence, seen, mutex = Fence(), list[int](), threading.Lock()

    def use(token: int) -> None:
        with mutex:
            try:
                fence.check("a", token)
                seen.append(token)
            except StaleToken:
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [*range(1, 200), *range(199, 0, -1)]))
    assert seen == sorted(seen)


def test_a_protected_function_takes_a_token_first() -> None:
    fence = Fence()

    @fence.protects("file")
    def write(text: str, *, times: int = 1) -> str:
        """Write."""
        return text * times

    assert write(2, "x", times=3) == "xxx"
    assert write.__doc__ == "Write."
    with pytest.raises(StaleToken):
        write(1, "y")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "fences.db")) as database:
        for _ in range(2):
            database.execute(SQL_TABLE)
        database.commit()
        yield database


def test_a_fence_in_a_database_is_part_of_the_transaction(database: sqlite3.Connection) -> None:
    cursor = database.cursor()
    pass_fence(cursor, "a", 7)
    database.rollback()
    pass_fence(cursor, "a", 5)
    pass_fence(cursor, "a", 5)
    database.commit()
    with pytest.raises(StaleToken):
        pass_fence(cursor, "a", 4)
    pass_fence(cursor, "b", 1)


def test_two_writers_cannot_pass_the_fence_at_once(
    database: sqlite3.Connection, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "fences.db", timeout=0)) as other:
        pass_fence(database.cursor(), "a", 2)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            pass_fence(other.cursor(), "a", 1)
        database.commit()
        with pytest.raises(StaleToken):
            pass_fence(other.cursor(), "a", 1)


def test_the_statement_for_postgresql_means_the_same(database: sqlite3.Connection) -> None:
    """SQLite adopted this statement from PostgreSQL, and accepts ``$1`` as a parameter."""
    statement = fence_sql("$1", "$2")
    passed = [
        database.execute(statement, {"1": "a", "2": token}).rowcount for token in (3, 3, 2, 4, 3)
    ]
    assert passed == [1, 1, 0, 1, 0]
    assert fence_sql("%s", "%s").count("%s") == 2


def test_a_token_is_read_from_the_headers_of_a_request() -> None:
    name = HEADER.lower().encode()
    assert token_of([(b"host", b"x"), (name, b"12")]) == 12
    for wrong in ([], [(name, b"")], [(name, b"0")], [(name, b"-1")], [(name, b"1"), (name, b"1")]):
        with pytest.raises(BadRequest, match=HEADER):
            token_of(wrong)
