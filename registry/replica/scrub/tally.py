"""`ScrubTally`: what one scrub has found, and the report on it."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ...checked import CheckedPage
from ...types import Key, NodeId
from ...wire.scrub import MAX_FAULTS, MAX_NAMED, ScrubReport
from ..step.node import Node

MAX_KEYS = 65_536
"""The most damaged or missing keys that one scrub remembers; the next one finds the others."""
MAX_WORDS = 4_000
"""The most characters that a report has for one thing that is wrong."""


class ScrubTally(Struct, eq=False):
    """What a scrub has found so far.

    Attributes:
        number: how many scrubs this incarnation has begun, this one included.
        feed_end: where the feed of the node ended when it began.
        began_ms, ended_ms: when it began, and ended; None while it runs.
        keys, size: what was read: keys, and bytes of rows of all kinds.
        faults: damage that no other node can repair, in words.
        damaged: keys whose records cannot be read, with what is wrong, until they are repaired.
        lost: keys that the feed names, and whose records are gone.
        missing: keys that a peer has learned and the walk has not shown here: mostly since this node is
            behind, or has learned them since.
        withheld: keys that were withheld at some time of the scrub.
        differing: keys for which two decrees are known.
        harmed: how many keys were damaged or lost.
        repaired: how many of them were repaired.
        silent: peers that could not be compared with in all pages.
    """

    number: int
    feed_end: int
    began_ms: float
    ended_ms: float | None = None
    keys: int = 0
    size: int = 0
    faults: list[str] = []
    damaged: dict[Key, str] = {}
    lost: dict[Key, None] = {}
    missing: dict[Key, None] = {}
    withheld: set[Key] = set()
    differing: dict[Key, None] = {}
    harmed: int = 0
    repaired: int = 0
    silent: dict[NodeId, None] = {}

    @property
    def unrepaired(self) -> int:
        """How many keys are damaged or lost here now."""
        return self.harmed - self.repaired

    @property
    def is_sound(self) -> bool:
        """Whether all is as it should be now."""
        return not (self.faults or self.differing or self.unrepaired)

    def add(self, page: CheckedPage) -> None:
        """Count a page."""
        self.keys += len(page.instances) + len(page.damaged)
        self.size += page.size
        self.faults += page.faults
        for row in page.damaged:
            self.add_damaged(row.key, row.message)
        self.differing |= {k: None for k, one in page.instances if one.disputed is not None}

    def add_damaged(self, key: Key, message: str) -> None:
        """Note a record that cannot be read."""
        if key not in self.damaged:
            self.harmed += 1
            if len(self.damaged) < MAX_KEYS:
                self.damaged[key] = message

    def add_lost(self, key: Key) -> None:
        """Note a record that is gone."""
        self.harmed += 1
        self.lost[key] = None

    def add_missing(self, key: Key) -> None:
        """Note a decree that only a peer has."""
        if len(self.missing) < MAX_KEYS:
            self.missing[key] = None

    def repair(self, key: Key) -> None:
        """Note that the record of a key is right again."""
        self.repaired += 1
        self.damaged.pop(key, None)
        self.lost.pop(key, None)

    def said(self, node: Node) -> str:
        """The end of a scrub, in a line for the log."""
        compared = [peer for peer in node.others if peer not in self.silent]
        parts = [
            f"scrub: {self.keys} keys, {self.size} bytes read",
            f"compared with {' '.join(compared)}" if compared else "",
            f"not wholly compared with {' '.join(self.silent)}" if self.silent else "",
            f"{self.repaired} of {self.harmed} damaged records repaired" if self.harmed else "",
            _named("two decrees are known for", self.differing),
            _named("cannot be read:", (*self.damaged, *self.lost)),
            *self.faults[:MAX_FAULTS],
        ]
        return "; ".join(part for part in parts if part)

    def report(self, node: Node, request_id: int, now_ms: float) -> ScrubReport:
        """The report to a client."""
        ended_ms = self.ended_ms
        return ScrubReport(
            request_id,
            node.name,
            ended_ms is None,
            self.number,
            self.keys,
            node.feed_end,
            self.size,
            max(0, int((now_ms if ended_ms is None else ended_ms) - self.began_ms)),
            None if ended_ms is None else max(0, int(now_ms - ended_ms)),
            tuple(peer for peer in node.others if peer not in self.silent),
            tuple(self.silent),
            self.harmed,
            self.repaired,
            _some((*self.damaged, *self.lost)),
            len(self.differing),
            _some(tuple(self.differing)),
            tuple(fault[:MAX_WORDS] for fault in self.faults[:MAX_FAULTS]),
        )

    def trouble(self) -> str:
        """What is wrong now, in a few words; empty if nothing is."""
        parts = [
            _counted(self.unrepaired, "damaged record"),
            _named("two decrees are known for", self.differing),
            _counted(len(self.faults), "other fault"),
        ]
        return "; ".join(part for part in parts if part)[:MAX_WORDS]


def _counted(count: int, noun: str) -> str:
    """A number of things; empty if there are none."""
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else ""


def _some(keys: Sequence[Key]) -> tuple[Key, ...]:
    return tuple(keys[:MAX_NAMED])


def _named(what: str, keys: Iterable[Key]) -> str:
    """The first keys after some words; empty if there are none."""
    names = list(keys)
    more = f" and {len(names) - MAX_FAULTS} more" if len(names) > MAX_FAULTS else ""
    return f"{what} {' '.join(map(repr, names[:MAX_FAULTS]))}{more}" if names else ""
