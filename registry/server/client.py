"""One connected client: takes its requests as far as there is room; its answers free the room."""

from collections.abc import Callable, Sequence

import trio
from msgspec import Struct, field

from ..audit import Speaker
from ..identity import Identity
from ..replica.step.events import FromClient
from ..wire.gateways import ClientMessage, kind_of
from ..wire.requests import Answer, Cancel, ClientPing
from .budget import Budget
from .callers import EXEMPT, UNUSUAL, Caller, Callers, failed
from .connections import Connection
from .crowd import ClientShare, Crowd
from .gateways import by_identity
from .node_loop import NodeLoop
from .outbox import Outbox
from .weights import size

LIGHT_BYTES = 4_096
"""A request up to this never waits for others' bytes."""

USUAL_BYTES = 256
"""A request up to this counts by number alone."""

UNBOUNDED = frozenset((Cancel, ClientPing))
"""Never wait for room: a client sends them about requests that have used up all the room."""


class Client(Struct, eq=False):
    """One connected client; it takes its requests (`Taker`).

    Attributes:
        number: the number of its connection at the replica.
        name: its address, for the logs.
        identity: who it is, as its connection has proven it; each of its requests has this one (S07).
        version: the protocol version that it speaks.
        outbox: its answers.
        scope: ends its connection.
        budget: bounds the bytes of its requests in flight.
        shared: bounds the bytes of all clients together.
        max_in_flight: bounds the number of its requests in flight.
        loop: where its requests go.
        draining: is set when no more requests are taken.
        answers: those of this turn, not encoded yet.
        crowd: counts the requests of all clients.
        connection: its connection.
        unusual: what the work of some of its requests in flight is beyond that of a usual one, by id.
        weights: the bytes of its requests in flight, by id; a careless client repeats an id.
        held: its requests in flight.
        answered: where is waited for fewer in flight.
        caller: whose it is; `callers` has its limits.
        flush: sends what is in `answers`.
        paused_until_ms: when it is read again, after it was told that it is over a limit.
    """

    number: int
    name: str
    identity: Identity
    version: int
    outbox: Outbox
    scope: trio.CancelScope
    budget: Budget
    shared: Budget
    max_in_flight: int
    loop: NodeLoop
    draining: trio.Event
    crowd: Crowd
    connection: Connection
    caller: Caller
    callers: Callers
    flush: Callable[["Client"], None]
    answers: list[Answer] = []
    unusual: dict[int, int] = {}
    weights: dict[int, list[int]] = {}
    held: ClientShare = field(default_factory=ClientShare)
    answered: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)
    paused_until_ms: float = 0.0

    @property
    def speaker(self) -> Speaker:
        """Who it is, for the audit log."""
        return Speaker(str(self.identity), self.name)

    def take(self, requests: Sequence[ClientMessage]) -> Sequence[ClientMessage]:
        """Take requests as far as there is room for them; returns the rest."""
        count = total = 0
        may_take = not self.draining.is_set() and not self._pause_ms()
        if may_take and self.loop.has_room_for(self.number):
            held = self.held.requests
            count, total = self._admit(requests)
            taken = self._within_limits(requests[:count])
            self.caller.requests += self.held.requests - held
            self._note_work(requests[:count])
            for identity, asked in by_identity(taken, self.identity) if taken else ():
                self.loop.post(FromClient(self.number, asked, identity), total, self.caller.number)
                total = 0
            if len(taken) < count:
                self.flush(self)
        self.crowd.leave_untaken(self.held, len(requests) - count)
        return requests[count:]

    async def room(self, request: ClientMessage) -> None:
        """Wait until `request` may be taken."""
        if self.draining.is_set():
            await trio.sleep_forever()
        await trio.sleep(self._pause_ms() / 1e3)
        await self.loop.room(self.number)
        if type(request) not in UNBOUNDED:
            while self.held.requests >= self.max_in_flight:
                await self.answered.park()
            weight = size(request)
            if kind_of(request) not in EXEMPT:
                await self.callers.turn(self.caller, weight if weight > LIGHT_BYTES else 0)
            if weight > LIGHT_BYTES:
                for budget in (self.budget, self.caller.budget, self.shared):
                    await budget.room(weight)

    def take_answers(self) -> list[Answer]:
        """Take the answers of this turn to send them; frees the room of their requests."""
        answers, self.answers = self.answers, []
        lighter = sum(self._lighten(answer.id) for answer in answers) if self.weights else 0
        self.crowd.take(self.held, -len(answers), -lighter)
        self._note_answered(answers)
        if self.answered:
            self.answered.unpark_all()
        return answers

    def _note_work(self, requests: Sequence[ClientMessage]) -> None:
        for request in requests:
            work = UNUSUAL.get(kind_of(request))
            if work is not None and request.id not in self.unusual:
                self.unusual[request.id] = work - 1
                self.caller.further += work - 1

    def _note_answered(self, answers: Sequence[Answer]) -> None:
        caller = self.caller
        caller.requests -= len(answers)
        if self.unusual:
            caller.further -= sum(self.unusual.pop(answer.id, 0) for answer in answers)
        if answers:
            caller.answered_ms = self.callers.now_ms()
            if caller.freed:
                caller.freed.unpark_all()

    def _pause_ms(self) -> float:
        """For how long it is not read, since it is over a limit."""
        if not self.paused_until_ms:
            return 0.0
        left_ms = self.paused_until_ms - self.callers.now_ms()
        if left_ms <= 0:
            self.paused_until_ms = left_ms = 0.0
        return left_ms

    def _within_limits(self, requests: Sequence[ClientMessage]) -> Sequence[ClientMessage]:
        """S21: answer those that are over a limit of the caller, and return the others."""
        over = self.callers.over(self.caller, requests)
        if not over:
            return requests
        self.answers += [failed(requests[place], each) for place, each in over.items()]
        wait_ms = max(each.wait_ms for each in over.values())
        self.paused_until_ms = self.callers.now_ms() + wait_ms
        return [one for place, one in enumerate(requests) if place not in over]

    def _admit(self, requests: Sequence[ClientMessage]) -> tuple[int, int]:
        """Reserve room for as many requests as fit, in order.

        Returns:
            How many these are, and the bytes of their values and texts.
        """
        count = total = begun = further = 0
        room = self.max_in_flight - self.held.requests
        window = self.callers.window(self.caller)
        for request in requests:
            weight = size(request)
            if type(request) not in UNBOUNDED:
                if window is not None and kind_of(request) not in EXEMPT:
                    if window <= 0:
                        break
                    window -= UNUSUAL.get(kind_of(request), 1)
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
        budgets = (self.budget, self.caller.budget, self.shared)
        if not all(budget.has_room(weight) for budget in budgets):
            return False
        if not self.callers.has_room(self.caller, weight):
            return False
        self.callers.hold(self.caller, weight)
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
            self._give_back(weight)
        return _further(weight)

    def _give_back(self, weight: int) -> None:
        self.callers.give_back(self.caller, weight)
        self.budget.give_back(weight)
        self.shared.give_back(weight)

    def leave(self) -> None:
        """It has gone: give back all that it held."""
        self.outbox.close()
        self._give_back(self.budget.held)
        self.weights.clear()
        self.caller.requests -= self.held.requests
        self.caller.further -= sum(self.unusual.values())
        self.unusual.clear()
        self.caller.freed.unpark_all()
        self.crowd.go(self.held)


def _further(weight: int) -> int:
    """What a request takes in the crowd beyond the usual; one that is large counts elsewhere."""
    return weight if USUAL_BYTES < weight <= LIGHT_BYTES else 0
