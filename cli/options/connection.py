"""From a command to the client library: connect, run the body, and raise errors without groups."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from .types import Call

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from ...client import Registry
    from ...client.keys import Keys
    from ...client.requests.changing import MembersClient
    from ...client.requests.policies import PolicyClient
    from ...client.requests.scrubbing import ScrubClient
    from ...client.requests.sender import RequestSender

T = TypeVar("T")


def ask(*arguments: Any, **settings: Any) -> Any:
    """`decreed.client.blocking.ask`, loaded at its first use."""
    from ...client import blocking

    return blocking.ask(*arguments, **settings)


def members_of(call: Call) -> "AbstractContextManager[MembersClient]":
    """The members of a cluster, for coroutines that block; loaded at its first use."""
    from contextlib import contextmanager

    from ...client import blocking
    from ...client.requests.changing import MembersClient

    @contextmanager
    def open_members() -> "Generator[MembersClient]":
        with blocking.sender_of(
            call.endpoints, timeout=call.seconds, stays=call.stays, **call.credentials()
        ) as sender:
            yield MembersClient(sender)

    return open_members()


def ask_members(call: Call, body: "Callable[[MembersClient], Coroutine[Any, Any, T]]") -> T:
    """Run `body` with the members of the cluster, and return what it returns.

    No event loop is loaded. The body awaits only the calls of `MembersClient`.
    """
    from ...client.blocking import finish

    with members_of(call) as cluster:
        return finish(body(cluster))


def scrubs_of(call: Call) -> "AbstractContextManager[ScrubClient]":
    """The scrubs of a cluster, for coroutines that block; loaded at its first use."""
    from contextlib import contextmanager

    from ...client import blocking
    from ...client.requests.scrubbing import ScrubClient

    @contextmanager
    def open_scrubs() -> "Generator[ScrubClient]":
        with blocking.sender_of(
            call.endpoints, timeout=call.seconds, **call.credentials()
        ) as sender:
            yield ScrubClient(sender)

    return open_scrubs()


def ask_scrubs(call: Call, body: "Callable[[ScrubClient], Coroutine[Any, Any, T]]") -> T:
    """Run `body` with the scrubs of the cluster; it awaits only the calls of `ScrubClient`."""
    from ...client.blocking import finish

    with scrubs_of(call) as scrubs:
        return finish(body(scrubs))


def ask_sender(call: Call, body: "Callable[[RequestSender], Coroutine[Any, Any, T]]") -> T:
    """Run `body` with what sends requests to the cluster, and return what it returns.

    No event loop is loaded.
    """
    from ...client import blocking

    settings = call.credentials()
    with blocking.sender_of(
        call.endpoints, timeout=call.seconds, stays=call.stays, **settings
    ) as sender:
        return blocking.finish(body(sender))


def policies_of(call: Call) -> "AbstractContextManager[PolicyClient]":
    """The policies of a cluster, for coroutines that block; loaded at its first use."""
    from contextlib import contextmanager

    from ...client import blocking
    from ...client.requests.claims import checked_claimant
    from ...client.requests.policies import PolicyClient

    @contextmanager
    def open_policies() -> "Generator[PolicyClient]":
        with blocking.sender_of(
            call.endpoints, timeout=call.seconds, stays=call.stays, **call.credentials()
        ) as sender:
            yield PolicyClient(sender, checked_claimant(call.claimant))

    return open_policies()


def ask_policies(call: Call, body: "Callable[[PolicyClient], Coroutine[Any, Any, T]]") -> T:
    """Run `body` with the policies of the cluster; it awaits only the calls of `PolicyClient`."""
    from ...client.blocking import finish

    with policies_of(call) as policies:
        return finish(body(policies))


def connect(*endpoints: str, **settings: Any) -> "AbstractAsyncContextManager[Registry]":
    """`decreed.client.connect`, loaded at its first use."""
    from ... import client

    return client.connect(*endpoints, **settings)


def with_keys(call: Call, body: "Callable[[Keys], Coroutine[Any, Any, T]]") -> T:
    """Run `body` with the keys of the cluster, and return what it returns.

    For commands with one request: no event loop is loaded.
    """
    near = {"prefer": call.prefer} if call.prefer != "home" else {}
    settings = {"timeout": call.seconds, "claimant": call.claimant, **near}
    result: T = ask(call.endpoints, body, **settings, **call.credentials())
    return result


def with_registry(call: Call, body: "Callable[[Registry], Awaitable[T]]") -> T:
    """Connect in an event loop, run `body` with the registry, and return what it returns."""
    from ..shell.error_groups import run_async

    async def run() -> T:
        near = {"prefer": call.prefer} if call.prefer != "home" else {}
        settings = {"timeout": call.seconds, "claimant": call.claimant, **near}
        async with connect(*call.endpoints, **settings, **call.credentials()) as registry:
            return await body(registry)

    return run_async(run)
