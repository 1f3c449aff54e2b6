"""What disks and nodes must hold, now and then and when all has healed."""

from collections.abc import Mapping

from decreed.registry.keys import series_and_slot
from decreed.registry.paxos.instance import Instance
from decreed.registry.replica.replica import Replica
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import WatchRequest

from ..support.world import World, stored
from .wishes import SERIES, Watcher
from .witness import WitnessedWorld


def check_disks(world: WitnessedWorld) -> None:
    """R08: no disk ever holds another decree; and no cursor runs ahead of what is learned."""
    for node, machine in world.machines.items():
        if machine.storage is None:
            continue
        entries, _ = machine.storage.feed(0, 10_000)
        for key, instance in machine.storage.load([entry.key for entry in entries]).items():
            assert isinstance(instance, Instance) and instance.learned is not None, key
            assert instance.disputed is None
            world.agree(instance.learned)
        learned = {entry.key for entry in entries}
        assert len(learned) == len(entries), "the feed has each key once"
        _check_cursors(world, node, learned)


def _check_cursors(world: World, node: NodeId, learned: set[Key]) -> None:
    for peer, machine in world.machines.items():
        if peer != node and machine.storage is not None:
            cursor = world.replica(node).catchup.cursor(peer)
            entries, end = machine.storage.feed(0, cursor) if cursor else ((), 0)
            assert end == cursor, "the cursor is behind the end of the feed"
            failed = world.replica(node).node.failed
            assert failed or {entry.key for entry in entries} <= learned


def check_the_end(world: WitnessedWorld, watchers: Mapping[NodeId, Watcher]) -> None:
    """R22, and all the rest: everybody knows everything, and nothing is left over."""
    for node in world.config.nodes:
        replica = world.replica(node)
        assert replica.node.voting
        assert replica.unlearned == 0, "R22: something is half-done"
        for key, decree in world.chosen.items():
            assert stored(world, node, key).learned == decree
        assert replica.node.feed_end == len(world.chosen)
        _check_nothing_is_left(replica)
        _check_nothing_was_skipped(world, node, watchers[node])
    slots = [series_and_slot(key) for key in world.chosen]
    for series in SERIES:
        taken = sorted(slot or 0 for name, slot in slots if name == series)
        assert taken == list(range(1, len(taken) + 1))
    ids = [decree.claim_id for decree in world.chosen.values()]
    assert len(set(ids)) == len(ids), "one claim in two places"


def _check_nothing_was_skipped(world: World, node: NodeId, watcher: Watcher) -> None:
    storage = world.machines[node].storage
    assert storage is not None
    if watcher.position is not None:
        entries, _ = storage.feed(watcher.start, 10_000)
        assert watcher.seen == [entry.key for entry in entries]


def _check_nothing_is_left(replica: Replica) -> None:
    """Only the one parked watch may still be there."""
    requests = replica._requests
    assert [type(live.request) for live in requests.all()] in ([], [WatchRequest])
    assert len(requests._buckets) <= 2
    left = {
        "attempts": replica._coordinator._attempts,
        "reads": replica._reads._reads,
        "series": replica._reads._series,
        "waits": replica._reads._waits,
        "passed": replica._claims._passed,
        "lists": replica._lists._lists,
        "served scans": replica._lists._served,
        "watch reads": replica._watches._reading,
        "fetching": replica.catchup._fetching,
        "pulling": replica.catchup._pulling,
        "served pages": replica.catchup._serving,
        "half-done": replica._acceptors._since_ms,
    }
    assert not {name: held for name, held in left.items() if held}
    assert sum(map(len, replica._watches._parked.values())) <= 5
