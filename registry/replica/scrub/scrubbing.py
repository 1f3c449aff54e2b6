"""`Scrubbing`: one scrub after the other, a page at a time, no faster than it may.

A page is read by a thread of the server with all checksums (`Storage.check`), its decrees are compared
with those of the others (`comparing`), and after the last page what is damaged is repaired (`mending`).
How often a scrub begins is the server's affair; it tells so by `ScrubDue`.
"""

from collections.abc import Iterable
from typing import Protocol

from ...paxos.instance import Instance
from ...types import Decree
from ...unserved import DamagedInstance, ForgottenInstance, Unserved, WithheldInstance
from ...wire.scrub import ScrubReport, ScrubRequest
from ..step.disk_reads import CheckDone
from ..step.effects import ReadChecked
from ..step.events import ScrubDue, ScrubOn, UnmatchedDecrees
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .comparing import Comparing
from .mending import Mending, Silence
from .tally import ScrubTally

PAGE_BYTES = 128 * 1024
"""How much is read together: eight times a second, at the usual pace.

A page of the smallest records keeps the loop for some 3 ms, while its digests are computed."""
MIN_RATE = 4_096
"""In bytes a second: nobody may ask for a scrub that never ends."""
MAX_TOLD = 64
"""How many damaged records a scrub logs one by one."""


class Learn(Protocol):
    """Learns decrees that are known to be chosen."""

    def __call__(self, step: StepBuilder, decrees: Iterable[Decree]) -> None: ...


