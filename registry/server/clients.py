"""Connections of clients: requests in, answers out, both bounded.

Reading pauses while a client has too many requests or bytes of values in flight, while all clients
together or all of its caller have too many bytes in flight, and while the node's inbox is full. What is
over a limit of its caller is answered with `Busy` at once, and its connection is not read for the time
that it says (`callers`). When all places are taken, one who has few of them gets one of him who has
most. A client that does not read
its answers is dropped when too many bytes wait for it. When too many wait for all clients together, the
client with most of them is dropped first. So no behaviour of clients makes the node's memory grow
without a bound.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import cast

import trio

from ..audit import NOBODY, Speaker, came_as_node
from ..config import ClusterConfig
from ..errors import Busy
from ..replica.member_addresses import AddressBook
from ..replica.step.effects import Reply
from ..replica.step.events import ClientGone, Crowded
from ..replica.step.node import Node
from ..wire.codec import encode
from ..wire.frames import TARGET_BYTES, portions
from ..wire.gateways import ClientMessage
from ..wire.handshake import ClientHello, ClientWelcome
from . import log
from .backlog import Backlog
from .budget import Budget
from .callers import Caller, Callers
from .client import Client
from .connections import Connection
from .crowd import Crowd
from .node_loop import NodeLoop
from .outbox import Outbox
from .pieces import Encoded, Pieces, encode_answer
from .sockets import Sockets
from .versions import choose_version

REMEMBERED = 1_024
"""The clients that have gone which are remembered at most."""

_TO = attrgetter("to")

_SIZE = attrgetter("outbox.size")
_PLACES = attrgetter("caller.connections")

PORTION = 256
"""How many answers are queued together; larger portions would not be cheaper per answer."""


class Clients:
    """All connected clients of a node.

    Args:
        config: members and bounds.
        node: this node.
        addresses: where the members are.
        sockets: where requests are read.
    """

    def __init__(
        self, config: ClusterConfig, node: Node, addresses: AddressBook, sockets: Sockets
    ) -> None:
        self._config = config
        self._addresses = addresses
        self._sockets = sockets
        self._node = node
        self._clients: dict[int, Client] = {}
        self._gone: dict[int, Speaker] = {}
        self._touched: set[Client] = set()
        self._count = self._arriving = 0
        self._crowd = Crowd(config.limits.max_all_requests_bytes)
        self._budget = Budget(config.limits.max_all_in_flight_bytes)
        self.callers = Callers(config.limits)
        self._backlog = Backlog(config.limits.max_all_client_queue_bytes)
        self._draining = trio.Event()

    @property
    def count(self) -> int:
        """How many clients are connected."""
        return len(self._clients) + self._arriving

    def speaker(self, connection: int) -> Speaker:
        """Who is at a connection, or was until lately."""
        client = self._clients.get(connection)
        return client.speaker if client is not None else self._gone.get(connection, NOBODY)

    @property
    def held_bytes(self) -> int:
        """The bytes of requests, of large values asked for, and of the answers that wait."""
        return self._crowd.held + self._budget.held + self._backlog.held

    def crowded(self) -> Sequence[Crowded]:
        """Whose requests are to be refused, since all together are too many."""
        if not self._crowd.is_over:
            return ()
        holders = {n: one.held for n, one in self._clients.items()}
        refusals = self._crowd.refusals(holders, lambda n: self._clients[n].caller.number)
        if refusals:
            most = max(refusals, key=lambda number: refusals[number])
            event = "too many requests wait; the newest of the clients with most are refused"
            log.strangers(event, self._clients[most].name, refused=refusals[most])
        return [Crowded(number, count) for number, count in refusals.items()]

    def deliver(self, replies: Iterable[Reply]) -> None:
        """Queue answers; answers to clients that have gone are dropped."""
        for connection, together in groupby(replies, _TO):
            client = self._clients.get(connection)
            if client is not None:
                client.answers += [reply.answer for reply in together]
                self._touched.add(client)

    def flush(self) -> None:
        """Send what this turn has queued."""
        for client in self._touched:
            if client.number in self._clients:  # it may have been dropped meanwhile
                self._flush(client)
        self._touched.clear()

    def _flush(self, client: Client) -> None:
        encoded = map(encode_answer, client.take_answers())
        for some in portions(encoded, len, TARGET_BYTES // 2, PORTION):
            if not client.outbox.put(*_together(some)):
                self._drop(client, "a client does not read its answers; dropped")
                return
        client.outbox.flush()
        while self._backlog.is_over:
            largest = max(self._clients.values(), key=_SIZE)
            self._drop(largest, "too many answers wait; the client with most of them is dropped")

    def _drop(self, client: Client, event: str) -> None:
        """End a client's connection, and free its waiting answers immediately."""
        log.strangers(event, client.name, bytes=client.outbox.size)
        client.outbox.close()
        client.scope.cancel()
        self._clients.pop(client.number, None)

    def leave(self, cut: Collection[Connection]) -> list[int]:
        """Answer these connections no more; returns their numbers at the replica."""
        left = [client for client in self._clients.values() if client.connection in cut]
        for client in left:
            client.outbox.close()
            self._clients.pop(client.number, None)
            self._remember(client)
        return [client.number for client in left]

    def welcome_again(self) -> None:
        """Tell all clients that addresses have changed."""
        for client in list(self._clients.values()):
            self._tell(client)

    def _tell(self, client: Client) -> None:
        encoded = encode(self._welcome(client.version))
        if client.outbox.put(encoded):
            client.outbox.flush()
        else:
            self._drop(client, "a client does not read its answers; dropped")

    async def serve(self, connection: Connection, hello: ClientHello, loop: NodeLoop) -> None:
        """Welcome a client and serve it until it goes.

        Raises:
            Busy: if it, or its caller, gets no place.
            Refused: if it supports no protocol version of ours.
            ProtocolError: if it sends a malformed request.
        """
        version = choose_version(hello.lowest_version, hello.highest_version)
        caller = self.callers.enter(connection.identity, connection.host)
        try:
            self._make_place(caller)
            await self._serve(connection, version, caller, loop)
        finally:
            self.callers.leave(caller)

    def _make_place(self, caller: Caller) -> None:
        """When all places are taken, take the newest of who has most, if that has more than this one.

        So nobody locks out those that have fewer. The bound is for clients only, so that they never
        lock out peers.

        Raises:
            Busy: if nobody has more.
        """
        limit = self._config.limits.max_connections
        if self.count < limit:
            return
        most = max(self._clients.values(), key=_PLACES, default=None)
        if most is None or most.caller.connections <= caller.connections:
            message = f"{limit} connections are open, which is the limit; try again later"
            raise Busy(message)
        newest = next(one for one in reversed(self._clients.values()) if one.caller is most.caller)
        event = "all places are taken; a client of whom has most of them is dropped for another's"
        self._drop(newest, event)

    async def _serve(
        self, connection: Connection, version: int, caller: Caller, loop: NodeLoop
    ) -> None:
        self._arriving += 1  # they count from now on, however many greet at the same time
        told = self._addresses.moves
        try:
            await connection.send(self._welcome(version))
        finally:
            self._arriving -= 1
        async with trio.open_nursery() as nursery:
            client = self._welcomed(connection, version, caller, nursery.cancel_scope, loop)
            try:
                if client.identity.kind == "node":  # S24: an operator, on the machine of the node
                    loop.audit([came_as_node(client.number, client.identity.name)])
                if told != self._addresses.moves:
                    self._tell(client)
                nursery.start_soon(client.outbox.write_to, connection)
                await connection.read(ClientMessage, client, self._sockets)
                nursery.cancel_scope.cancel()
            finally:
                self._clients.pop(client.number, None)
                self._remember(client)
                client.leave()
                loop.post(ClientGone(client.number), caller=caller.number)

    def _welcomed(
        self,
        connection: Connection,
        version: int,
        caller: Caller,
        scope: trio.CancelScope,
        loop: NodeLoop,
    ) -> Client:
        """Register a new client."""
        limits = self._config.limits
        self._count += 1
        client = self._clients[self._count] = Client(
            self._count,
            connection.peer_name,
            connection.identity,
            version,
            Outbox(limits.max_client_queue_bytes, connection.send_some, self._backlog),
            scope,
            Budget(limits.max_in_flight_bytes),
            self._budget,
            limits.max_in_flight,
            loop,
            self._draining,
            self._crowd,
            connection,
            caller,
            self.callers,
            self._flush,
        )
        return client

    def _remember(self, client: Client) -> None:
        """Keep who a client was that has gone, for what is told of its requests."""
        self._gone[client.number] = client.speaker
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def stop_reading(self) -> None:
        """Take no more requests."""
        self._draining.set()

    async def drained(self) -> None:
        """Wait until all answers have been handed to the system."""
        for client in list(self._clients.values()):
            await client.outbox.drained()

    def _welcome(self, version: int) -> ClientWelcome:
        limits, restoration = self._config.limits, self._node.restoration
        return ClientWelcome(
            version,
            self._config.cluster_id,
            self._node.identity.formation,
            self._node.name,
            self._addresses.members,
            limits.max_value_bytes,
            limits.max_frame_bytes,
            limits.max_in_flight,
            self._node.epoch.number,
            self._addresses.observers,
            restoration.time_ms if restoration is not None else 0,
        )


def _together(some: list[Encoded]) -> tuple[Encoded, int]:
    """A portion for the queue; pieces come alone, since they are larger than a portion may be."""
    first = some[0]
    if isinstance(first, Pieces):
        return first, 1
    return b"".join(cast(list[bytes], some)), len(some)
