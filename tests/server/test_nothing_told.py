"""What users freeze, publish and prove is in no log line, no error and no traceback of a node (S22).

Each text that is planted here is sent to a node in all places where a client may put one. Then all is
searched that the node has said: its log at the lowest level, its errors, and a traceback with all local
variables, as tools for crash reports make them.
"""

import logging
import traceback
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import TracebackType
from typing import cast

import msgspec
import pytest
import trio

import decreed.registry
import decreed.storage
from decreed.registry.locks.secret import hash_of
from decreed.registry.locks.terms import Ending, How, LeaseId, TermClaim
from decreed.registry.replica.replica import Replica
from decreed.registry.server.node_loop import NodeLoop
from decreed.registry.server.rates import Rates
from decreed.registry.types import Claim, Key, NodeId
from decreed.registry.wire.codec import encode
from decreed.registry.wire.members import ChangeRequest, Voter
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    EndRequest,
    Failed,
    GiveUpRequest,
    KeepAliveRequest,
    LockRequest,
    Request,
)

from ..support.live import PATIENCE_S, Cluster, live_cluster, live_config

MARK = "6f1d"
VALUE, NOTE, INFO, REASON = (f"{what}-{MARK}" for what in ("value", "note", "info", "reason"))
SECRET = f"secret-{MARK}".encode().ljust(32, b".")
LEASE = LeaseId("jobs", 1, b"holder")


def planted(key: str, number: int = 1, value: bytes = VALUE.encode()) -> Claim:
    return Claim(Key(key), value, "text/plain", "tester", f"c{number}".encode(), NOTE)


def term(claim_id: bytes) -> TermClaim:
    return TermClaim("me", claim_id, 60_000, hash_of(SECRET), NOTE, INFO.encode())


VOTERS = (Voter(NodeId("n1"), bytes(16), "127.0.0.1:1"),)
REQUESTS: tuple[Request, ...] = (
    ClaimRequest(1, 60_000, True, planted("k")),
    ClaimRequest(2, 60_000, True, planted("k", 2)),
    # the same id with other words, a gap, a malformed key, and a value over the limit
    ClaimRequest(3, 60_000, True, planted("k", 1, VALUE.encode() * 2)),
    ClaimRequest(4, 60_000, True, planted("s@7")),
    ClaimRequest(5, 60_000, True, planted("no key")),
    ClaimRequest(6, 60_000, True, planted("large", 6, VALUE.encode() * 200)),
    ClaimNextRequest(7, 60_000, True, planted("s@1", 7)),
    LockRequest(8, 60_000, "jobs", False, term(b"holder")),
    LockRequest(9, 60_000, "jobs", False, term(b"other")),
    KeepAliveRequest(10, 60_000, LEASE, SECRET[::-1]),
    EndRequest(11, 60_000, LEASE, Ending(How.RELEASED, "", REASON), SECRET[::-1]),
    EndRequest(12, 60_000, LEASE, Ending(How.BROKEN, "me", REASON), None),
    EndRequest(13, 60_000, LEASE, Ending(How.EXPIRED, "me", REASON), SECRET),
    GiveUpRequest(14, 60_000, "jobs", b"other", 60_000, SECRET),
    ChangeRequest(15, 60_000, 0, VOTERS, 1, 1, "me", b"change", NOTE, True),
)
GARBAGE = (
    encode([50, 1, VALUE, NOTE]),
    encode([99, VALUE]),
    encode({VALUE: NOTE}),
    b"\xff" + VALUE.encode(),
    encode([50, 1, 1, True, ["k", VALUE, NOTE, "c", b"i"], VALUE]),
)


def told(text: str) -> list[str]:
    """The lines of a text that tell what nobody may see."""
    return [line for line in text.splitlines() if MARK in line or repr(SECRET)[2:10] in line]


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """All that is logged, at the lowest level, whatever other tests have logged before."""
    monkeypatch.setattr("decreed.registry.server.log.RATES", Rates())
    monkeypatch.setattr("decreed.registry.server.log.UNPROVEN", Rates())
    caplog.set_level(logging.DEBUG, logger="decreed")
    caplog.set_level(logging.DEBUG, logger="trio")
    return caplog


def logged(log: pytest.LogCaptureFixture) -> str:
    """Each event with its facts."""
    facts = [(each.getMessage(), getattr(each, "facts", None)) for each in log.records]
    return "\n".join(map(repr, facts))


