"""Connections of clients: requests in, answers out, both bounded.

Reading pauses while a client has too many requests or bytes of values in flight, while all clients
together have too many bytes in flight, and while the node's inbox is full. A client that does not read
its answers is dropped when too many bytes wait for it. When too many wait for all clients together, the
client with most of them is dropped first. So no behaviour of clients makes the node's memory grow
without a bound.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import cast

import trio
from msgspec import Struct, field

from ..config import ClusterConfig
from ..replica.requests.validation import named
from ..replica.step.effects import Reply
from ..replica.step.events import ClientGone, Crowded, FromClient
from ..replica.step.node import Node
from ..wire.frames import TARGET_BYTES, portions
from ..wire.handshake import VERSION, ClientHello, ClientWelcome, Member
from ..wire.requests import Answer, Cancel, ClientPing, Request
from . import log
from .backlog import Backlog
from .budget import Budget
from .connections import Connection, choose_version
from .crowd import ClientShare, Crowd
from .node_loop import NodeLoop
from .outbox import Outbox
from .pieces import Encoded, Pieces, encode_answer
from .sockets import Sockets
from .weights import size

LIGHT_BYTES = 4_096
"""A request up to this never waits for others' bytes."""

USUAL_BYTES = 256
"""A request up to this counts by number alone."""

UNBOUNDED = frozenset((Cancel, ClientPing))
"""Never wait for room: a client sends them about requests that have used up all the room."""

_TO = attrgetter("to")

_SIZE = attrgetter("outbox.size")

PORTION = 256
"""How many answers are queued together; larger portions would not be cheaper per answer."""


