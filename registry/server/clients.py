"""Connections of clients: requests in, answers out, bounds kept on both.

Reading pauses while a client has as many requests in flight as it may, or as many bytes of values,
or while all clients together have; and while the node's inbox is full. A client that does not read
its answers is dropped when too many bytes wait for it; and when too many wait for all clients
together, those go first for whom most waits. So nothing that clients do makes the node's memory grow
without end.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import cast

import trio
from msgspec import Struct, field

from ..config import ClusterConfig
from ..replica.effects import Reply
from ..replica.events import ClientGone, FromClient
from ..replica.names import named
from ..replica.node import Node
from ..wire.frames import TARGET_BYTES, portions
from ..wire.handshake import VERSION, ClientHello, ClientWelcome, Member
from ..wire.requests import Answer, Cancel, ClientPing, Request
from . import log
from .backlog import Backlog
from .budget import Budget
from .connections import Connection, choose_version
from .outbox import Outbox
from .pieces import Encoded, Pieces, encode_answer
from .sockets import Sockets
from .turns import TurnLoop
from .weights import weight

LIGHT_BYTES = 4_096
"""A request with a value up to this counts by number alone, and never waits for others' bytes."""

UNBOUNDED = frozenset((Cancel, ClientPing))
"""They never wait for room: a client says them about requests that have taken all there was."""

_TO = attrgetter("to")

_SIZE = attrgetter("outbox.size")

PORTION = 256
"""Answers that are queued together; more together would cost no less each."""


