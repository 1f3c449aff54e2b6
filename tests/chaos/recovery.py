"""How long claims stood still, measured at the clients: what a fault cost whoever used the cluster.

Only claims that were acknowledged count, whatever they were told. A claim that was called before a
fault says nothing about the time after it, so claims flow again when one is acknowledged that was
called after the moment in question.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ..history.operations import CLAIMS, WITH_DECREE, Operation

Seconds = float


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault as it was carried out, on the clock of the history.

    Args:
        name: the kind.
        where: whom it hit.
        quorum: whether a quorum was up all the time.
        began: when it was begun.
        ended: when all was undone; processes may still be starting.
        quiet_until: when the next one was begun.
    """

    name: str
    where: str
    quorum: bool
    began: Seconds
    ended: Seconds
    quiet_until: Seconds


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one fault cost.

    Args:
        outage: which.
        gap_s: the longest time without an acknowledged claim, from the fault's begin until the
            next one's.
        flows_s: from its begin until a claim called after that was acknowledged; None: none was
            before the next fault began.
        back_s: the same, from its end.
        slowest_s: the longest that a claim took which was called while it lasted and acknowledged.
    """

    outage: Outage
    gap_s: Seconds
    flows_s: Seconds | None
    back_s: Seconds | None
    slowest_s: Seconds


class Flow:
    """The acknowledged claims of a history.

    Args:
        history: of all clients.
    """

    def __init__(self, history: Iterable[Operation]) -> None:
        told = [o for o in history if o.kind in CLAIMS and o.result in WITH_DECREE]
        self._by_end = sorted((o.end, o.called) for o in told)
        self._ends = [end for end, _ in self._by_end]

    def __len__(self) -> int:
        return len(self._by_end)

    def recovery(self, outage: Outage) -> Recovery:
        """What `outage` cost."""
        until = outage.quiet_until
        return Recovery(
            outage,
            self._gap(outage.began, until),
            self._resumed(outage.began, until),
            self._resumed(outage.ended, until),
            self._slowest(outage.began, outage.ended),
        )

    def _between(self, start: Seconds, end: Seconds) -> Sequence[tuple[Seconds, Seconds]]:
        return self._by_end[bisect_left(self._ends, start) : bisect_right(self._ends, end)]

    def _gap(self, start: Seconds, end: Seconds) -> Seconds:
        ends = [start, *(ended for ended, _ in self._between(start, end)), end]
        return max(after - before for before, after in zip(ends, ends[1:], strict=False))

    def _resumed(self, since: Seconds, until: Seconds) -> Seconds | None:
        later = (end for end, called in self._between(since, until) if called >= since)
        end = next(later, None)
        return None if end is None else end - since

    def _slowest(self, start: Seconds, end: Seconds) -> Seconds:
        after = self._by_end[bisect_left(self._ends, start) :]
        return max((e - called for e, called in after if start <= called <= end), default=0.0)


def table(recoveries: Iterable[Recovery]) -> str:
    """One line a kind of fault: how often, and the median and the worst of each measure."""
    kinds: dict[str, list[Recovery]] = {}
    for each in recoveries:
        kinds.setdefault(each.outage.name, []).append(each)
    head = f"{'fault':<22}{'times':>6}{'quorum':>8}{'flows again':>15}{'back after end':>16}"
    lines = [f"{head}{'longest gap':>15}{'slowest claim':>15}"]
    return "\n".join([*lines, *(_line(name, kinds[name]) for name in sorted(kinds))])


def _line(name: str, same: Sequence[Recovery]) -> str:
    quorum = "up" if all(each.outage.quorum for each in same) else "lost"
    return (
        f"{name:<22}{len(same):>6}{quorum:>8}{_spread([each.flows_s for each in same]):>15}"
        f"{_spread([each.back_s for each in same]):>16}{_spread([each.gap_s for each in same]):>15}"
        f"{_spread([each.slowest_s for each in same]):>15}"
    )


def _spread(values: Sequence[Seconds | None]) -> str:
    known = [value for value in values if value is not None]
    never = f" ({len(values) - len(known)}×never)" if len(known) < len(values) else ""
    return f"{median(known):.2f} / {max(known):.2f}{never}" if known else "never"