class Scrubbing:
    """The scrubs of a node.

    Args:
        node: who we are.
        learn: called with decrees of peers that this node's own contradict.
        silence: the keys that are withheld, and more of them.

    Attributes:
        comparing: asks the others.
        mending: repairs what is damaged.
        tally: what the scrub that runs has found, or the last one; None if none was begun.
    """

    def __init__(self, node: Node, learn: Learn, silence: Silence) -> None:
        self._node = node
        self._learn = learn
        self._silence = silence
        self.comparing = Comparing(node, self._on_page_over)
        self.mending = Mending(node, self._on_mended, silence)
        self.tally: ScrubTally | None = None
        self._ended: ScrubTally | None = None
        self._rate = node.config.scrub.bytes_per_second
        self._position: bytes | None = b""
        self._read_ms = 0.0
        self._page_size = 0
        self._serial = self._told = 0
        self._waits = False

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        scrub = (self.tally,) if self.running else ()
        return {"scrubs": scrub, **self.comparing.pending(), **self.mending.pending()}

    @property
    def running(self) -> bool:
        """Whether a scrub is under way."""
        return self.tally is not None and self.tally.ended_ms is None

    def on_request(self, step: StepBuilder, request: ScrubRequest) -> ScrubReport:
        """Begin a scrub if that is asked and none is running, and say how it goes."""
        if request.begin and not self.running:
            self._begin(step, request.bytes_per_second)
        elif request.bytes_per_second:
            self._rate = max(MIN_RATE, request.bytes_per_second)
            if self._waits:
                self._wait(step)
        tally = self.tally or ScrubTally(0, 0, step.now_ms, step.now_ms)
        return tally.report(self._node, request.id, step.now_ms)

    def summary(self, now_ms: float) -> tuple[int | None, str]:
        """Milliseconds since the end of the last scrub, and what is wrong; for the status report."""
        ended = self._ended
        if ended is None or ended.ended_ms is None:
            return None, ""
        return max(0, int(now_ms - ended.ended_ms)), ended.trouble()

    def on_due(self, step: StepBuilder, event: ScrubDue) -> None:
        """The server says that it is time."""
        if not self.running:
            self._begin(step, 0)

    def _begin(self, step: StepBuilder, bytes_per_second: int) -> None:
        rate = bytes_per_second or self._node.config.scrub.bytes_per_second
        self._rate = max(MIN_RATE, rate)
        number = self.tally.number + 1 if self.tally else 1
        self.tally = ScrubTally(number, self._node.feed_end, step.now_ms)
        self.tally.withheld.update(self._silence.keys)
        self.comparing.begin()
        self._position, self._told = b"", 0
        self._read(step)

    def _read(self, step: StepBuilder) -> None:
        assert self._position is not None, "the disk is not read to its end"
        self._read_ms = step.now_ms
        token = self._node.tokens.read(self)
        step.read(ReadChecked(token, self._position, PAGE_BYTES))

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """A page is read: note what is damaged, and compare the rest."""
        assert isinstance(done, CheckDone) and self.tally is not None, "a page was asked for"
        page = done.page
        self._tell(step, *page.faults, *(row.message for row in page.damaged))
        self.tally.add(page)
        for key in page.gone:
            self.tally.add_missing(key)
        self._position, self._page_size = page.next, page.size
        self.comparing.compare(step, page)

    def _tell(self, step: StepBuilder, *messages: str) -> None:
        """Log what is damaged as soon as it is found; the end of the scrub tells the rest."""
        for message in messages[: MAX_TOLD - self._told]:
            self._told += 1
            step.alarm(f"scrub: {message}")

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """A page reports damage and does not fail, so this ends the scrub."""
        assert self.tally is not None, "a page was asked for"
        self.tally.faults.append(message)
        self._on_mended(step)

    def _on_page_over(self, step: StepBuilder) -> None:
        """Read the next page when its time has come; repair after the last one."""
        if self._position is None:
            # in the next step, after what the last answers have shown
            self._serial += 1
            step.timer(ScrubOn(self._serial), 0.0)
            return
        self._wait(step)

    def _wait(self, step: StepBuilder) -> None:
        """Read the next page when its time has come, by the pace that is wanted now."""
        self._waits = True
        due_ms = self._read_ms + self._page_size * 1000 / self._rate
        self._serial += 1
        step.timer(ScrubOn(self._serial), max(0.0, due_ms - step.now_ms))

    def on_timer(self, step: StepBuilder, timer: ScrubOn) -> None:
        """Go on."""
        if timer.serial != self._serial or self.tally is None or not self.running:
            return
        self._waits = False
        if self._position is not None:
            self._read(step)
        else:
            self.mending.begin(step, self.tally)

    def on_compared(self, step: StepBuilder, event: UnmatchedDecrees) -> None:
        """Look at what this node has for keys of which a peer tells decrees."""
        if self.tally is None or not self.running:
            return
        for decree in event.decrees:
            self._look(step, self.tally, decree, step.instances[decree.key])

    def _look(
        self, step: StepBuilder, tally: ScrubTally, decree: Decree, found: Instance | Unserved
    ) -> None:
        match found:
            case Instance(learned=None):
                tally.add_missing(decree.key)
            case Instance():
                if found.learned == decree:
                    tally.add_missing(
                        decree.key
                    )  # in memory, and not on the disk, or learned since
                else:
                    tally.differing[decree.key] = None
                    self._learn(step, (decree,))  # which says so, and serves the key no more
            case WithheldInstance():
                tally.withheld.add(decree.key)
                self._learn(step, (decree,))  # M18: the decree ends the silence
            case DamagedInstance():
                if decree.key not in tally.damaged:
                    self._tell(step, found.message)
                tally.add_damaged(decree.key, found.message)
            case ForgottenInstance() | Unserved():
                pass

    def _on_mended(self, step: StepBuilder) -> None:
        """The scrub is over."""
        tally = self.tally
        assert tally is not None, "it was begun"
        tally.ended_ms = step.now_ms
        self._ended = tally
        tally.missing.clear()
        tally.silent.update(dict.fromkeys(self.comparing.silent))
        if tally.is_sound:
            step.notice(tally.said(self._node))
        else:
            step.alarm(tally.said(self._node))
