"""A program that takes a lock again and again, and logs when it counts itself as the holder.

    python -m tests.support.contender ENDPOINTS LOCK TTL FOLDER

Lines in FOLDER/log, on the clock that all processes of the machine share: ``valid TOKEN NOW_MS
UNTIL_MS`` while it holds the lock, ``left TOKEN NOW_MS`` when it releases it. It also counts in a
database behind a fence, and tries to do so once more when it has lost the lock.
"""

import os
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from decreed.client import errors, sync
from decreed.client.fencing import SQL_TABLE, pass_fence
from decreed.registry.clock import now_ms

TURNS = 6
TURN_S = 0.05
COUNTS = "CREATE TABLE IF NOT EXISTS counts (id INTEGER PRIMARY KEY, token INTEGER NOT NULL)"


def prepare(folder: Path) -> None:
    """Make the database."""
    with closing(sqlite3.connect(folder / "counts.db")) as database, database:
        database.execute(SQL_TABLE)
        database.execute(COUNTS)


def count(folder: Path, token: int) -> None:
    """Write under a token, which must pass the fence.

    Raises:
        StaleToken: if it did not.
    """
    with closing(sqlite3.connect(folder / "counts.db", timeout=180)) as database, database:
        pass_fence(database.cursor(), "counts", token)
        database.execute("INSERT INTO counts (token) VALUES (?)", (token,))


def write_down(folder: Path, *words: object) -> None:
    """Add a line, in one write, so that lines of several processes never mix."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(log)


def note_valid(folder: Path, lock: sync.Lock) -> None:
    """Log until when the lock is valid, if it is valid."""
    now = now_ms()
    remaining_ms = lock.remaining * 1000
    if remaining_ms:
        write_down(folder, "valid", lock.token, now, now + remaining_ms)


def hold(registry: sync.Registry, name: str, ttl: float, folder: Path) -> None:
    """Get the lock, work under it for a few rounds, and release it."""
    token = 0
    try:
        with registry.lock(name, ttl=ttl, wait=60) as lock:
            token = lock.token
            for _ in range(TURNS):
                note_valid(folder, lock)
                with suppress(errors.StaleToken):
                    count(folder, token)
                time.sleep(TURN_S)
            lock.ensure_held()
            write_down(folder, "left", token, now_ms())
    except errors.LockLost:
        # a holder that has not noticed yet: the fence is for this case
        with suppress(errors.StaleToken):
            count(folder, token)
        write_down(folder, "lost", token, now_ms())


def main(endpoints: str, name: str, ttl: str, folder: str) -> None:
    """Take the lock again and again until killed."""
    with sync.connect(endpoints) as registry:
        while True:
            with suppress(errors.LockHeld, errors.Unreachable, errors.OutcomeUnknown):
                hold(registry, name, float(ttl), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
