"""A schema migration that runs on one machine at a time, and not again where it was done.

    python examples/locked_migration.py app.db

Start it on every machine at every deployment. A machine that finds the lock taken waits for it, and
then finds that there is nothing left to do.
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
    """Do what is left to do, a step in a transaction; returns how many steps that were."""
    done = int(database.execute("PRAGMA user_version").fetchone()[0])
    for number, step in enumerate(STEPS[done:], done + 1):
        # a machine that was paused here must not go on
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