class Client(Struct, eq=False):
    """One connected client; it takes its requests (`Taker`).

    Attributes:
        number: its connection, as the replica knows it.
        name: its address, for the logs.
        outbox: its answers.
        scope: ends its connection.
        budget: bounds the bytes of its requests in flight.
        shared: bounds those of all clients together.
        max_in_flight: bounds the number of its requests in flight.
        loop: where its requests go.
        draining: is set when no more requests are taken.
        answers: those of this turn, not encoded yet.
        weights: the bytes of its requests in flight, by id; a careless client repeats an id.
        in_flight: how many requests are in flight.
        answered: where is waited for fewer in flight.
    """

    number: int
    name: str
    outbox: Outbox
    scope: trio.CancelScope
    budget: Budget
    shared: Budget
    max_in_flight: int
    loop: TurnLoop
    draining: trio.Event
    answers: list[Answer] = []
    weights: dict[int, list[int]] = {}
    in_flight: int = 0
    answered: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def take(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Take requests as far as there is room for them; returns the rest."""
        if self.draining.is_set() or not self.loop.has_room_for(self.number):
            return requests
        count, size = self._admit(requests)
        if count:
            self.loop.post(FromClient(self.number, tuple(map(named, requests[:count]))), size)
        return requests[count:]

    async def room(self, request: Request) -> None:
        """Wait until `request` may be taken."""
        if self.draining.is_set():
            await trio.sleep_forever()
        await self.loop.room(self.number)
        if type(request) not in UNBOUNDED:
            while self.in_flight >= self.max_in_flight:
                await self.answered.park()
            size = weight(request)
            if size > LIGHT_BYTES:
                await self.budget.room(size)
                await self.shared.room(size)

    def take_answers(self) -> list[Answer]:
        """The answers of this turn, on their way now: their requests make room."""
        answers, self.answers = self.answers, []
        self.in_flight -= len(answers)
        for answer in answers if self.weights else ():
            self._lighten(answer.id)
        if self.answered:
            self.answered.unpark_all()
        return answers

    def _admit(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Hold the room that the first requests take, as many as there is room for.

        Returns:
            How many these are, and the bytes of their values.
        """
        count = total = begun = 0
        room = self.max_in_flight - self.in_flight
        for request in requests:
            size = weight(request)
            if type(request) not in UNBOUNDED:
                if begun >= room or (size > LIGHT_BYTES and not self._hold(request.id, size)):
                    break
                begun += 1
            elif type(request) is ClientPing:
                begun, room = begun + 1, room + 1
            count += 1
            total += size
        self.in_flight += begun
        return count, total

    def _hold(self, request_id: int, size: int) -> bool:
        """Hold the bytes of a large request, if there is room for them here and in all."""
        if not (self.budget.has_room(size) and self.shared.has_room(size)):
            return False
        self.budget.take(size)
        self.shared.take(size)
        self.weights.setdefault(request_id, []).append(size)
        return True

    def _lighten(self, request_id: int) -> None:
        sizes = self.weights.pop(request_id, [])
        if sizes:
            size = sizes.pop()
            self.budget.give_back(size)
            self.shared.give_back(size)
        if sizes:
            self.weights[request_id] = sizes


class Clients:
    """All connected clients of a node.

    Args:
        config: members and bounds.
        node: who we are.
        sockets: where requests are read.
    """

    def __init__(self, config: ClusterConfig, node: Node, sockets: Sockets) -> None:
        self._config = config
        self._sockets = sockets
        self._node = node
        self._clients: dict[int, Client] = {}
        self._touched: set[Client] = set()
        self._count = 0
        self._budget = Budget(config.limits.max_all_in_flight_bytes)
        self._backlog = Backlog(config.limits.max_all_client_queue_bytes)
        self._draining = trio.Event()

    @property
    def count(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @property
    def held_bytes(self) -> int:
        """The bytes of large values asked for, and of the answers that wait."""
        return self._budget.held + self._backlog.held

    def deliver(self, replies: Iterable[Reply]) -> None:
        """Queue answers; those that nobody waits for any more are dropped."""
        for connection, together in groupby(replies, _TO):
            client = self._clients.get(connection)
            if client is not None:
                client.answers += [reply.answer for reply in together]
                self._touched.add(client)

    def flush(self) -> None:
        """Send what this turn has queued."""
        for client in self._touched:
            if client.number in self._clients:  # who is dropped meanwhile is sent nothing more
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
        """End a client's connection, and give back at once what waits for it."""
        log.strangers(event, client.name, bytes=client.outbox.size)
        client.outbox.close()
        client.scope.cancel()
        self._clients.pop(client.number, None)

    async def serve(self, connection: Connection, hello: ClientHello, loop: TurnLoop) -> None:
        """Welcome a client and serve it until it goes.

        Raises:
            Refused: if it speaks no protocol version that we do.
            ProtocolError: if it sends what is no request.
        """
        choose_version(hello.lowest_version, hello.highest_version, VERSION)
        await connection.send(self._welcome())
        async with trio.open_nursery() as nursery:
            client = self._welcomed(connection, nursery.cancel_scope, loop)
            try:
                nursery.start_soon(client.outbox.write_to, connection.stream)
                await connection.read(Request, client, self._sockets)
                nursery.cancel_scope.cancel()
            finally:
                self._clients.pop(client.number, None)
                client.outbox.close()
                self._budget.give_back(sum(map(sum, client.weights.values())))
                loop.post(ClientGone(client.number))

    def _welcomed(self, connection: Connection, scope: trio.CancelScope, loop: TurnLoop) -> Client:
        """A client more."""
        limits = self._config.limits
        self._count += 1
        client = self._clients[self._count] = Client(
            self._count,
            connection.peer_name,
            Outbox(limits.max_client_queue_bytes, connection.send_some, self._backlog),
            scope,
            Budget(limits.max_in_flight_bytes),
            self._budget,
            limits.max_in_flight,
            loop,
            self._draining,
        )
        return client

    def stop_reading(self) -> None:
        """Take no more requests."""
        self._draining.set()

    async def drained(self) -> None:
        """Wait until all answers have been handed to the system."""
        for client in list(self._clients.values()):
            await client.outbox.drained()

    def _welcome(self) -> ClientWelcome:
        limits = self._config.limits
        return ClientWelcome(
            VERSION,
            self._config.cluster_id,
            self._node.identity.formation,
            self._node.name,
            tuple(Member(node, address) for node, address in self._config.addresses),
            limits.max_value_bytes,
            limits.max_frame_bytes,
            limits.max_in_flight,
        )


def _together(some: list[Encoded]) -> tuple[Encoded, int]:
    """A portion as it is queued; pieces come alone, since they are larger than a portion may be."""
    first = some[0]
    if isinstance(first, Pieces):
        return first, 1
    return b"".join(cast(list[bytes], some)), len(some)
