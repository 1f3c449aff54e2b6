"""What disks and nodes must hold during a run, and after it has healed."""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

from decreed.registry.keys import RESERVED, series_and_slot
from decreed.registry.replica.replica import Replica
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import WatchRequest

from ..support.world import stored
from .invariants import CheckedWorld
from .watchers import Watcher

EVERYTHING = 1_000_000


def members(world: CheckedWorld) -> list[NodeId]:
    """The voters of the last epoch, except those whose directory was exchanged or is gone."""
    last = world.epoch_check.last
    out = gone(world) | world.rolled_back_disks
    return [node for node in last.nodes if node not in out]


def gone(world: CheckedWorld) -> set[NodeId]:
    """The voters of the last epoch whose directory is gone forever."""
    disks = world.disks_of(world.epoch_check.last)
    return {node for node, disk in disks.items() if disk in world.dead}


def sound(world: CheckedWorld) -> list[NodeId]:
    """All nodes except those whose directory was exchanged."""
    return [node for node in world.machines if node not in world.rolled_back_disks]


def check_disks(world: CheckedWorld) -> None:
    """R08: no disk holds another decree. No cursor is ahead of what is learned."""
    for node in sound(world):
        storage = world.machines[node].storage
        if storage is None:
            continue
        entries, _ = storage.feed(0, EVERYTHING)
        silent = world.withheld(node)
        for key in [entry.key for entry in entries if entry.key not in silent]:
            instance = world.held(node, key)
            assert instance.learned is not None, key
            assert instance.disputed is None
            world.agree(instance.learned)
        learned = {entry.key for entry in entries}
        assert len(learned) == len(entries) - _again(world, node), "the feed has each key once"
        _check_cursors(world, node, learned | world.corrupted.get(node, set()) | silent)


def _again(world: CheckedWorld, node: NodeId) -> int:
    """How many entries of a node's feed are there a second time.

    A decree whose record cannot be read is learned again if the node withholds its key (M18).
    """
    storage, damaged = world.machines[node].storage, world.corrupted.get(node, set())
    if storage is None or not damaged:
        return 0
    keys = [entry.key for entry in storage.feed(0, EVERYTHING)[0] if entry.key in damaged]
    return len(keys) - len(set(keys))


def _knows_everything(world: CheckedWorld, node: NodeId) -> bool:
    feed_end = world.replica(node).node.feed_end - _again(world, node)
    return feed_end == len(world.chosen) - len(world.deaf(node))


def _in_doubt(world: CheckedWorld, node: NodeId) -> set[Key]:
    """The keys in doubt at a node, except those that nobody can finish."""
    held = world.replica(node).parts.acceptors.pending()["in doubt"]
    return {Key(str(key)) for key in held} - world.stuck()


def _check_cursors(world: CheckedWorld, node: NodeId, learned: set[Key]) -> None:
    """A batch that is being written counts as learned: it also holds the cursor.

    A cursor passes a key that is withheld, durably: no peer could read its decree (M18).
    """
    if world.machines[node].writing is not None or world.replica(node).node.failed:
        return
    for peer in sound(world):
        machine = world.machines[peer]
        if peer != node and machine.storage is not None and _is_known(world, node, peer):
            cursor = world.replica(node).catchup.cursor(peer)
            entries, end = machine.storage.feed(0, cursor) if cursor else ((), 0)
            assert end == cursor, "the cursor is past the end of the feed"
            assert {entry.key for entry in entries} <= learned


def _is_known(world: CheckedWorld, node: NodeId, peer: NodeId) -> bool:
    """Whether a node remembers the directory that its peer has now: a cursor is one of a directory."""
    disk_id = world.replica(peer).node.identity.disk_id
    return world.replica(node).membership.disk_of(peer) == disk_id


def is_quiet(world: CheckedWorld) -> bool:
    """Whether each node has learned everything, and has no work left."""
    return all(
        world.machines[node].replica is not None
        and _knows_everything(world, node)
        and not _in_doubt(world, node)
        and not left_over(world, world.replica(node))
        for node in members(world)
    )


def check_the_end(world: CheckedWorld, watchers: Mapping[NodeId, Watcher]) -> None:
    """R22 and the rest: each node has learned everything, and has no work left."""
    for node in members(world):
        replica = world.replica(node)
        assert replica.node.voting
        assert not _in_doubt(world, node), "R22: a key is in doubt"
        deaf = world.deaf(node)
        for key, decree in world.chosen.items():
            assert key in deaf or stored(world, node, key).learned == decree
        assert _knows_everything(world, node)
        _check_nothing_is_left(world, replica)
        _check_nothing_was_skipped(world, node, watchers[node])
    _check_slots_and_ids(world)


