"""A small cluster of fake servers on loopback: they speak the wire protocol and follow scripts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from anyio.from_thread import start_blocking_portal
from msgspec import structs

from decreed.registry.keys import homes, matches, sort_key
from decreed.registry.types import Ballot, Claim, Decree, Key, NodeId, Process
from decreed.registry.wire import codec, frames
from decreed.registry.wire.handshake import VERSION, ClientWelcome, Greeting, Member, Refusal
from decreed.registry.wire.packed import PackedPage, pack_decrees
from decreed.registry.wire.requests import (
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPing,
    ClientPong,
    Decreed,
    Failed,
    GetRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    Position,
    Request,
    StatusRequest,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)
from decreed.registry.wire.status import StatusReport

FORMATION = b"f" * 16
LIMIT_S = 120.0
"""Far more than anything takes here, even on a busy machine."""
MAX_FRAME = 1024 * 1024
Script = Callable[["FakeNode", Any], Any]


class Silence:
    """What a script returns to give no answer."""


class HangUp:
    """What a script returns to close the connection."""


class Garbage:
    """What a script returns to answer with malformed bytes."""


class Half:
    """What a script returns to send half of the honest answer, and then nothing more."""


class AsUsual:
    """What a script returns to let the node answer honestly."""


def decree_of(key: str, value: bytes = b"v", claim_id: bytes = b"other") -> Decree:
    """A decree that somebody else won."""
    ballot = Ballot(1, Process(NodeId("n1"), 1))
    return Decree(Key(key), value, "application/octet-stream", "them", claim_id, "", 0, ballot)


@dataclass
class FakeCluster:
    """The state that all fake nodes share: the decrees, in order, and the cluster's identity."""

    nodes: list["FakeNode"] = field(default_factory=list)
    decrees: dict[str, Decree] = field(default_factory=dict)
    formation: bytes | None = FORMATION
    advertised: dict[str, str] = field(default_factory=dict)
    incarnation: int = 0
    epoch: int = 0
    restored_ms: int = 0
    voters: tuple["FakeNode", ...] = ()
    observers: list["FakeNode"] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def endpoints(self) -> list[str]:
        return [node.address for node in self.nodes]

    def node(self, name: str) -> "FakeNode":
        return next(node for node in self.nodes if node.name == name)

    def order(self, key: str) -> list["FakeNode"]:
        """The nodes in the order of preference for `key`."""
        names = homes(Key(key), [node.name for node in self.nodes])
        return [self.node(name) for name in names]

    def decide(self, decree: Decree) -> Decree:
        """Freeze a key, unless it is frozen; returns what it is frozen to."""
        if decree.key not in self.decrees:
            self.decrees[decree.key] = decree
            self.changed.set()
            self.changed = anyio.Event()
        return self.decrees[decree.key]

    async def form_again(self, formation: bytes, *nodes: "FakeNode") -> None:
        """Form the cluster again, without decrees; connections to `nodes`, or to all, are closed."""
        self.formation = formation
        self.decrees.clear()
        for node in nodes or self.nodes:
            await node.hang_up()

    def members(self) -> tuple[Member, ...]:
        voters = self.voters or self.nodes
        addresses = {node.name: node.address for node in voters} | self.advertised
        return tuple(
            Member(NodeId(name), address, self.incarnation) for name, address in addresses.items()
        )


