"""Connections of clients: requests in, answers out, bounds kept on both.

Reading pauses while a client has as many requests in flight as it may, or as many bytes of values,
or while all clients together have; and while the node's inbox is full. A client that does not read
its answers is dropped when too many bytes wait for it. So nothing that a client does makes the
node's memory grow without end.
"""

from contextlib import aclosing
from dataclasses import dataclass, field

import structlog
import trio

from ..config import ClusterConfig
from ..replica.events import ClientGone, FromClient
from ..replica.node import Node
from ..wire.handshake import VERSION, ClientHello, ClientWelcome, Member
from ..wire.requests import Cancel, Request
from .budget import Budget
from .connections import Connection, choose_version
from .outbox import Outbox
from .turns import TurnLoop
from .weights import weight

LIGHT_BYTES = 4_096
"""A request with a value up to this counts by number alone, and never waits for others' bytes."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Client:
    """One connected client.

    Attributes:
        outbox: its answers.
        scope: ends its connection.
        budget: bounds the bytes of its requests in flight.
        weights: the bytes of its requests in flight, by id; a careless client repeats an id.
        in_flight: how many requests are in flight.
        answered: is set and replaced at an answer, if somebody waits for room.
    """

    outbox: Outbox
    scope: trio.CancelScope
    budget: Budget
    weights: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    in_flight: int = 0
    answered: trio.Event = field(default_factory=trio.Event)


class Clients:
    """All connected clients of a node.

    Args:
        config: members and bounds.
        node: who we are.
    """

    def __init__(self, config: ClusterConfig, node: Node) -> None:
        self._config = config
        self._node = node
        self._clients: dict[int, Client] = {}
        self._touched: set[Client] = set()
        self._count = 0
        self._budget = Budget(config.limits.max_all_in_flight_bytes)
        self._draining = trio.Event()

    @property
    def count(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    def deliver(self, connection: int, request_id: int, encoded: bytes) -> None:
        """Queue an answer; one that nobody waits for any more is dropped."""
        client = self._clients.get(connection)
        if client is None:
            return
        client.in_flight -= 1
        self._lighten(client, request_id)
        if client.answered.statistics().tasks_waiting:
            client.answered.set()
            client.answered = trio.Event()
        self._touched.add(client)
        if not client.outbox.put(encoded):
            log.warning("a client does not read its answers; dropped", connection=connection)
            client.scope.cancel()

    def flush(self) -> None:
        """Send what this turn has queued."""
        for client in self._touched:
            client.outbox.flush()
        self._touched.clear()

    async def serve(self, connection: Connection, hello: ClientHello, loop: TurnLoop) -> None:
        """Welcome a client and serve it until it goes.

        Raises:
            Refused: if it speaks no protocol version that we do.
            ProtocolError: if it sends what is no request.
        """
        choose_version(hello.lowest_version, hello.highest_version, VERSION)
        await connection.send(self._welcome())
        self._count += 1
        number = self._count
        outbox = Outbox(self._config.limits.max_client_queue_bytes, connection.send_some)
        try:
            async with trio.open_nursery() as nursery:
                budget = Budget(self._config.limits.max_in_flight_bytes)
                client = Client(outbox, nursery.cancel_scope, budget)
                self._clients[number] = client
                nursery.start_soon(outbox.write_to, connection.stream)
                await self._read(connection, number, client, loop)
                nursery.cancel_scope.cancel()
        finally:
            gone = self._clients.pop(number, None)
            if gone is not None:
                self._budget.give_back(sum(map(sum, gone.weights.values())))
            loop.post(ClientGone(number))

    def stop_reading(self) -> None:
        """Take no more requests."""
        self._draining.set()

    async def drained(self) -> None:
        """Wait until all answers have been handed to the system."""
        for client in list(self._clients.values()):
            await client.outbox.drained()

    async def _read(
        self, connection: Connection, number: int, client: Client, loop: TurnLoop
    ) -> None:
        async with aclosing(connection.batches(Request)) as batches:
            async for batch in batches:
                for request in batch:
                    await loop.room()
                    await self._admit(number, client, request, loop)

    async def _admit(self, number: int, client: Client, request: Request, loop: TurnLoop) -> None:
        if self._draining.is_set():
            await trio.sleep_forever()
        if not isinstance(request, Cancel):
            while client.in_flight >= self._config.limits.max_in_flight:
                await client.answered.wait()
            await self._weigh(client, request)
            client.in_flight += 1
        loop.post(FromClient(number, request), weight(request))

    async def _weigh(self, client: Client, request: Request) -> None:
        """Wait until there is room for the bytes of a large request, here and in all."""
        size = weight(request)
        if size > LIGHT_BYTES:
            await client.budget.take(size)
            await self._budget.take(size)
            client.weights.setdefault(request.id, []).append(size)

    def _lighten(self, client: Client, request_id: int) -> None:
        """A request has been answered: its bytes make room."""
        sizes = client.weights.pop(request_id, [])
        if sizes:
            size = sizes.pop()
            client.budget.give_back(size)
            self._budget.give_back(size)
        if sizes:
            client.weights[request_id] = sizes

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
