"""Tokens: the numbers of a node's questions to its peers and its disk, and who asked each.

An answer of the disk, and the time to ask peers again, go straight to the part that asked.

Invariant: a node never uses a token twice, in no incarnation. A late answer to a question of an earlier
incarnation must not be taken for one of this, or a read would count what was said before it arrived
(design 6).
"""

from typing import Protocol

from .events import FeedDone, ResendRead, ScanDone, SlotDone
from .step_builder import Pending, StepBuilder

TOKEN_BITS = 36
"""How many questions one incarnation may ask; the bits above it count incarnations."""

ReadDone = ScanDone | FeedDone | SlotDone


class AsksPeers(Protocol):
    """A part of the node that asks peers, again and again until they have answered (R02)."""

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Answers to one of its questions are missing."""
        ...


class ReadsDisk(Protocol):
    """A part of the node that reads the disk. Each read ends in one of these two."""

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """The disk has answered."""
        ...

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """The disk has a damaged record there."""
        ...


class Tokens:
    """The tokens of one incarnation of a node.

    Args:
        incarnation: which life.
    """

    def __init__(self, incarnation: int) -> None:
        self._incarnation = incarnation
        self._last = 0
        self._requesters: dict[int, AsksPeers] = {}
        self._readers: dict[int, ReadsDisk] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"tokens": (*self._requesters, *self._readers)}

    def new(self) -> int:
        """A token for what is answered by a message that names its kind, and is never asked again."""
        self._last += 1
        return (self._incarnation << TOKEN_BITS) | self._last

    def ask(self, requester: AsksPeers) -> int:
        """A token for a question to peers."""
        token = self.new()
        self._requesters[token] = requester
        return token

    def close(self, token: int) -> None:
        """A question to peers is over: nobody asks it again."""
        self._requesters.pop(token, None)

    def read(self, reader: ReadsDisk) -> int:
        """A token for a read of the disk, which is over with its result."""
        token = self.new()
        self._readers[token] = reader
        return token

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Answers are missing; if the question is not over, the part that asked it asks again."""
        requester = self._requesters.get(timer.token)
        if requester is not None:
            requester.on_resend(step, timer)

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """The disk has answered."""
        reader = self._readers.pop(done.token, None)
        if reader is not None:
            reader.on_read(step, done)

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """The disk has a damaged record."""
        reader = self._readers.pop(token, None)
        if reader is not None:
            reader.on_read_failed(step, token, message)
