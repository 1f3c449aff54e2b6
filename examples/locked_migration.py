"""A schema migration that runs on one machine at a time, and does each step once.

    python examples/locked_migration.py app.db

Start it on every machine at every deployment. If the lock is held, the machine waits for it, and then
finds nothing left to do.
"""

import os
import sqlite3
import sys
from contextlib import closing

from decreed.client import errors, sync

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")
STEPS = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "ALTER TABLE users ADD COLUMN email TEXT",
)


def migrate(database: sqlite3.Connection, lock: sync.Lock) -> int:
    """Do the remaining steps, each in a transaction; returns how many there were."""
    done = int(database.execute("PRAGMA user_version").fetchone()[0])
    for number, step in enumerate(STEPS[done:], done + 1):
        # a machine that paused here must stop if it lost the lock
        lock.ensure_held()
        database.execute("BEGIN IMMEDIATE")
        database.execute(step)
        database.execute(f"PRAGMA user_version = {number}")
        database.execute("COMMIT")
    return len(STEPS) - done


def main(path: str) -> None:
    """Migrate the database at `path` when it is this machine's turn."""
    note = f"{len(STEPS)} steps"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as database,
        sync.connect(*ENDPOINTS) as registry,
        registry.lock("app/migrate", ttl=15, wait=120, note=note) as lock,
    ):
        print(f"{migrate(database, lock)} steps done")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except errors.LockHeld as error:
        sys.exit(f"gave up: {error}")