class FakeNode:
    """One fake server. `script`, if set, decides the answer to each request."""

    def __init__(self, name: str, cluster: FakeCluster) -> None:
        self.name = NodeId(name)
        self.cluster = cluster
        self.address = ""
        self.requests: list[Any] = []
        self.frames: list[list[Any]] = []
        self.connections = 0
        self.pings = 0
        self.pong_s = 0.0
        self.script: Script | None = None
        self.refusal: Refusal | None = None
        self.welcome_bytes: bytes | None = None
        self.max_value_bytes = 1024
        self.max_in_flight = 1024
        self.max_frame_bytes = MAX_FRAME
        self._sending = anyio.Lock()
        self._seen = anyio.Event()
        self._running = anyio.Event()
        self._running.set()
        self._streams: set[SocketStream] = set()
        self._scope: anyio.CancelScope | None = None

    def asked(self, kind: type) -> list[Any]:
        """The requests of one kind that arrived so far."""
        return [request for request in self.requests if isinstance(request, kind)]

    async def until(self, enough: Callable[["FakeNode"], object]) -> None:
        """Return once `enough` holds; it is checked whenever a frame arrives."""
        with anyio.fail_after(LIMIT_S):
            while not enough(self):
                await self._seen.wait()

    def halt(self) -> None:
        """Stop as by SIGSTOP: connections stay open, new ones are accepted, nothing is sent."""
        self._running = anyio.Event()

    def resume(self) -> None:
        """Go on, and answer what came meanwhile."""
        self._running.set()

    @property
    def open_connections(self) -> int:
        """How many connections the client has not closed."""
        return len(self._streams)

    async def start(self, tasks: TaskGroup, host: str = "127.0.0.1") -> None:
        """Listen, on the same port as before if there was one."""
        port = int(self.address.rpartition(":")[2] or 0)
        listener = await anyio.create_tcp_listener(
            local_host=host, local_port=port, reuse_port=False
        )
        self.address = f"{host}:{listener.extra(SocketAttribute.local_port)}"
        scope = self._scope = anyio.CancelScope()

        async def serve() -> None:
            with scope:
                async with listener:
                    await listener.serve(self._serve)

        tasks.start_soon(serve)

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._scope is not None:
            self._scope.cancel()
        for stream in list(self._streams):
            await anyio.aclose_forcefully(stream)
        await anyio.wait_all_tasks_blocked()

    async def hang_up(self) -> None:
        """Close all connections; new ones are accepted."""
        for stream in list(self._streams):
            await anyio.aclose_forcefully(stream)
        await anyio.wait_all_tasks_blocked()

    async def welcome_again(self, **changes: Any) -> None:
        """Send the welcome, as it is now and with these changes, on all connections."""
        welcome = structs.replace(self._welcome(), **changes)
        for stream in list(self._streams):
            async with self._sending:
                await stream.send(b"".join(frames.pack([codec.encode(welcome)])))

    async def _serve(self, stream: SocketStream) -> None:
        self._streams.add(stream)
        self.connections += 1
        try:
            async with stream, anyio.create_task_group() as tasks:
                await self._talk(stream, tasks)
                tasks.cancel_scope.cancel()
        except* (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass
        finally:
            self._streams.discard(stream)

    async def _talk(self, stream: SocketStream, tasks: TaskGroup) -> None:
        cutter = frames.FrameCutter(self.max_frame_bytes)
        greeted = False
        while True:
            data = await stream.receive()
            await self._running.wait()
            for payload in cutter.feed(data):
                if not greeted:
                    codec.decode_batch(payload, Greeting)
                    await stream.send(self._reception())
                    greeted = True
                else:
                    await self._take(codec.decode_batch(payload, Request), stream, tasks)

    def _reception(self) -> bytes:
        if self.welcome_bytes is not None:
            return self.welcome_bytes
        return b"".join(frames.pack([codec.encode(self.refusal or self._welcome())]))

    def _welcome(self) -> ClientWelcome:
        return ClientWelcome(
            VERSION,
            "test-cluster",
            self.cluster.formation,
            self.name,
            self.cluster.members(),
            self.max_value_bytes,
            self.max_frame_bytes,
            self.max_in_flight,
            self.cluster.epoch,
            tuple(Member(node.name, node.address, 0) for node in self.cluster.observers),
            self.cluster.restored_ms,
        )

    async def _take(self, batch: Sequence[Any], stream: SocketStream, tasks: TaskGroup) -> None:
        pings = [request for request in batch if isinstance(request, ClientPing)]
        self.pings += len(pings)
        for ping in pings:
            tasks.start_soon(self._reply, stream, ping, self._pong(ping))
        batch = [request for request in batch if not isinstance(request, ClientPing)]
        if not batch:
            return
        self.frames.append(list(batch))
        self.requests += batch
        self._seen.set()
        self._seen = anyio.Event()
        for request in batch:
            if not isinstance(request, Cancel):
                answer = self.script(self, request) if self.script else AsUsual
                tasks.start_soon(self._reply, stream, request, answer)

    async def _pong(self, ping: ClientPing) -> ClientPong:
        await anyio.sleep(self.pong_s)
        return ClientPong(ping.id)

    async def _reply(self, stream: SocketStream, request: Any, answer: Any) -> None:
        if isinstance(answer, Awaitable):
            answer = await answer
        half = answer is Half
        if answer is AsUsual or half:
            answer = await self._honest(request)
        await self._running.wait()
        if answer is HangUp:
            await anyio.aclose_forcefully(stream)
        elif answer is Garbage:
            await stream.send(frames.frame(b"\xff\x00garbage"))
        elif answer is not Silence:
            data = b"".join(frames.pack([codec.encode(answer)]))
            async with self._sending:
                await stream.send(data[: len(data) // 2] if half else data)
                if half:
                    self.halt()

    async def say(self, data: bytes) -> None:
        """Send raw bytes on all connections."""
        for stream in list(self._streams):
            await stream.send(data)

    async def _honest(self, request: Any) -> Any:
        decrees = self.cluster.decrees
        match request:
            case ClaimRequest(id=id, claim=claim):
                return Decreed(id, self.cluster.decide(self.freeze(claim)))
            case ClaimNextRequest(id=id, claim=claim):
                return Decreed(id, self._next(claim))
            case GetRequest(id=id, key=key):
                return Decreed(id, decrees[key]) if key in decrees else Undecided(id)
            case WaitRequest(id=id, key=key):
                return await self._wait(request)
            case LatestRequest(id=id, series=series):
                slots = [d for key, d in decrees.items() if key.partition("@")[0] == series]
                return Decreed(id, slots[-1]) if slots else Undecided(id)
            case ListRequest(id=id):
                return self._list(request)
            case WatchRequest():
                return await self._watch(request)
            case StatusRequest(id=id):
                who = (self.name, self.address, "test-cluster", FORMATION, 1)
                return StatusReport(id, *who, "0", True, "", 0, 0, 2, 2, 1, ())
            case _:
                return Failed(request.id, 1, "no such request")

    def freeze(self, claim: Claim) -> Decree:
        return Decree.of(claim, Ballot(1, Process(self.name, 1)), 0)

    def _next(self, claim: Claim) -> Decree:
        series, _, first = claim.key.partition("@")
        slot = int(first)
        while (taken := self.cluster.decrees.get(f"{series}@{slot}")) is not None:
            if taken.claim_id == claim.claim_id:
                return taken
            slot += 1
        parts = [getattr(claim, name) for name in claim.__struct_fields__[1:]]
        return self.cluster.decide(self.freeze(Claim(Key(f"{series}@{slot}"), *parts)))

    async def _wait(self, request: WaitRequest) -> Any:
        with anyio.move_on_after(request.timeout_ms / 1000):
            while request.key not in self.cluster.decrees:
                await self.cluster.changed.wait()
            return Decreed(request.id, self.cluster.decrees[request.key])
        return Undecided(request.id)

    def _list(self, request: ListRequest) -> ListPage | PackedPage:
        found = sorted(
            (d for d in self.cluster.decrees.values() if matches(request.prefix, d.key)),
            key=lambda decree: sort_key(decree.key),
        )
        rest = [d for d in found if sort_key(d.key) > sort_key(request.after)]
        page = tuple(rest[: request.limit])
        next_after = page[-1].key if len(rest) > len(page) else None
        if request.whole:
            return PackedPage(request.id, pack_decrees(page), next_after)
        return ListPage(request.id, page, next_after)

    async def _watch(self, request: WatchRequest) -> WatchPage:
        here = self.position()
        if request.since is None:
            return WatchPage(request.id, (), here, False)
        if (request.since.node, request.since.feed) != (here.node, here.feed):
            return WatchPage(request.id, (), here, True)
        with anyio.move_on_after(request.timeout_ms / 1000):
            while len(self.cluster.decrees) <= request.since.index:
                await self.cluster.changed.wait()
        news = list(self.cluster.decrees.values())[request.since.index :]
        found = tuple(decree for decree in news if matches(request.prefix, decree.key))
        return WatchPage(request.id, found, self.position(), False)

    def position(self) -> Position:
        formation = self.cluster.formation or b"-"
        disk = (self.name.encode() + formation[:1]).ljust(16, b"-")
        return Position(self.name, disk, len(self.cluster.decrees))


@asynccontextmanager
async def cluster_of(count: int) -> AsyncIterator[FakeCluster]:
    """A running fake cluster of nodes ``n1``, ``n2``, …"""
    cluster = FakeCluster()
    cluster.nodes = [FakeNode(f"n{number}", cluster) for number in range(1, count + 1)]
    async with anyio.create_task_group() as tasks:
        for node in cluster.nodes:
            await node.start(tasks)
        try:
            yield cluster
        finally:
            tasks.cancel_scope.cancel()


@contextmanager
def running_cluster(count: int) -> Iterator[FakeCluster]:
    """A fake cluster on a thread of its own, for blocking tests."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(cluster_of(count)) as cluster,
    ):
        yield cluster
