"""What TLS takes of a node for a frame and a connection, in calls: the same on every machine."""

import os
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio

from decreed.registry.server.securing import Securing
from decreed.registry.tls.session import READ_BYTES, Session
from decreed.registry.wire.handshake import ClientHello

from ..support.certificates import CLUSTER, Authority
from ..support.secured import as_client, credentials, pair

pytestmark = pytest.mark.trio


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, *names: str) -> Counter[str]:
    """Count the calls of these functions from now on."""
    found: Counter[str] = Counter()

    def count(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*arguments, **options)

        return call

    for name in names:
        monkeypatch.setattr(owner, name, count(name, getattr(owner, name)))
    return found


async def secured(authority: Authority) -> tuple[Any, Any]:
    """Both ends of a connection, after their handshake."""
    ours, theirs = await pair()
    files = authority.client("alice")
    accepting = credentials(authority, "n1").contexts.accepting
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.secure, Session(as_client(files), "dials"))
        nursery.start_soon(theirs.secure, Session(accepting, "accepts"))
    return ours, theirs


@pytest.mark.parametrize("size", [1, 500, READ_BYTES - 1])
async def test_a_joined_frame_is_sealed_once_and_written_once(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    ours, theirs = await secured(authority)
    async with ours, theirs:
        seals = counted(monkeypatch, ssl.SSLObject, "write")
        writes = counted(monkeypatch, os, "write")
        assert ours.send_some(b"x" * size) == size
        assert (seals["write"], writes["write"]) == (1, 1)


@pytest.mark.parametrize("size", [1, 500, READ_BYTES])
async def test_one_record_is_read_from_openssl_by_one_call(authority: Authority, size: int) -> None:
    accepting = credentials(authority, "n1").contexts.accepting
    ours = Session(as_client(authority.client("alice")), "dials")
    theirs = Session(accepting, "accepts")
    for _ in range(4):
        for one, other in ((ours, theirs), (theirs, ours)):
            if not one.shaken:
                one.handshake(other.owed())
    sealed = ours.seal(b"x" * size)
    with pytest.MonkeyPatch.context() as patched:
        reads = counted(patched, ssl.SSLObject, "read")
        assert theirs.open(sealed) == b"x" * size
        assert reads["read"] == 1


async def test_a_certificate_is_taken_apart_once_for_a_connection(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = counted(monkeypatch, ssl.SSLObject, "getpeercert")
    ours, theirs = await secured(authority)
    async with ours, theirs:
        demands = Securing(CLUSTER, "n1", credentials(authority, "n1"))
        looks.clear()
        for _ in range(3):
            demands.identify(theirs, ClientHello("decreed", 2, 2))
        assert str(theirs.identity) == "client/alice"
        assert looks["getpeercert"] == 2, "once taken apart, and once as bytes for its marks"
