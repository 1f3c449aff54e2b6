"""A registry in memory with the client's surface, and a way to run command lines against it."""

import io
import json
import os
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from decreed.cli.main import run
from decreed.client.blocking import finish
from decreed.client.requests.results import Claimed, Watched
from decreed.registry.errors import DecreedError, StillUndecided
from decreed.registry.keys import matches, slot_key, sort_key
from decreed.registry.types import Ballot, Decree, Key, NodeId, Outcome, Process

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
BALLOT = Ballot(1, Process(NodeId("n1"), 2))
TIME_MS = 1_767_225_600_000


def decree(key: str, value: bytes | str, claim_id: bytes = b"other") -> Decree:
    """A decree of another claimant."""
    data = value.encode() if isinstance(value, str) else value
    kind = TEXT if isinstance(value, str) else BYTES
    return Decree(Key(key), data, kind, "bob@there", claim_id, "", TIME_MS, BALLOT)


# `FakeRegistry.list` hides the built-in name inside the class
Anything = list[Any]
Calls = list[tuple[str, dict[str, Any]]]
Failures = list[BaseException | None]
Results = list[Claimed | DecreedError]
Seen = list[Watched]


class FakeWatching:
    """A watch that sees some decrees and no more."""

    def __init__(self, seen: Iterable[Watched]) -> None:
        self._seen = iter(seen)

    async def begin(self, timeout: float | None = None) -> None:
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> "FakeWatching":
        return self

    async def __anext__(self) -> Watched:
        for watched in self._seen:
            return watched
        await trio.sleep_forever()


@dataclass
class FakeMembers:
    """The members of a cluster, on a clock of its own: each pause takes a second.

    Args:
        reports: what the next questions about members find; the last one stays.
        answers: what the next questions about a change find: how it is judged, or its decree.
        following: what followed an epoch.
        proposed: the changes that were proposed.
        in_doubt: whether a change that was proposed may be decided.
        seconds: how long a command may take.
    """

    reports: Anything = field(default_factory=Anything)
    answers: Anything = field(default_factory=Anything)
    following: Anything = field(default_factory=Anything)
    proposed: Anything = field(default_factory=Anything)
    in_doubt: bool = False
    seconds: float = 0.0
    clock: float = 0.0

    def now(self) -> float:
        return self.clock

    def deadline(self) -> float:
        return self.clock + self.seconds

    async def report(self, deadline: float) -> Any:
        return _found(self.reports.pop(0) if len(self.reports) > 1 else self.reports[0])

    async def change_after(self, epoch: int, deadline: float) -> Any:
        return self.following.pop(0) if self.following else None

    async def judge(self, change: Any, deadline: float) -> Any:
        return _found(self.answers.pop(0))

    async def propose(self, change: Any, deadline: float) -> Any:
        self.proposed.append(change)
        answer = self.answers.pop(0)
        return _found(answer(change) if callable(answer) else answer)

    async def pause(self, deadline: float) -> None:
        self.clock += 1.0


