"""From a command to the client library: connect, run the body, and raise errors without groups."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from .types import Call

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ...client import Registry
    from ...client.keys import Keys

T = TypeVar("T")


def ask(*arguments: Any, **settings: Any) -> Any:
    """`decreed.client.blocking.ask`, loaded at its first use."""
    from ...client import blocking

    return blocking.ask(*arguments, **settings)


def connect(*endpoints: str, **settings: Any) -> "AbstractAsyncContextManager[Registry]":
    """`decreed.client.connect`, loaded at its first use."""
    from ... import client

    return client.connect(*endpoints, **settings)


def with_keys(call: Call, body: "Callable[[Keys], Coroutine[Any, Any, T]]") -> T:
    """Run `body` with the keys of the cluster, and return what it returns.

    For commands with one request: no event loop is loaded.
    """
    result: T = ask(call.endpoints, body, timeout=call.seconds, claimant=call.claimant)
    return result


def with_registry(call: Call, body: "Callable[[Registry], Awaitable[T]]") -> T:
    """Connect in an event loop, run `body` with the registry, and return what it returns."""
    from ..shell.error_groups import run_async

    async def run() -> T:
        async with connect(
            *call.endpoints, timeout=call.seconds, claimant=call.claimant
        ) as registry:
            return await body(registry)

    return run_async(run)
