"""What a snapshot says of itself: its first and its last block, and the checks of its decrees.

Pure: values, and their CBOR. Decrees are MessagePack, as in the rows of a node and under their digests:
a save and a seed take a quarter of the time that CBOR would take. Earlier builds wrote CBOR.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import lt

from msgspec.structs import replace

from ...registry.errors import BadRequest, Damaged, ProtocolError
from ...registry.keys import RESERVED, check_readable, sort_key
from ...registry.locks.terms import is_term, term_of
from ...registry.types import Counter, Decree, Value
from ...registry.wire.codec import decode
from ...registry.wire.handshake import ClusterId, IdBytes, Member, Text
from ...registry.wire.marks import FeedMark
from ...registry.wire.packed import unpack_decrees


class SnapshotBase(Value, frozen=True):
    """The snapshot that an increment continues.

    Args:
        id: the base's id.
        begun_ms: when it was begun, in milliseconds since 1970.
    """

    id: IdBytes
    begun_ms: Counter


class SnapshotHead(Value, frozen=True):
    """The first block.

    Args:
        id: random; names the snapshot.
        cluster_id: the cluster's id.
        formation: the formation that it was taken from.
        epoch: the epoch of the members; 0 for those that formed.
        members: with their addresses, for people: a restore does not go by them.
        begun_ms: when it was begun, in milliseconds since 1970: everything that was answered before
            is in it.
        software: the version and the build that wrote it.
        base: the snapshot that it continues; None for a full one.
        marks: where the feeds of voters ended before the first page was asked for.
    """

    id: IdBytes
    cluster_id: ClusterId
    formation: IdBytes
    epoch: Counter
    members: tuple[Member, ...]
    begun_ms: Counter
    software: Text
    base: SnapshotBase | None
    marks: tuple[FeedMark, ...] = ()


class Contents(Value, frozen=True):
    """How much a snapshot has.

    Args:
        decrees: how many decrees of keys.
        terms: how many terms of locks.
        value_bytes: the bytes of all values.
    """

    decrees: Counter = 0
    terms: Counter = 0
    value_bytes: Counter = 0

    def plus(self, decrees: Iterable[Decree]) -> "Contents":
        """With further decrees."""
        each = list(decrees)
        # most pages have no term at all, and their keys are in order: reserved ones come first
        terms = sum([is_term(one.key) for one in each if one.key[0] == RESERVED])
        return replace(
            self,
            decrees=self.decrees + len(each) - terms,
            terms=self.terms + terms,
            value_bytes=self.value_bytes + sum([len(one.value) for one in each]),
        )

    def joined(self, other: "Contents") -> "Contents":
        """The sum of both."""
        return Contents(
            self.decrees + other.decrees,
            self.terms + other.terms,
            self.value_bytes + other.value_bytes,
        )


class SnapshotEnd(Value, frozen=True):
    """The last block.

    Args:
        contents: how much there is before it.
        ended_ms: when it was completed, in milliseconds since 1970.
        whole: the checksum of all bytes before this block.
        base_whole: the same of the snapshot that it continues, as it was read meanwhile.
        marks: those of the head, if they count: all that told one then have told one at the end.
    """

    contents: Contents
    ended_ms: Counter
    whole: Counter
    base_whole: Counter | None
    marks: tuple[FeedMark, ...] = ()


def confirmed(before: Sequence[FeedMark], after: Sequence[FeedMark]) -> tuple[FeedMark, ...]:
    """The marks of a save that count: all from before it, if each node has told one after it too.

    A node that found damage meanwhile, or was started again, may have left something out of a page.
    """
    told = {(mark.node, mark.disk_id, mark.incarnation) for mark in after}
    is_sound = all((mark.node, mark.disk_id, mark.incarnation) in told for mark in before)
    return tuple(before) if is_sound else ()


def decode_decrees(payload: bytes, *, packed: bool) -> tuple[Decree, ...]:
    """The decrees in the payload of a block.

    Args:
        payload: the payload.
        packed: whether it is MessagePack; otherwise it is CBOR.

    Raises:
        Damaged: if they are none, or have keys that cannot be.
    """
    try:
        decrees = unpack_decrees(payload) if packed else decode(payload, tuple[Decree, ...])
        check_readable([decree.key for decree in decrees])
        for decree in decrees:
            if decree.key[0] == RESERVED and is_term(decree.key):
                term_of(decree)
    except (ProtocolError, BadRequest) as error:
        raise Damaged(f"it makes no sense: {error}") from error
    return decrees


def check_order(decrees: Iterable[Decree], after: str) -> str:
    """Check that the keys of decrees are in order, and behind `after`; returns the last one.

    Raises:
        Damaged: if they are not.
    """
    keys = [after] * bool(after) + [decree.key for decree in decrees]
    places = list(map(sort_key, keys))
    if not all(map(lt, places, places[1:])):
        raise _disordered(keys, places)
    return keys[-1] if keys else ""


def _disordered(keys: Sequence[str], places: Sequence[bytes]) -> Damaged:
    at = next(at for at, pair in enumerate(pairwise(places)) if pair[1] <= pair[0])
    return Damaged(f"the key {keys[at + 1]!r} stands behind {keys[at]!r}")
