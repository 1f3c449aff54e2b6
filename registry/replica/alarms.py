"""What an operator should act on at this node, worked out from the state of its parts.

An alarm is never raised and never cleared: it is there as long as its reason is. So none can be left
over, and no hand is needed to end one. The only reason that lasts as long as the process is a failed
write: after it nobody knows what the disk holds, and only a restart finds out (R13).
"""

from collections.abc import Iterator

from ..space import RoomLeft
from ..types import NodeId
from ..wire.status import MAX_ALARMS, AlarmKind, AlarmStatus
from .parts import Parts
from .step.node import Node, no_room

SLOW_SYNC_MS = 200.0
"""A synced write that takes this long on average is slow: each claim waits for one on a quorum."""
LAG_ENTRIES = 10_000
"""A peer that has learned so many decrees less than this node lags: what it reads is old."""
CLOCK_PPM = 1_000.0
"""A clock that is corrected by more than this is off; a time service corrects by half of it."""
MAX_WORDS = 500


def alarms_of(parts: Parts, now_ms: float) -> tuple[AlarmStatus, ...]:
    """All alarms of a node, the most urgent kinds first.

    Args:
        parts: of the node.
        now_ms: the time, in milliseconds since its start.
    """
    node = parts.node
    found = [*_of_disk(node), *_of_data(parts, now_ms), *_of_peers(parts), *_of_clock(node)]
    return tuple(found[:MAX_ALARMS])


def _alarm(kind: AlarmKind, about: str, text: str, way_out: str) -> AlarmStatus:
    return AlarmStatus(kind, about, text[:MAX_WORDS], way_out)


def _of_disk(node: Node) -> Iterator[AlarmStatus]:
    if node.failed:
        yield _alarm(AlarmKind.DISK_FAILED, "", node.failed, node.remedy)
    space = node.disk.space
    if space is not None and node.room is RoomLeft.FULL:
        _, full_bytes = node.config.disk.of(space.size_bytes)
        mark = f"the hard mark (disk.full_bytes, disk.full_percent), {full_bytes:,}"
        text = f"{space.free_bytes:,} bytes are free, below {mark}: the node does not vote"
        yield _alarm(AlarmKind.DISK_FULL, "", text, "free space or give it a larger disk")
    elif node.room:
        way_out = "free space or give it a larger disk, before it reaches the hard mark"
        yield _alarm(AlarmKind.DISK_LOW, "", no_room(node), way_out)
    if node.disk.sync_ms > SLOW_SYNC_MS:
        text = f"a synced write takes {node.disk.sync_ms:.0f} ms: claims wait for it"
        way_out = "look for what else uses the disk; measure it with 'decreed bench --disk-only'"
        yield _alarm(AlarmKind.SLOW_DISK, "", text, way_out)


def _of_data(parts: Parts, now_ms: float) -> Iterator[AlarmStatus]:
    for key in sorted(parts.node.disputed)[:MAX_ALARMS]:
        text = f"two nodes know different decrees for {key!r}, which is not served"
        way_out = "compare the nodes' data with 'decreed recover --compare'"
        yield _alarm(AlarmKind.KEY_DISPUTED, key, text, way_out)
    found = parts.scrubbing.summary(now_ms)[1]
    met = parts.node.met_damage
    if found or met.count:
        text = f"the last scrub found: {found}" if found else f"reads met damage: {met.first}"
        way_out = "run 'decreed scrub', which repairs what a peer has; else replace the member"
        yield _alarm(AlarmKind.DAMAGE, "", text, way_out)


def _of_peers(parts: Parts) -> Iterator[AlarmStatus]:
    for peer in parts.node.others:
        lag = lag_of(parts, peer)
        if lag is not None and lag > LAG_ENTRIES:
            text = f"{peer} has learned {lag:,} decrees less than this node"
            way_out = "look at its disk, its network and its log; it catches up by itself"
            yield _alarm(AlarmKind.LAGGING_PEER, peer, text, way_out)


def _of_clock(node: Node) -> Iterator[AlarmStatus]:
    if abs(node.disk.clock_ppm) > CLOCK_PPM:
        text = f"the system runs its clock {node.disk.clock_ppm:+.0f} ppm beside the hardware's"
        way_out = "look at the time service ('chronyc tracking'); leases of locks rely on its rate"
        yield _alarm(AlarmKind.CLOCK_RATE, "", text, way_out)


def lag_of(parts: Parts, peer: NodeId) -> int | None:
    """How many decrees a peer has learned less than this node; None if it has not told."""
    end = parts.catchup.ends.end_of(peer)
    return None if end is None else max(0, parts.node.settled_feed_end - end)
