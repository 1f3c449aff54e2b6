"""From a command to the client library: connect, run the body, and let errors out bare."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..client import Registry, connect
from .bare import run_async
from .options import Call

T = TypeVar("T")


def with_registry(call: Call, body: Callable[[Registry], Awaitable[T]]) -> T:
    """Connect, run `body` with the registry, and return what it returns."""

    async def run() -> T:
        async with connect(
            *call.endpoints, timeout=call.seconds, claimant=call.claimant
        ) as registry:
            return await body(registry)

    return run_async(run)
