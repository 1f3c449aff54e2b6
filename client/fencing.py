"""Fencing: how a resource refuses writes of earlier holders of a lock. Pure; asks no server.

A lock alone cannot stop a holder that is paused in the middle of a write and goes on when the lock is
another's. So each write carries the token of its holder, ``lock.token``, and the resource remembers the
highest token that it has seen and refuses all lower ones. That is all of it:

* `Fence` remembers in memory, for a resource that lives in one process;
* `SQL_TABLE`, `fence_sql` and `pass_fence` remember in a database, in the transaction of the write;
* `HEADER` is how a token travels over HTTP, `token_of` how it is read.

A fence refuses those who are late; it does not tell who has the lock now. A resource that was never
written under a newer token takes the old one.
"""

import functools
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ..registry.errors import BadRequest, StaleToken
from .requests import arguments

__all__ = ["HEADER", "SQL_TABLE", "Cursor", "Fence", "fence_sql", "pass_fence", "token_of"]

P = ParamSpec("P")
T = TypeVar("T")

HEADER = "Decreed-Token"
"""The name of the HTTP header that carries a token, in plain decimal."""

SQL_TABLE = (
    "CREATE TABLE IF NOT EXISTS decreed_fences (resource TEXT PRIMARY KEY, token BIGINT NOT NULL)"
)
"""Makes the table that `fence_sql` needs; for SQLite from 3.24 on, and for PostgreSQL."""

_TOKEN = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class Fence:
    """Remembers the highest token seen for each resource, in memory; thread-safe.

    Its memory ends with its process. If the resource lives longer, store the tokens with it.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._mutex = threading.Lock()

    def check(self, resource: str, token: int) -> None:
        """Let a token pass, and remember it.

        Args:
            resource: what is to be changed.
            token: of the holder who wants to change it.

        Raises:
            StaleToken: if a higher one has passed before.
            BadRequest: if `token` is not a token.
        """
        resource, token = arguments.text("resource", resource), arguments.slot("token", token)
        with self._mutex:
            highest = self._highest.get(resource, 0)
            if token < highest:
                raise stale(resource, token, highest)
            self._highest[resource] = token

    def protects(
        self, resource: str
    ) -> Callable[[Callable[P, T]], Callable[Concatenate[int, P], T]]:
        """A decorator: the function takes a token as its first argument, which is checked first.

        The check is before the function runs. To be safe against a pause between the two, check in
        the transaction of the write, as `pass_fence` does.

        Args:
            resource: what the function changes.

        Returns:
            What makes of a function one that takes the token first, and raises `StaleToken` if it
            does not pass.
        """

        resource = arguments.text("resource", resource)

        def decorate(function: Callable[P, T]) -> Callable[Concatenate[int, P], T]:
            @functools.wraps(function)
            def checked(token: int, /, *args: P.args, **kwargs: P.kwargs) -> T:
                self.check(resource, token)
                return function(*args, **kwargs)

            return checked

        return decorate


class Cursor(Protocol):
    """The part of a database cursor (PEP 249) that is needed."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, operation: str, parameters: Any, /) -> Any: ...


def fence_sql(resource: str = "?", token: str = "?") -> str:
    """The statement that lets a token pass: it changes one row, or no row if the token is stale.

    Run it in the transaction of the write that it protects, before that write. It locks the row of
    the resource until the end of the transaction, so that no other token passes in between.

    Args:
        resource, token: how the driver writes its parameters: ``?`` for SQLite, ``%s`` for psycopg,
            ``$1`` and ``$2`` for asyncpg.

    Returns:
        One SQL statement with two parameters, the resource and the token.

    Raises:
        BadRequest: if one of them is no text.
    """
    resource, token = arguments.text("resource", resource), arguments.text("token", token)
    return (
        f"INSERT INTO decreed_fences (resource, token) VALUES ({resource}, {token}) "
        "ON CONFLICT (resource) DO UPDATE SET token = excluded.token "
        "WHERE decreed_fences.token <= excluded.token"
    )


def pass_fence(cursor: Cursor, resource: str, token: int, *, parameter: str = "?") -> None:
    """Let a token pass, in the transaction of `cursor`.

    Args:
        cursor: of a connection with an open transaction; the caller commits, or rolls back.
        resource: what is to be changed.
        token: of the holder who wants to change it.
        parameter: how the driver writes a parameter; ``%s`` for psycopg.

    Raises:
        StaleToken: if a higher one has passed before; roll back.
        BadRequest: if `token` is not a token; nothing was executed.
    """
    resource, token = arguments.text("resource", resource), arguments.slot("token", token)
    placeholder = arguments.text("parameter", parameter)
    cursor.execute(fence_sql(placeholder, placeholder), (resource, token))
    if cursor.rowcount != 1:
        raise stale(resource, token)


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The token that the headers of a request carry.

    Args:
        headers: names and values, as ASGI gives them.

    Returns:
        The token; whether it passes, a fence says.

    Raises:
        BadRequest: if they carry no token, several, or a malformed one.
    """
    name = HEADER.lower().encode()
    pairs = arguments.headers(headers)
    found = [value.decode("latin-1") for key, value in pairs if key.lower() == name]
    if len(found) != 1 or not _TOKEN.fullmatch(found[0]):
        raise BadRequest(f"one header {HEADER} is needed, with the token in plain decimal")
    return int(found[0])


def stale(resource: str, token: int, highest: int | None = None) -> StaleToken:
    """The error for a token that comes too late."""
    seen = f"{highest} has" if highest is not None else "a newer one has"
    return StaleToken(f"token {token} is stale for {resource!r}: {seen} been there")
