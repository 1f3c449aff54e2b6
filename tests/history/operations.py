"""Operations, the elements of a history: each has its call, its return and its result.

An operation knows nothing of the others. All times are of one monotonic clock that all clients share;
`called` is read before the request is sent, `returned` after its answer came.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Self

from decreed.registry.types import Claim, Decree


class Kind(Enum):
    """The kind of call. The subject is a key; for the last three a series, a series and a prefix."""

    CLAIM = "claim"
    GET = "get"
    WAIT = "wait"
    CLAIM_NEXT = "claim_next"
    LATEST = "latest"
    LIST = "list"


class Result(Enum):
    """How an operation ended.

    A claim may get only a decree (`DECREED`), or also the outcome of the claim (`WON`, `SAME`,
    `LOST`). `REUSED` is the refusal of a claim whose id froze the key with other content. `FAILED`
    is a definite failure: nothing was or will be chosen by it. After `UNKNOWN` the operation may take
    effect at any later time, or never.
    """

    WON = "won"
    SAME = "same"
    LOST = "lost"
    DECREED = "decreed"
    UNDECIDED = "undecided"
    LISTED = "listed"
    REUSED = "reused"
    FAILED = "failed"
    UNKNOWN = "unknown"


TOLD = frozenset({Result.WON, Result.SAME, Result.LOST})
CLAIMS = frozenset({Kind.CLAIM, Kind.CLAIM_NEXT})
_ENDS = frozenset({Result.FAILED, Result.UNKNOWN})
_READ = _ENDS | {Result.DECREED, Result.UNDECIDED}
POSSIBLE = {
    Kind.CLAIM: _ENDS | TOLD | {Result.DECREED, Result.REUSED},
    Kind.CLAIM_NEXT: _ENDS | TOLD | {Result.DECREED, Result.REUSED},
    Kind.GET: _READ,
    Kind.WAIT: _READ,
    Kind.LATEST: _READ,
    Kind.LIST: _ENDS | {Result.LISTED},
}
WITH_DECREE = TOLD | {Result.DECREED}
NOT_CHOSEN_BY = frozenset({Result.FAILED, Result.REUSED})


class HistoryError(ValueError):
    """The input is not a history: an operation contradicts itself, or a line is malformed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The content that a claim wants to freeze a key to, and the claim id, which identifies it."""

    value: bytes
    claim_id: bytes
    content_type: str = "text/plain"
    claimant: str = "tester"
    note: str = ""

    @classmethod
    def of(cls, source: Claim | Decree) -> Self:
        """The wish of a claim, or of the claim that won a decree."""
        return cls(source.value, source.claim_id, source.content_type, source.claimant, source.note)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client.

    Args:
        client: the name of the client, for people.
        kind: the kind of call.
        subject: the key, series or prefix.
        called: when it was called.
        returned: when it ended for its caller; None if it never ended.
        result: how it ended.
        wish: the content of a claim; None for reads.
        first_slot: of `CLAIM_NEXT`, the slot at which it starts; None if unknown.
        decrees: the decree of the answer, or those of a list. A list that failed between pages may
            have some; they count as seen, and missing ones are no violation.

    Raises:
        HistoryError: if these contradict each other.
    """

    client: str
    kind: Kind
    subject: str
    called: float
    returned: float | None
    result: Result
    wish: Wish | None = None
    first_slot: int | None = None
    decrees: tuple[Decree, ...] = ()

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise HistoryError(f"{self.kind.value} of {self.subject!r}: {fault}")

    @property
    def decree(self) -> Decree:
        """The decree of the answer."""
        return self.decrees[0]

    @property
    def id(self) -> bytes:
        """The claim id, empty for reads."""
        return self.wish.claim_id if self.wish else b""

    @property
    def end(self) -> float:
        """When it returned; infinite if it never did."""
        return float("inf") if self.returned is None else self.returned

    @property
    def may_take_effect(self) -> bool:
        """Whether this may be the claim that froze a key."""
        return self.wish is not None and self.result not in NOT_CHOSEN_BY

    def __str__(self) -> str:
        until = "never" if self.returned is None else f"{self.returned:g}"
        wish = f" id {shown(self.id)} value {shown(self.wish.value)}" if self.wish else ""
        first = f" from slot {self.first_slot}" if self.first_slot else ""
        return (
            f"{self.client}: {self.kind.value} {self.subject!r}{wish}{first} "
            f"[{self.called:g}, {until}] {self.result.value}{self._answer()}"
        )

    def _answer(self) -> str:
        if self.kind is Kind.LIST:
            return f", {len(self.decrees)} decrees"
        return "".join(f" {described(decree)}" for decree in self.decrees)

    def _faults(self) -> tuple[str, ...]:
        checks = (
            (self.result in POSSIBLE[self.kind], f"it cannot end as {self.result.value!r}"),
            (not self.end < self.called, "it returned before it was called"),
            (
                (self.wish is not None) == (self.kind in CLAIMS),
                "claims, and only they, have a wish",
            ),
            (self._has_its_slot(), "it searches from no slot of a series"),
            (self._has_its_decrees(), "its decrees do not go with its result"),
            (
                self.returned is not None or self.result is Result.UNKNOWN,
                "what never returned has no known result",
            ),
        )
        return tuple(fault for fine, fault in checks if not fine)

    def _has_its_slot(self) -> bool:
        return self.first_slot is None or (self.kind is Kind.CLAIM_NEXT and self.first_slot > 0)

    def _has_its_decrees(self) -> bool:
        if self.kind is Kind.LIST:
            return self.returned is not None or not self.decrees
        return len(self.decrees) == (self.result in WITH_DECREE)


def shown(data: bytes) -> str:
    """Bytes for people to read, cut when long."""
    text = repr(data)[1:]
    return text if len(text) <= 40 else f"{text[:36]}…({len(data)} bytes)"


def described(decree: Decree) -> str:
    """A decree on one line."""
    return (
        f"<{decree.key} = {shown(decree.value)} by id {shown(decree.claim_id)}"
        f" in {decree.ballot} at {decree.time_ms}>"
    )