@pytest.mark.trio
async def test_no_log_line_and_no_error_tells_it(log: pytest.LogCaptureFixture) -> None:
    errors: list[str] = []
    with trio.fail_after(PATIENCE_S):
        async with live_cluster(await live_config(1, limits={"max_value_bytes": 1_024})) as cluster:
            client = await cluster.client("n1")
            for request in REQUESTS:
                answer = await client.ask(request)
                errors += [answer.message] if isinstance(answer, Failed) else []
            for garbage in GARBAGE:
                await say_garbage(cluster, garbage)
    assert len(errors) >= 5, "most of these requests are wrong"
    assert "a connection was ended" in logged(log)
    assert told(logged(log) + "\n".join(errors)) == []


async def say_garbage(cluster: Cluster, garbage: bytes) -> None:
    """Send a frame that holds no message, and wait for the end."""
    client = await cluster.client("n1")
    await client.stream.send_all(len(garbage).to_bytes(4, "big") + garbage)
    assert await client.ended()


def tracebacks(error: BaseException) -> Iterator[TracebackType]:
    """All tracebacks of an error, and of those in it and behind it."""
    if error.__traceback__ is not None:
        yield error.__traceback__
    inner = [error.__cause__, error.__context__]
    if isinstance(error, BaseExceptionGroup):
        inner += cast("BaseExceptionGroup[BaseException]", error).exceptions
    for each in inner:
        if each is not None:
            yield from tracebacks(each)


def variables(error: BaseException) -> str:
    """The local variables of all functions of ours in the traceback of an error; not of tests."""
    frames = [frame for each in tracebacks(error) for frame, _ in traceback.walk_tb(each)]
    return "\n".join(
        f"{frame.f_code.co_qualname}: {name}={value!r}"
        for frame in frames
        if frame.f_globals.get("__name__", "").startswith("decreed.")
        for name, value in frame.f_locals.items()
    )


class Planted(Exception):
    """A part of a node fails."""


def fail(*_: object) -> None:
    raise Planted


@pytest.mark.trio
@pytest.mark.parametrize("where", [(NodeLoop, "_write"), (Replica, "_finish"), (NodeLoop, "_send")])
@pytest.mark.parametrize(
    "request_", [each for each in REQUESTS if each.id in (1, 7, 8, 12, 14, 15)], ids=lambda r: r.id
)
async def test_no_traceback_tells_it(
    request_: Request, where: tuple[type, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with trio.fail_after(PATIENCE_S), pytest.raises(BaseExceptionGroup) as caught:
        async with live_cluster(await live_config(1)) as cluster:
            client = await cluster.client("n1")
            monkeypatch.setattr(*where, fail)
            await client.say(request_)
            await trio.sleep_forever()
    assert caught.group_contains(Planted)
    text = variables(caught.value)
    assert type(request_).__name__ in text or "_carry_out" in text
    assert told(text) == []
    assert told("".join(traceback.format_exception(caught.value))) == []


HIDDEN = {"value", "note", "info", "reason", "secret", "payload", "data", "items"}
"""The fields that hold what users freeze, publish or prove."""


def kinds(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in base.__subclasses__():
        yield each
        yield from kinds(each)


def test_no_value_shows_it() -> None:
    for package in (decreed.registry, decreed.storage):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    hiding: set[str] = set()
    for kind in kinds(msgspec.Struct):
        fields = [each for each in getattr(kind, "__struct_fields__", ()) if each in HIDDEN]
        ours = kind.__module__.startswith(("decreed.registry", "decreed.storage"))
        if not (fields and ours) or (kind.__name__, *fields) in APART:
            continue
        shown = repr_with(kind, fields)
        assert MARK not in shown, f"{kind.__name__} shows {', '.join(fields)}: {shown}"
        hiding.add(kind.__name__)
    assert hiding >= {
        "Claim",
        "Decree",
        "Term",
        "TermClaim",
        "Ending",
        "EndRequest",
        "ChangeRequest",
    }


APART = {
    *{("WriteFailed", "reason"), ("FeedUnread", "reason"), ("FeedFault", "reason")},
    *{("RestorePlan", "data"), ("RecoverPlan", "data")},
}
"""What the system said, what is wrong with a disk, and where directories are."""


def repr_with(kind: type[msgspec.Struct], fields: list[str]) -> str:
    """The ``repr`` of a value with a planted text in these fields, and nothing of use in the others."""
    # a constructor checks no types; what some of them check besides is left out
    what: dict[str, object] = {name: "" for name in kind.__struct_fields__} | {"time_ms": 0}
    what |= dict.fromkeys(fields, VALUE.encode())
    what = {name: what[name] for name in kind.__struct_fields__}
    bare = msgspec.defstruct(kind.__name__, what, namespace={"__repr__": kind.__repr__})
    return repr(bare(**what))