class Client(Struct, eq=False):
    """One connected client; it takes its requests (`Taker`).

    Attributes:
        number: the number of its connection at the replica.
        name: its address, for the logs.
        outbox: its answers.
        scope: ends its connection.
        budget: bounds the bytes of its requests in flight.
        shared: bounds the bytes of all clients together.
        max_in_flight: bounds the number of its requests in flight.
        loop: where its requests go.
        draining: is set when no more requests are taken.
        answers: those of this turn, not encoded yet.
        crowd: counts the requests of all clients.
        weights: the bytes of its requests in flight, by id; a careless client repeats an id.
        held: its requests in flight.
        answered: where is waited for fewer in flight.
    """

    number: int
    name: str
    outbox: Outbox
    scope: trio.CancelScope
    budget: Budget
    shared: Budget
    max_in_flight: int
    loop: NodeLoop
    draining: trio.Event
    crowd: Crowd
    answers: list[Answer] = []
    weights: dict[int, list[int]] = {}
    held: ClientShare = field(default_factory=ClientShare)
    answered: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def take(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Take requests as far as there is room for them; returns the rest."""
        count = total = 0
        if not self.draining.is_set() and self.loop.has_room_for(self.number):
            count, total = self._admit(requests)
        if count:
            self.loop.post(FromClient(self.number, tuple(map(named, requests[:count]))), total)
        self.crowd.leave_untaken(self.held, len(requests) - count)
        return requests[count:]

    async def room(self, request: Request) -> None:
        """Wait until `request` may be taken."""
        if self.draining.is_set():
            await trio.sleep_forever()
        await self.loop.room(self.number)
        if type(request) not in UNBOUNDED:
            while self.held.requests >= self.max_in_flight:
                await self.answered.park()
            weight = size(request)
            if weight > LIGHT_BYTES:
                await self.budget.room(weight)
                await self.shared.room(weight)

    def take_answers(self) -> list[Answer]:
        """Take the answers of this turn to send them; frees the room of their requests."""
        answers, self.answers = self.answers, []
        lighter = sum(self._lighten(answer.id) for answer in answers) if self.weights else 0
        self.crowd.take(self.held, -len(answers), -lighter)
        if self.answered:
            self.answered.unpark_all()
        return answers

    def _admit(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Reserve room for as many requests as fit, in order.

        Returns:
            How many these are, and the bytes of their values and texts.
        """
        count = total = begun = further = 0
        room = self.max_in_flight - self.held.requests
        for request in requests:
            weight = size(request)
            if type(request) not in UNBOUNDED:
                if begun >= room or (weight > LIGHT_BYTES and not self._hold(weight)):
                    break
                begun += 1
                if weight > USUAL_BYTES:
                    self.weights.setdefault(request.id, []).append(weight)
                    further += _further(weight)
            elif type(request) is ClientPing:
                begun, room = begun + 1, room + 1
            count += 1
            total += weight
        self.crowd.take(self.held, begun, further)
        return count, total

    def _hold(self, weight: int) -> bool:
        """Hold the bytes of a large request, if there is room for them here and in all."""
        if not (self.budget.has_room(weight) and self.shared.has_room(weight)):
            return False
        self.budget.take(weight)
        self.shared.take(weight)
        return True

    def _lighten(self, request_id: int) -> int:
        """Give back what a request took; returns what that is of all that counts in the crowd."""
        weights = self.weights.pop(request_id, [])
        if not weights:
            return 0
        weight = weights.pop()
        if weights:
            self.weights[request_id] = weights
        if weight > LIGHT_BYTES:
            self.budget.give_back(weight)
            self.shared.give_back(weight)
        return _further(weight)

    def leave(self) -> None:
        """It has gone: give back all that it held."""
        self.outbox.close()
        self.shared.give_back(self.budget.held)
        self.budget.give_back(self.budget.held)
        self.weights.clear()
        self.crowd.go(self.held)


class Clients:
    """All connected clients of a node.

    Args:
        config: members and bounds.
        node: this node.
        sockets: where requests are read.
    """

    def __init__(self, config: ClusterConfig, node: Node, sockets: Sockets) -> None:
        self._config = config
        self._sockets = sockets
        self._node = node
        self._clients: dict[int, Client] = {}
        self._touched: set[Client] = set()
        self._count = self._arriving = 0
        self._crowd = Crowd(config.limits.max_all_requests_bytes)
        self._budget = Budget(config.limits.max_all_in_flight_bytes)
        self._backlog = Backlog(config.limits.max_all_client_queue_bytes)
        self._draining = trio.Event()

    @property
    def count(self) -> int:
        """How many clients are connected."""
        return len(self._clients) + self._arriving

    @property
    def held_bytes(self) -> int:
        """The bytes of requests, of large values asked for, and of the answers that wait."""
        return self._crowd.held + self._budget.held + self._backlog.held

    def crowded(self) -> Sequence[Crowded]:
        """Whose requests are to be refused, since all together are too many."""
        if not self._crowd.is_over:
            return ()
        refusals = self._crowd.refusals({n: one.held for n, one in self._clients.items()})
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

    async def serve(self, connection: Connection, hello: ClientHello, loop: NodeLoop) -> None:
        """Welcome a client and serve it until it goes.

        Raises:
            Refused: if it supports no protocol version of ours.
            ProtocolError: if it sends a malformed request.
        """
        choose_version(hello.lowest_version, hello.highest_version, VERSION)
        self._arriving += 1  # they count from now on, however many greet at the same time
        try:
            await connection.send(self._welcome())
        finally:
            self._arriving -= 1
        async with trio.open_nursery() as nursery:
            client = self._welcomed(connection, nursery.cancel_scope, loop)
            try:
                nursery.start_soon(client.outbox.write_to, connection.stream)
                await connection.read(Request, client, self._sockets)
                nursery.cancel_scope.cancel()
            finally:
                self._clients.pop(client.number, None)
                client.leave()
                loop.post(ClientGone(client.number))

    def _welcomed(self, connection: Connection, scope: trio.CancelScope, loop: NodeLoop) -> Client:
        """Register a new client."""
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
            self._crowd,
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


def _further(weight: int) -> int:
    """What a request takes in the crowd beyond the usual; one that is large counts elsewhere."""
    return weight if USUAL_BYTES < weight <= LIGHT_BYTES else 0


def _together(some: list[Encoded]) -> tuple[Encoded, int]:
    """A portion for the queue; pieces come alone, since they are larger than a portion may be."""
    first = some[0]
    if isinstance(first, Pieces):
        return first, 1
    return b"".join(cast(list[bytes], some)), len(some)