def _found(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer


@dataclass
class FakeRegistry:
    """The methods of the client, without a cluster.

    Args:
        decrees: the decrees by key.
        failures: raised by the next calls, one each; None lets a call succeed.
        broken: the error that every claim of a key raises.
        calls: the name and arguments of each call.
        nodes: what `status` returns.
        limit: the largest value that is taken, in bytes.
        members: the members of the cluster.
    """

    decrees: dict[str, Decree] = field(default_factory=dict[str, Decree])
    failures: Failures = field(default_factory=Failures)
    broken: dict[str, DecreedError] = field(default_factory=dict[str, DecreedError])
    calls: Calls = field(default_factory=Calls)
    nodes: Anything = field(default_factory=Anything)
    seen: Seen = field(default_factory=Seen)
    connections: Anything = field(default_factory=Anything)
    limit: int = 2**20
    members: FakeMembers = field(default_factory=FakeMembers)

    def freeze(self, key: str, value: bytes | str) -> None:
        """Freeze a key on behalf of somebody else."""
        self.decrees[key] = decree(key, value)

    async def claim(
        self, key: str, value: bytes | str, *, claim_id: bytes | None = None, **details: Any
    ) -> Claimed:
        claim_id = claim_id or os.urandom(16)
        self._called("claim", key=key, value=value, claim_id=claim_id, **details)
        if key in self.broken:
            raise self.broken[key]
        wanted = decree(key, value, claim_id)
        found = self.decrees.setdefault(key, wanted)
        if found.claim_id == claim_id:
            return Claimed(Outcome.WON, found, claim_id)
        same = (found.value, found.content_type) == (wanted.value, wanted.content_type)
        return Claimed(Outcome.SAME if same else Outcome.LOST, found, claim_id)

    async def claim_next(
        self, series: str, value: bytes | str, *, claim_id: bytes, **details: Any
    ) -> Claimed:
        self._called("claim_next", series=series, value=value, claim_id=claim_id, **details)
        slot = len(self._slots(series)) + 1
        key = slot_key(series, slot)
        self.decrees[key] = decree(key, value, claim_id)
        return Claimed(Outcome.WON, self.decrees[key], claim_id)

    async def claim_many(self, items: Iterable[tuple[str, bytes | str]], **details: Any) -> Results:
        batch = [*items]
        self._called("claim_many", items=batch, **details)
        results = Results()
        for number, (key, value) in enumerate(batch):
            try:
                claim_id = f"{len(self.calls)}/{number}".encode()
                results.append(await self.claim(key, value, claim_id=claim_id))
            except DecreedError as error:
                results.append(error)
        return results

    async def get(self, key: str, *, timeout: float | None = None) -> Decree | None:
        self._called("get", key=key, timeout=timeout)
        return self.decrees.get(key)

    async def wait(self, key: str, *, timeout: float | None = None) -> Decree:
        self._called("wait", key=key, timeout=timeout)
        if key not in self.decrees:
            raise StillUndecided("nobody froze it in time")
        return self.decrees[key]

    async def latest(self, series: str, *, timeout: float | None = None) -> Decree | None:
        self._called("latest", series=series, timeout=timeout)
        slots = self._slots(series)
        return self.decrees[max(slots, key=sort_key)] if slots else None

    async def list(
        self, prefix: str, *, after: str = "", timeout: float | None = None
    ) -> AsyncIterator[Decree]:
        self._called("list", prefix=prefix)
        for key in sorted(self.decrees, key=sort_key):
            if matches(prefix, Key(key)) and sort_key(key) > sort_key(after):
                yield self.decrees[key]

    def watch(self, prefix: str, since: str | None = None) -> "FakeWatching":
        self._called("watch", prefix=prefix, since=since)
        return FakeWatching(self.seen)

    async def get_many(
        self, keys: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, Decree | None]:
        wanted = [*keys]
        self._called("get_many", keys=wanted)
        return {key: self.decrees.get(key) for key in wanted}

    async def max_value_bytes(self, *, timeout: float | None = None) -> int:
        return self.limit

    async def status(self) -> Anything:
        self._called("status")
        return self.nodes

    def _slots(self, series: str) -> Anything:
        return [key for key in self.decrees if key.startswith(f"{series}@")]

    def _called(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure

    @contextmanager
    def members_of(self, call: Any) -> Generator[FakeMembers]:
        """Stands in for `decreed.cli.options.connection.members_of`."""
        self.connections.append({"endpoints": call.endpoints, "timeout": call.seconds})
        self.members.seconds = call.seconds
        yield self.members

    def ask(
        self,
        endpoints: Iterable[str],
        body: Callable[["FakeRegistry"], Coroutine[Any, Any, Any]],
        **options: Any,
    ) -> Any:
        """Stands in for `decreed.client.blocking.ask`."""
        self.connections.append({"endpoints": tuple(endpoints), **options})
        return finish(body(self))

    @asynccontextmanager
    async def connect(self, *endpoints: str, **options: Any) -> AsyncGenerator["FakeRegistry"]:
        """Stands in for `decreed.client.connect`."""
        self.connections.append({"endpoints": endpoints, **options})
        yield self


@dataclass(frozen=True)
class Result:
    """The result of a command line."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.out.decode()

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[Any]:
        """Standard output as one JSON document per line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The error that ``--json`` left on standard error."""
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


class Cli:
    """Runs command lines in this process."""

    def __init__(
        self, capture: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._capture = capture
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        self._capture.readouterr()
        with self._monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = run(arguments)
        out, err = self._capture.readouterr()
        return Result(code, out, err.decode())
