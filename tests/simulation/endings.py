"""What disks and nodes must hold during a run, and after it has healed."""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

from decreed.registry.keys import series_and_slot
from decreed.registry.replica.replica import Replica
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import WatchRequest

from ..support.world import stored
from .invariants import CheckedWorld
from .watchers import Watcher

EVERYTHING = 1_000_000


def members(world: CheckedWorld) -> list[NodeId]:
    """The nodes that may take part: all except those whose directory was exchanged."""
    return [node for node in world.config.nodes if node not in world.rolled_back_disks]


def check_disks(world: CheckedWorld) -> None:
    """R08: no disk holds another decree. No cursor is ahead of what is learned."""
    for node in members(world):
        storage = world.machines[node].storage
        if storage is None:
            continue
        entries, _ = storage.feed(0, EVERYTHING)
        for key in [entry.key for entry in entries]:
            instance = world.held(node, key)
            assert instance.learned is not None, key
            assert instance.disputed is None
            world.agree(instance.learned)
        learned = {entry.key for entry in entries}
        assert len(learned) == len(entries), "the feed has each key once"
        _check_cursors(world, node, learned | world.corrupted.get(node, set()))


def _check_cursors(world: CheckedWorld, node: NodeId, learned: set[Key]) -> None:
    """A batch that is being written counts as learned: it also holds the cursor."""
    if world.machines[node].writing is not None or world.replica(node).node.failed:
        return
    for peer in members(world):
        machine = world.machines[peer]
        if peer != node and machine.storage is not None:
            cursor = world.replica(node).catchup.cursor(peer)
            entries, end = machine.storage.feed(0, cursor) if cursor else ((), 0)
            assert end == cursor, "the cursor is past the end of the feed"
            assert {entry.key for entry in entries} <= learned


def is_quiet(world: CheckedWorld) -> bool:
    """Whether each node has learned everything, and has no work left."""
    return all(
        world.machines[node].replica is not None
        and world.replica(node).node.feed_end == len(world.chosen) - len(world.deaf(node))
        and not world.replica(node).unlearned
        and not left_over(world, world.replica(node))
        for node in members(world)
    )


def check_the_end(world: CheckedWorld, watchers: Mapping[NodeId, Watcher]) -> None:
    """R22 and the rest: each node has learned everything, and has no work left."""
    for node in members(world):
        replica = world.replica(node)
        assert replica.node.voting
        assert replica.unlearned == 0, "R22: a key is in doubt"
        deaf = world.deaf(node)
        for key, decree in world.chosen.items():
            assert key in deaf or stored(world, node, key).learned == decree
        assert replica.node.feed_end == len(world.chosen) - len(deaf)
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
        entries, _ = storage.feed(0, EVERYTHING)
        # a watch that began in the part that a crash took has gone back to before its start
        first = min(watcher.start, len(entries) - len(watcher.seen))
        expected = [entry.key for entry in entries[first:]]
        corrupted = world.corrupted.get(node, set())
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
        for early, late in combinations(seen, 2)
        if places[early] > places[late] and not (early in corrupted and seen[early] < seen[late])
    ]


def _without(some: Collection[Key], keys: Iterable[Key]) -> list[Key]:
    return [key for key in keys if key not in some]


def left_over(world: CheckedWorld, replica: Replica) -> dict[str, Collection[object]]:
    """What a node still holds in memory for work that should be over.

    A node that stays out permanently is asked for its feed again and again, so that is not counted.
    """
    left: dict[str, Collection[object]] = dict(replica.pending_work())
    left["pulling"] = [p for p in left.get("pulling", ()) if p not in world.rolled_back_disks]
    for expected in ("requests", "parked watches"):  # a watch; see below
        left.pop(expected, None)
    left["deadlines"] = list(left.get("deadlines", ()))[2:]  # a watch has one
    return {kind: held for kind, held in left.items() if held}


def _check_nothing_is_left(world: CheckedWorld, replica: Replica) -> None:
    """Only the one parked watch may still be there."""
    waiting = [type(live.request) for live in replica.parts.requests.all()]
    assert waiting in ([], [WatchRequest])
    left = left_over(world, replica)
    assert not left, f"left over at {replica.node.name}: {left}"
    assert len(replica.pending_work().get("parked watches", ())) <= 5
