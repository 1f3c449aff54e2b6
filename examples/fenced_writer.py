"""A writer that is safe even after a pause: its database refuses stale tokens.

    python examples/fenced_writer.py accounts.db

Two workers share a lock. The first pauses for longer than its lock is valid, as a swapping machine
might, and then goes on with its write. The second has written meanwhile; the late write is refused.
"""

import os
import sqlite3
import sys

from decreed.client import errors, sync
from decreed.client.fencing import SQL_TABLE, pass_fence

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")
LOCK = "accounts"


def open_database(path: str) -> sqlite3.Connection:
    """The database with the balance and the fence beside it."""
    database = sqlite3.connect(path)
    with database:
        database.execute(SQL_TABLE)
        database.execute("CREATE TABLE IF NOT EXISTS balance (amount INTEGER NOT NULL)")
    return database


def write(database: sqlite3.Connection, token: int, amount: int) -> None:
    """Replace the balance, unless a newer token was seen; check and write are one transaction."""
    with database:
        cursor = database.cursor()
        pass_fence(cursor, LOCK, token)
        cursor.execute("DELETE FROM balance")
        cursor.execute("INSERT INTO balance (amount) VALUES (?)", (amount,))


def main(path: str) -> None:
    """Let two workers write, the first one late."""
    database = open_database(path)
    with sync.connect(*ENDPOINTS) as first, sync.connect(*ENDPOINTS) as second:
        with first.lock(LOCK, ttl=5) as lock:
            late = lock.token
        # the first worker believes that it still holds the lock, as after a pause
        with second.lock(LOCK, ttl=5) as lock:
            write(database, lock.token, 200)
        try:
            write(database, late, 100)
        except errors.StaleToken as error:
            print("refused:", error)
    [(amount,)] = database.execute("SELECT amount FROM balance")
    print("the balance is", amount)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1])
