"""Tokens: the numbers of a node's questions to its peers and its disk, each with the part that
asked.

A result of the disk, and the timer to ask peers again, go straight to that part.

Invariant: no token is used twice, in any incarnation of a node. A late answer to a question of an
earlier incarnation must not count for this one, or a read would count an answer given before the
read arrived (design 6).
"""

from typing import Protocol

from .disk_reads import CheckDone, FeedDone, ScanDone, SlotDone
from .events import ResendRead
from .step_builder import Pending, StepBuilder

TOKEN_BITS = 36
"""The bits of a token that count questions; the bits above them hold the incarnation."""

ReadDone = ScanDone | FeedDone | SlotDone | CheckDone


class AsksPeers(Protocol):
    """A part of the node that asks peers, and asks again until they have answered (R02)."""

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask again the peers that have not answered one of its questions."""
        ...


class ReadsDisk(Protocol):
    """A part of the node that reads the disk. Each read ends in one of these two calls."""

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """The read is complete."""
        ...

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """The read met a damaged record."""
        ...


class Tokens:
    """The tokens of one incarnation of a node.

    Args:
        incarnation: the incarnation's number.
    """

    def __init__(self, incarnation: int) -> None:
        self._incarnation = incarnation
        self._last = 0
        self._requesters: dict[int, AsksPeers] = {}
        self._read_rights: dict[int, ReadsDisk] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"tokens": (*self._requesters, *self._read_rights)}

    def new(self) -> int:
        """A token for a question that is asked once; the type of its answer tells where it goes."""
        self._last += 1
        return (self._incarnation << TOKEN_BITS) | self._last

    def ask(self, requester: AsksPeers) -> int:
        """A token for a question to peers."""
        token = self.new()
        self._requesters[token] = requester
        return token

    def close(self, token: int) -> None:
        """End a question to peers; it is not asked again."""
        self._requesters.pop(token, None)

    def read(self, reader: ReadsDisk) -> int:
        """A token for a read of the disk; it ends with the result."""
        token = self.new()
        self._read_rights[token] = reader
        return token

    def call_off(self, step: StepBuilder, token: int) -> None:
        """Nobody waits for a read of the disk any more."""
        if self._read_rights.pop(token, None) is not None:
            step.call_off(token)

    def counts(self, timer: ResendRead) -> bool:
        """Whether the question of this timer is still open."""
        return timer.token in self._requesters

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """If the question is still open, let the part that asked it ask again."""
        requester = self._requesters.get(timer.token)
        if requester is not None:
            requester.on_resend(step, timer)

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Give the result of a read to the part that asked for it."""
        reader = self._read_rights.pop(done.token, None)
        if reader is not None:
            reader.on_read(step, done)

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """Give the failure of a read to the part that asked for it."""
        reader = self._read_rights.pop(token, None)
        if reader is not None:
            reader.on_read_failed(step, token, message)
