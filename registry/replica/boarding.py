"""Who waits to be proposed under the standing promise, and when they leave.

One departure at a time is under way: who comes meanwhile leaves with the next. So load makes flights
larger, and not more of them. Nobody waits for another's missing votes for longer than `PATIENCE_MS`.
And who is answered claims again, as a rule: when more have just landed than wait, those who wait are
joined by them, or leave a moment later.

It decides when, and who goes together, and hands them over (`due`); what may be proposed at all is the
coordinator's to say.
"""

from collections.abc import Collection, Sequence
from math import inf

from msgspec import Struct

from ..locks.terms import is_term
from ..paxos.messages import MAX_FLIGHT
from ..paxos.proposer import Prepared
from ..types import Key
from .acceptors import LIGHT_BYTES
from .attempts import Attempt
from .events import Depart, Fired
from .flights import Flights
from .turn import Turn

PATIENCE_MS = 50.0
JOINING_MS = 1.0
MAX_BYTES_PER_CHAR = 4


class Due(Struct, frozen=True):
    """The attempts that may leave now, to be handled in this order.

    Attributes:
        unclaimed: nobody wants these to be proposed any more.
        alone: each is proposed by itself, and nobody waits for its votes.
        together: each group is proposed as a flight.
    """

    unclaimed: Sequence[Attempt] = ()
    alone: Sequence[Attempt] = ()
    together: Sequence[Sequence[Attempt]] = ()


NOTHING = Due()


class Boarding:
    """The attempts that are prepared by the standing promise and have not been proposed yet.

    Args:
        flights: what is under way.
    """

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        self._waiting: dict[Key, Attempt] = {}
        self._overdue = False
        self._serial = 0
        self._due_ms = inf

    @property
    def keys(self) -> Collection[Key]:
        """The instances that a departure needs."""
        return self._waiting

    def add(self, attempt: Attempt) -> None:
        """It may leave with the next departure."""
        self._waiting[attempt.key] = attempt

    def drop(self, key: Key) -> None:
        """The key is decided, or of no interest any more."""
        self._waiting.pop(key, None)

    def clear(self) -> None:
        """Drop everything, since the disk failed."""
        self._waiting.clear()

    def counts(self, timer: Depart) -> bool:
        """Whether nobody has left since the timer was set."""
        return timer.serial == self._serial

    def on_timer(self, timer: Depart) -> None:
        """Somebody has waited for long enough, if the timer counts."""
        if self.counts(timer):
            self._overdue, self._due_ms = True, inf

    def due(self, turn: Turn) -> Due:
        """All events of the step are handled: take out those who may leave (R18)."""
        overdue, self._overdue = self._overdue, False
        if not self._waiting:
            return NOTHING
        if self._flights.under_way and not overdue:
            self._be_patient(turn, PATIENCE_MS)
        elif self._are_joined(turn):
            self._be_patient(turn, JOINING_MS)
        elif not all(map(turn.has, self._waiting)):
            turn.again(Fired(Depart(self._serial)))  # in the next step, with their instances
        else:
            return self._take_all()
        return NOTHING

    def _are_joined(self, turn: Turn) -> bool:
        """Whether more have just landed than wait."""
        since_ms = turn.now_ms - self._flights.landed_ms
        return since_ms < JOINING_MS and len(self._waiting) < self._flights.landed

    def _be_patient(self, turn: Turn, delay_ms: float) -> None:
        if turn.now_ms + delay_ms < self._due_ms:
            self._due_ms = turn.now_ms + delay_ms
            self._serial += 1
            turn.timer(Depart(self._serial), delay_ms)

    def _take_all(self) -> Due:
        """Part all who wait.

        Where nobody claims a key any more, a standing promise is no evidence that it is vacant: the
        reads that wait for it need both phases.
        """
        waiting, self._waiting = self._waiting, {}
        self._serial += 1
        self._due_ms = inf
        unclaimed: list[Attempt] = []
        alone: list[Attempt] = []
        light: list[Attempt] = []
        for attempt in waiting.values():
            assert isinstance(attempt.state, Prepared), "what boards is prepared, and stays so"
            attempt.drop_finished()
            if not attempt.claims:
                unclaimed.append(attempt)
            else:
                (light if _is_light(attempt) else alone).append(attempt)
        groups = [light[at : at + MAX_FLIGHT] for at in range(0, len(light), MAX_FLIGHT)]
        return Due(unclaimed, alone, groups)


def _is_light(attempt: Attempt) -> bool:
    """Whether it travels with others: a term may be held up for long, and megabytes are slow."""
    claim = attempt.claims[0].claim
    size = len(claim.value) + MAX_BYTES_PER_CHAR * len(claim.note)
    return size <= LIGHT_BYTES and not is_term(attempt.key)
