"""Making histories: the recorder is told when an operation begins and how it ends.

For the simulator, `Pending.answered` takes the answer of a node as it comes from the wire. An operation
that is never ended is in the history as one that never returned.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from decreed.registry.errors import ClaimIdReused, DecreedError, error_from_wire
from decreed.registry.types import Claim, Decree, Outcome
from decreed.registry.wire.requests import Answer, Decreed, Failed, ListPage, Undecided

from .operations import Kind, Operation, Result, Wish

_TOLD = {Outcome.WON: Result.WON, Outcome.SAME: Result.SAME, Outcome.LOST: Result.LOST}


class Recorder:
    """Collects operations.

    Args:
        clock: the time now, on one monotonic clock for all clients.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._pending: list[Pending] = []

    @property
    def history(self) -> list[Operation]:
        """All operations so far, in order of their calls."""
        return [pending.operation for pending in self._pending]

    def claim(self, client: str, claim: Claim) -> "Pending":
        """A claim of a key begins."""
        return self._begin(client, Kind.CLAIM, claim.key, Wish.of(claim))

    def claim_next(
        self, client: str, series: str, wish: Wish, first_slot: int | None = None
    ) -> "Pending":
        """A claim of the next slot begins; pass `first_slot` if it is known."""
        return self._begin(client, Kind.CLAIM_NEXT, series, wish, first_slot)

    def get(self, client: str, key: str) -> "Pending":
        """A read begins."""
        return self._begin(client, Kind.GET, key)

    def wait(self, client: str, key: str) -> "Pending":
        """A wait begins."""
        return self._begin(client, Kind.WAIT, key)

    def latest(self, client: str, series: str) -> "Pending":
        """A search for the last decided slot begins."""
        return self._begin(client, Kind.LATEST, series)

    def list(self, client: str, prefix: str = "") -> "Pending":
        """A list begins."""
        return self._begin(client, Kind.LIST, prefix)

    def _begin(
        self,
        client: str,
        kind: Kind,
        subject: str,
        wish: Wish | None = None,
        first_slot: int | None = None,
    ) -> "Pending":
        begun = Operation(
            client, kind, subject, self.clock(), None, Result.UNKNOWN, wish, first_slot
        )
        pending = Pending(self.clock, begun)
        self._pending.append(pending)
        return pending


@dataclass(eq=False)
class Pending:
    """An operation under way. Each method ends it, once; the first end counts.

    Args:
        clock: the recorder's.
        operation: its present state.
    """

    clock: Callable[[], float]
    operation: Operation
    listed_so_far: tuple[Decree, ...] = ()

    def decreed(self, decree: Decree, outcome: Outcome | None = None) -> None:
        """It returned a decree; `outcome` is the outcome that a claim got."""
        self._end(Result.DECREED if outcome is None else _TOLD[outcome], (decree,))

    def undecided(self) -> None:
        """It returned "undecided"."""
        self._end(Result.UNDECIDED)

    def page(self, decrees: Iterable[Decree]) -> None:
        """Some decrees of a list came; more may come."""
        self.listed_so_far += tuple(decrees)

    def listed(self, decrees: Iterable[Decree] = ()) -> None:
        """The list has ended, with these decrees after the earlier pages."""
        self.page(decrees)
        self._end(Result.LISTED, self.listed_so_far)

    def failed(self, definite: bool) -> None:
        """It failed; `definite` if nothing was or will be chosen by it."""
        self._end(Result.FAILED if definite else Result.UNKNOWN, self.listed_so_far)

    def raised(self, error: BaseException) -> None:
        """It raised this error; an error that is not ours leaves the outcome unknown."""
        if isinstance(error, ClaimIdReused) and self.operation.kind is Kind.CLAIM:
            self._end(Result.REUSED)
        else:
            self.failed(definite=isinstance(error, DecreedError) and error.definite)

    def answered(self, answer: Answer) -> None:
        """A node answered; a page of a list that is not the last one does not end it.

        Raises:
            TypeError: if the answer belongs to no kind of operation.
        """
        match answer:
            case Decreed(_, decree):
                self.decreed(decree)
            case Undecided():
                self.undecided()
            case ListPage(_, decrees, None):
                self.listed(decrees)
            case ListPage(_, decrees, _):
                self.page(decrees)
            case Failed(_, code, message):
                self.raised(error_from_wire(code, message))
            case _:
                raise TypeError(f"{type(answer).__name__} ends no operation of a history")

    def _end(self, result: Result, decrees: tuple[Decree, ...] = ()) -> None:
        begun = self.operation
        if begun.returned is None:
            self.operation = Operation(
                begun.client,
                begun.kind,
                begun.subject,
                begun.called,
                self.clock(),
                result,
                begun.wish,
                begun.first_slot,
                decrees,
            )
