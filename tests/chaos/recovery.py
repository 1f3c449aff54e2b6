"""How long claims stopped during a fault, measured at the clients.

Only claims that won count: a node can answer others without a quorum, from earlier decrees. A claim
that was called before a fault says nothing about the time after it. So claims flow again once a claim
that was called after the moment in question has won.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ..history.operations import Operation, Result
from .faults import Quorum

Seconds = float
STILL_UNDER_WAY_S = 0.3
"""How late a signal may be on a busy machine."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault as it was carried out, on the clock of the history.

    Args:
        name: the kind of fault.
        where: the nodes or wires that it hit.
        quorum: whether it left a quorum.
        began: when its `begin` was called.
        in_force: when its `begin` was done.
        lifted: when its `end` was called.
        ended: when its `end` was done; processes may still be starting.
        whole: when all nodes voted and saw each other again.
        quiet_until: when the next fault was begun.
    """

    name: str
    where: str
    quorum: Quorum
    began: Seconds
    in_force: Seconds
    lifted: Seconds
    ended: Seconds
    whole: Seconds
    quiet_until: Seconds


@dataclass(frozen=True, slots=True)
class Recovery:
    """The effect of one fault on claims.

    Args:
        outage: the fault.
        gap_s: the longest time without a winning claim, from its begin until the next fault's.
        flows_s: from its begin until a claim that was called after that had won; None if no such claim
            won before the next fault began.
        back_s: the same, from its end.
        whole_s: from its end until all nodes took part again.
        slowest_s: the longest duration of a winning claim that was called during the fault.
    """

    outage: Outage
    gap_s: Seconds
    flows_s: Seconds | None
    back_s: Seconds | None
    whole_s: Seconds
    slowest_s: Seconds


class Flow:
    """The claims of a history that won.

    Args:
        history: of all clients.
    """

    def __init__(self, history: Iterable[Operation]) -> None:
        won: list[tuple[Seconds, Seconds, bytes]] = []
        self._first_called: dict[bytes, Seconds] = {}
        for each in history:
            earlier = self._first_called.get(each.id, each.called)
            self._first_called[each.id] = min(earlier, each.called)
            if each.result is Result.WON:
                won.append((each.end, each.called, each.id))
        self._by_end = sorted(won)
        self._ends = [end for end, _, _ in self._by_end]

    def __len__(self) -> int:
        return len(self._by_end)

    def recovery(self, outage: Outage) -> Recovery:
        """The effect of `outage`."""
        until = outage.quiet_until
        return Recovery(
            outage,
            self._gap(outage.began, until),
            self._resumed(outage.began, until),
            self._resumed(outage.ended, until),
            outage.whole - outage.ended,
            self._slowest(outage.began, outage.ended),
        )

    def won_without_a_quorum(self, outage: Outage) -> int:
        """How many claims were first called without a quorum, and won before it was back.

        A claim that had been called before may have won earlier and got its answer only now.
        """
        if outage.quorum is not Quorum.LOST:
            return 0
        since = outage.in_force + STILL_UNDER_WAY_S
        won = self._between(since, outage.lifted)
        return sum(self._first_called[claim_id] > since for _, _, claim_id in won)

    def _between(self, start: Seconds, end: Seconds) -> Sequence[tuple[Seconds, Seconds, bytes]]:
        return self._by_end[bisect_left(self._ends, start) : bisect_right(self._ends, end)]

    def _gap(self, start: Seconds, end: Seconds) -> Seconds:
        ends = [start, *(ended for ended, _, _ in self._between(start, end)), end]
        return max(after - before for before, after in pairwise(ends))

    def _resumed(self, since: Seconds, until: Seconds) -> Seconds | None:
        later = (end for end, called, _ in self._between(since, until) if called >= since)
        end = next(later, None)
        return None if end is None else end - since

    def _slowest(self, start: Seconds, end: Seconds) -> Seconds:
        after = self._by_end[bisect_left(self._ends, start) :]
        return max((e - called for e, called, _ in after if start <= called <= end), default=0.0)


def table(recoveries: Iterable[Recovery]) -> str:
    """One line for each kind of fault: its count, and the median and the worst of each measure."""
    kinds: dict[str, list[Recovery]] = {}
    for each in recoveries:
        kinds.setdefault(each.outage.name, []).append(each)
    heads = ("flows again", "back after end", "all nodes back", "longest gap", "slowest claim")
    lines = [f"{'fault':<22}{'times':>6}{'quorum':>8}" + "".join(f"{head:>16}" for head in heads)]
    return "\n".join([*lines, *(_line(name, kinds[name]) for name in sorted(kinds))])


def _line(name: str, same: Sequence[Recovery]) -> str:
    quorum = same[0].outage.quorum.value
    columns = (
        [each.flows_s for each in same],
        [each.back_s for each in same],
        [each.whole_s for each in same],
        [each.gap_s for each in same],
        [each.slowest_s for each in same],
    )
    spreads = "".join(f"{_spread(column):>16}" for column in columns)
    return f"{name:<22}{len(same):>6}{quorum:>8}{spreads}"


def _spread(values: Sequence[Seconds | None]) -> str:
    known = [value for value in values if value is not None]
    never = f" ({len(values) - len(known)}x never)" if len(known) < len(values) else ""
    return f"{median(known):.2f} / {max(known):.2f}{never}" if known else "never"
