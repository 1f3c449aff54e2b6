"""The pages of feeds while they are read: what is awaited of each, and which entries are wanted."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from ...paxos.instance import Instance
from ...types import Key, NodeId, decree_digest
from ...unserved import ForgottenInstance, Unserved, WithheldInstance
from ...unserved import is_unreadable as cannot_be_read
from ...wire.peers import FeedPage
from ..step.step_builder import StepBuilder

PULL_TIMEOUT_MS = 3_000

OnRead = Callable[[StepBuilder, NodeId, int | None], None]
"""Called with a peer when a page of its feed is complete; and where its feed ended, after a gap."""
Withhold = Callable[[StepBuilder, Key, bytes], None]
"""Called with a key that is decided, and its decree's digest, to be silent until that comes (M18)."""


class Pulling(Struct, eq=False):
    """One page of a peer's feed, from the question until all of it is learned.

    Attributes:
        start: where the page begins.
        asked_ms: when it was asked for; after `PULL_TIMEOUT_MS` it is asked for again.
        next_start: where the cursor goes when all is learned; None until the page arrives.
        end: where the peer's feed ended when it sent the page.
        missing: keys in the page that are not learned here yet, with the digests of their decrees.
        floors: the last terms below floors that the page tells and that are not followed here yet.
        has_gap: whether entries of the page were deleted: what deleted them stands further on.
        from_base: whether it is read from the peer's base on, so that it moves no cursor.
        unreadable: the keys of the page whose records cannot be read here.
        refused: the keys of the page whose decrees the peer itself cannot tell.
        with_decrees: whether the decrees were asked for with the page, and come without a fetch, except
            for terms of locks.
    """

    start: int
    asked_ms: float
    next_start: int | None = None
    end: int = 0
    missing: dict[Key, bytes] = {}
    floors: set[Key] = set()
    has_gap: bool = False
    from_base: bool = False
    unreadable: set[Key] = set()
    refused: set[Key] = set()
    with_decrees: bool = False


class NextPage(Struct, eq=False):
    """The page behind one that is being learned: it was asked for early, with its decrees.

    Attributes:
        start: where it begins.
        page: the page, once it has arrived; it is read when the one before is complete.
        is_doubtful: whether its sender cannot read something, perhaps of this page: then what is
            missing is fetched, so that it is named again (M18).
    """

    start: int
    page: FeedPage | None = None
    is_doubtful: bool = False


class BaseRead(Struct, eq=False):
    """What is read of a peer's feed from its base on (M17); in memory alone, and for one epoch.

    Attributes:
        base: where the peer's feed ended when it became ready for the epoch.
        index: all entries from `base` on and below this one are learned here.
        end: how far it is to be read.
    """

    base: int
    index: int
    end: int


def is_below(floors: Mapping[str, int], key: Key) -> bool:
    """Whether `key` is below one of these floors, so that it is neither kept there nor fetched."""
    series, _, slot = key.partition("@")
    return slot.isdecimal() and int(slot) < floors.get(series, 0)


def is_kept(step: StepBuilder, key: Key) -> bool:
    """Whether `key` is not forgotten here; what is not loaded was known to be in step."""
    return key in step.instances and not isinstance(step.instances[key], ForgottenInstance)


def is_unreadable(step: StepBuilder, key: Key) -> bool:
    """Whether the record of a key is damaged here, so that its decree cannot be learned."""
    instance = step.instances.get(key)
    return isinstance(instance, Unserved) and cannot_be_read(instance)


def is_learned(step: StepBuilder, key: Key) -> bool:
    """Whether a decree is learned here for a key, and nobody knows another one."""
    found = step.instances.get(key)
    return isinstance(found, Instance) and found.learned is not None and found.disputed is None


def is_wanted(step: StepBuilder, key: Key, digest: bytes) -> bool:
    """Whether an entry of a page names a decree other than the one learned here."""
    if key not in step.instances:
        return False  # it was the same when the step began, otherwise it would be loaded
    instance = step.instances[key]
    if isinstance(instance, WithheldInstance):
        return True  # M18
    if isinstance(instance, Unserved) or instance.disputed is not None:
        return False
    return instance.learned is None or decree_digest(instance.learned) != digest
