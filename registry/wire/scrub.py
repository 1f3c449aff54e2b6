"""Scrubs: what operators ask a node about the check of its disk, and its answer."""

from typing import Annotated

from msgspec import Meta

from ..types import Counter, KeyText, NodeText, Value
from .handshake import Text

MAX_NAMED = 64
"""How many keys of each kind a report names; it counts all."""
MAX_FAULTS = 16
MAX_PEERS = 64


class ScrubRequest(Value, frozen=True, tag=67):
    """Asks the node how its scrub is going, or how the last one went. Answer: `ScrubReport`.

    Args:
        id: the request's id.
        begin: begin one now, unless one is running.
        bytes_per_second: how fast it reads, from now on; 0: as it is set, or goes now.
    """

    id: Counter
    begin: bool
    bytes_per_second: Counter


class ScrubReport(Value, frozen=True, tag=88):
    """How a node's scrub is going, or how the last one went.

    Args:
        id: the request's id.
        node: the node.
        running: whether it is running now.
        number: how many the node has begun since its start, this one included; 0: none yet.
        keys: how many keys were read so far; `expected` is about how many there are.
        size: the bytes that were read so far, of records of all kinds.
        took_ms: how long that took.
        ended_ms: milliseconds since its end; None if it has not ended.
        compared: the voters that this node's decrees were compared with.
        silent: the voters that could not be compared with in all parts.
        harmed: how many records of keys were damaged or lost.
        repaired: how many of them were taken from others.
        unrepaired: the first keys whose records are damaged or lost now.
        differing: how many keys have two decrees, which means a corrupt disk or a bug.
        differing_keys: the first of them.
        faults: the first damage that is of no key, in words.
    """

    id: Counter
    node: NodeText
    running: bool
    number: Counter
    keys: Counter
    expected: Counter
    size: Counter
    took_ms: Counter
    ended_ms: Counter | None
    compared: Annotated[tuple[NodeText, ...], Meta(max_length=MAX_PEERS)]
    silent: Annotated[tuple[NodeText, ...], Meta(max_length=MAX_PEERS)]
    harmed: Counter
    repaired: Counter
    unrepaired: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_NAMED)]
    differing: Counter
    differing_keys: Annotated[tuple[KeyText, ...], Meta(max_length=MAX_NAMED)]
    faults: Annotated[tuple[Text, ...], Meta(max_length=MAX_FAULTS)]

    @property
    def is_sound(self) -> bool:
        """Whether all that was read is as it should be now."""
        return not (self.faults or self.differing or self.harmed > self.repaired)