def _check_slots_and_ids(world: CheckedWorld) -> None:
    slots: dict[str, list[int]] = {}
    for series, slot in map(series_and_slot, world.chosen):
        if slot is not None:
            slots.setdefault(series, []).append(slot)
    for taken in slots.values():
        assert sorted(taken) == list(range(1, len(taken) + 1))
    ids = [decree.claim_id for decree in world.chosen.values()]
    assert len(set(ids)) == len(ids), "one claim in two places"


def _check_nothing_was_skipped(world: CheckedWorld, node: NodeId, watcher: Watcher) -> None:
    storage = world.machines[node].storage
    assert storage is not None
    if watcher.position is not None:
        entries = [entry for entry in storage.feed(0, EVERYTHING)[0] if entry.key[0] != RESERVED]
        start = sum(entry.index < watcher.start for entry in entries)
        # a watch that began in the part that a crash took has gone back to before its start; what it
        # saw of a record that was damaged since may be told nowhere any more
        first = max(0, min(start, len(entries) - len(watcher.seen)))
        expected = [entry.key for entry in entries[first:]]
        corrupted = world.corrupted.get(node, set()) | world.stuck()
        seen = list(watcher.seen)
        assert _without(corrupted, seen) == _without(corrupted, expected)
        assert not out_of_place(watcher.seen, expected, corrupted)


def out_of_place(
    seen: Mapping[Key, int], expected: Iterable[Key], corrupted: Collection[Key]
) -> list[tuple[Key, Key]]:
    """The pairs of decrees that a watch was sent in the wrong order.

    A decree that cannot be read is left out, also when the decrees around it are sent again after a
    crash. So the watch may have it from an earlier incarnation of the node, and have the others later.
    For a decree that can be read this is wrong.

    Args:
        seen: what the watch was sent, in order, with the last incarnation that sent it.
        expected: the order of the feed.
        corrupted: the keys that could not be read at some time.
    """
    if not corrupted:
        return []  # the whole order was compared in this case
    places = {key: place for place, key in enumerate(expected)}
    return [
        (early, late)
        for early, late in combinations((key for key in seen if key in places), 2)
        if places[early] > places[late] and not (early in corrupted and seen[early] < seen[late])
    ]


def _without(some: Collection[Key], keys: Iterable[Key]) -> list[Key]:
    return [key for key in keys if key not in some]


def left_over(world: CheckedWorld, replica: Replica) -> dict[str, Collection[object]]:
    """What a node still holds in memory for work that should be over.

    A node that stays out permanently is asked for its feed again and again, so that is not counted.
    While a voter is gone, the last change does not complete. So those before it are asked too, gone or
    not.
    """
    left: dict[str, Collection[object]] = dict(replica.pending_work())
    absent = gone(world)
    out = absent | world.rolled_back_disks
    out |= {p for p in world.machines if absent and replica.membership.disk_of(p) in world.dead}
    if world.stuck():
        left = _without_stuck(left, replica, world.dead)
    left["pulling"] = [p for p in left.get("pulling", ()) if p not in out]
    for expected in ("requests", "parked watches"):  # a watch; see below
        left.pop(expected, None)
    left["deadlines"] = list(left.get("deadlines", ()))[2:]  # a watch has one
    return {kind: held for kind, held in left.items() if held}


def _without_stuck(
    left: dict[str, Collection[object]], replica: Replica, dead: Collection[bytes]
) -> dict[str, Collection[object]]:
    """What is left, except the work on keys that some node withholds and that goes on forever.

    That node stays with the voters of the epoch before, and goes on to ask for the feeds of directories
    that are gone.
    """
    tried = {"in doubt", "withheld", "attempts", "reads", "finishing", "releasing"}
    kept = {kind: held for kind, held in left.items() if kind not in tried}
    asked = replica.parts.releasing.token
    disk_of = replica.membership.disk_of
    kept["pulling"] = [p for p in kept.get("pulling", ()) if disk_of(NodeId(str(p))) not in dead]
    return kept | {"tokens": [token for token in kept.get("tokens", ()) if token != asked]}


def _check_nothing_is_left(world: CheckedWorld, replica: Replica) -> None:
    """Only the one parked watch may still be there."""
    waiting = [type(live.request) for live in replica.parts.requests.all()]
    assert waiting in ([], [WatchRequest])
    left = left_over(world, replica)
    assert not left, f"left over at {replica.node.name}: {left}"
    assert len(replica.pending_work().get("parked watches", ())) <= 5
