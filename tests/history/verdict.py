"""The judge's verdict: right, or which rule was broken, for which key, by which operations."""

from dataclasses import dataclass
from enum import Enum

from .operations import Operation


class Rule(Enum):
    """The rules for every history; the value is the rule in a sentence."""

    FITS = "an answer is about what was asked"
    TOLD = "a claim is told what the decree means for it"
    ONE_WINNER = "at most one claim id is told that it won a key"
    AGREEMENT = "a key has one decree, the same in every field wherever it is seen"
    VALIDITY = "a decree is what some claim with its id asked for"
    DEFINITE = "a claim that failed definitely never wins"
    NOT_BEFORE_CLAIMED = "a decree is not seen before its claim was made"
    NO_STALE_READ = "undecided is never said after the decree was seen"
    ID_REUSED = "a claim is refused for its id only if that id froze the key with other content"
    ONE_SLOT = "a claim id wins at most one slot of a series"
    NO_GAPS = "a slot is decided only after all slots before it"
    LIST_COMPLETE = "a list has every decree that was acknowledged before it began"
    LIST_ORDER = "a list has its keys in order, each once"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    Args:
        rule: the rule.
        subject: the key, series or prefix.
        operations: the ones that contradict each other.
        detail: what is wrong, in a sentence.
    """

    rule: Rule
    subject: str
    operations: tuple[Operation, ...]
    detail: str

    def __str__(self) -> str:
        lines = [f"{self.subject!r}: {self.detail}", f"  broken: {self.rule.value}"]
        return "\n".join([*lines, *(f"  {operation}" for operation in self.operations)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for a whole history.

    Args:
        violations: all violations; empty if the history is right.
        operations: how many were judged.
        keys: how many keys they are about.
        decided: for how many of these keys a decree was seen.
    """

    violations: tuple[Violation, ...]
    operations: int
    keys: int
    decided: int

    @property
    def right(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations

    def __str__(self) -> str:
        size = f"{self.operations} operations on {self.keys} keys, {self.decided} decided"
        if self.right:
            return f"right: {size}"
        found = [str(violation) for violation in self.violations]
        return "\n".join([f"WRONG: {len(found)} violations; {size}", *found])
