"""Old terms are forgotten, and no node votes on them again (design 11)."""

import os

from msgspec.structs import replace

from decreed.registry.config import LockTerms
from decreed.registry.locks.terms import (
    LeaseId,
    lock_and_term,
    term_key,
)
from decreed.registry.paxos.messages import Accept, Commit, Prepare, Promise
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, NodeId, Process
from decreed.registry.wire.leases import AskLease, ForgottenTerms, Renew
from decreed.registry.wire.peers import Fetch, Fetched, Query

from ...support.batches import step
from ...support.forgetful import cycle, cycles, floor_after, forgetful, has_forgotten, votes
from ...support.world import World, config, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
CYCLES = int(os.environ.get("DECREED_TEST_CYCLES", "320"))
HIGH = Ballot(1_000, Process(N3, 1_000))


# -- which terms are kept


def test_the_newest_terms_are_kept() -> None:
    world = forgetful()
    decrees = cycles(world, 40)
    world.run(1_000)
    floor = floor_after(40)
    assert floor == 25
    for node in world.config.nodes:
        assert all(has_forgotten(world, node, term) for term in range(1, floor))
        for term in range(floor, 41):
            assert stored(world, node, term_key("l", term)).learned == decrees[term - 1]
    assert world.alarms == []


def test_nothing_is_forgotten_before_there_are_more_terms_than_are_kept() -> None:
    world = World(replace(config(), locks=LockTerms(32)))
    cycles(world, 47)
    assert not any(has_forgotten(world, "n1", term) for term in range(1, 48))
    cycle(world)
    assert [has_forgotten(world, "n1", term) for term in (16, 17)] == [True, False]


def test_many_cycles_leave_no_more_on_disk_and_in_memory_than_the_retention() -> None:
    world = forgetful()
    for _ in range(CYCLES // 16):
        cycles(world, 16)
        world.sent.clear()
        world.answers.clear()
    world.run(3_000)
    for node in world.config.nodes:
        rows = [key for key in world.machines[node].disk.values if key[:1] in b"iuftl"]
        kept = CYCLES - floor_after(CYCLES) + 1
        assert len(rows) <= 3 * kept + 2, "instances, feed, its index, incarnations, one floor"
        replica = world.replica(node)
        assert not replica.pending_work().keys() & {"lock queues", "keep-alives", "attempts"}
        assert len(replica.parts.leases) <= 1, "how the last term ended"
        assert replica.parts.acceptors.unlearned == 0


def test_a_term_that_is_learned_again_makes_no_term_forgotten_again() -> None:
    world = forgetful()
    cycles(world, 32)
    world.run(1_000)
    key = term_key("l", 32)
    decree = stored(world, N1, key).learned
    assert decree is not None
    said_again = step(world, N1, FromPeer(N2, Commit(key, decree)))
    assert not said_again.records and not said_again.sync


def test_no_fetched_term_is_learned_below_the_floor_that_another_one_raises() -> None:
    old = forgetful()
    cycles(old, 32)
    latest = stored(old, N1, term_key("l", 32)).learned
    assert latest is not None
    gone = replace(latest, key=term_key("l", 8))
    world = forgetful()
    before = world.replica(N3).node.feed_end
    world.post(N3, FromPeer(N1, Fetched((latest, gone))))
    world.settle()
    assert world.replica(N3).node.feed_end == before + 2, "the latest term, and the floor"
    assert has_forgotten(world, N3, 8)


# -- no votes on forgotten terms


def probe(world: World, node: NodeId, term: int) -> set[type]:
    """Ask a node every question about a term; returns the kinds of its answers."""
    key, decree = term_key("l", term), stored(world, node, term_key("l", 40)).learned
    assert decree is not None
    mark = len(world.sent)
    held = LeaseId("l", term - 1, b"id")
    for message in (
        Prepare(key, HIGH),
        Accept(key, HIGH, replace(decree, key=key)),
        Query(7, (key,)),
        Fetch((key,)),
        AskLease(7, held, 1_000, None),
        Renew(7, held, 1_000, None),
    ):
        world.post(node, FromPeer(N3 if node != N3 else N1, message))
    world.settle()
    said = [message for sender, _, message in world.sent[mark:] if sender == node]
    assert len(said) == 6, "each question has an answer"
    return {type(message) for message in said}


def test_a_forgotten_term_is_never_voted_on_again() -> None:
    world = forgetful()
    cycles(world, 40)
    world.run(1_000)
    for node in world.config.nodes:
        assert all(probe(world, node, term) == {ForgottenTerms} for term in (2, 10, 24))
    for node in world.config.nodes:
        world.crash(node)
    for node in world.config.nodes:
        world.boot(node)
    world.run(1_000)
    for node in world.config.nodes:
        assert all(probe(world, node, term) == {ForgottenTerms} for term in (2, 10, 24))
        assert has_forgotten(world, node, 24)
    assert lock_and_term(cycle(world, "n2").key)[1] == 41


def test_any_repeated_message_changes_nothing() -> None:
    world = forgetful()
    cycles(world, 40)
    world.run(1_000)
    before = {node: dict(world.machines[node].disk.values) for node in world.config.nodes}
    messages, world.sent = world.sent, []
    for sender, to, message in messages:
        world.post(to, FromPeer(sender, message))
        world.settle()
    forgotten = range(1, floor_after(40))
    assert not any(votes(world, node, t) for node in world.config.nodes for t in forgotten)
    assert all(_instances(world, n) == _only_instances(before[n]) for n in world.config.nodes)
    assert world.alarms == []


def _instances(world: World, node: NodeId) -> dict[bytes, bytes]:
    return _only_instances(world.machines[node].disk.values)


def _only_instances(rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: value for key, value in rows.items() if key[:1] in b"iul"}


def test_a_vote_that_is_forgotten_in_its_own_step_does_not_leave() -> None:
    world = forgetful()
    cycle(world)
    replica, storage = world.replica("n3"), world.machines[N3].storage
    assert storage is not None
    key = term_key("l", 5)
    events = [FromPeer(N1, Prepare(key, HIGH)), FromPeer(N2, ForgottenTerms("l", 9))]
    effects = replica.step(world.moment(), events, storage.load(replica.needs(events)))
    assert not any(isinstance(item.message, Promise) for item in effects.after)  # type: ignore[union-attr]
    storage.write(effects.records)
    assert has_forgotten(world, "n3", 5)


def test_a_floor_is_sent_only_after_the_batch_that_raised_it() -> None:
    world = forgetful()
    cycle(world)
    replica, storage = world.replica("n3"), world.machines[N3].storage
    assert storage is not None
    events = [
        FromPeer(N2, ForgottenTerms("l", 9)),
        FromPeer(N1, Prepare(term_key("l", 5), HIGH)),
    ]
    effects = replica.step(world.moment(), events, storage.load(replica.needs(events)))
    assert effects.at_once == []
    assert [item.message for item in effects.after] == [ForgottenTerms("l", 9)]  # type: ignore[union-attr]


def test_a_node_that_dies_at_any_write_remembers_its_votes_or_that_it_forgot_them() -> None:
    for number in range(12):
        for moment in ("before the write", "after the write"):
            world = forgetful()
            decrees = cycles(world, 30)
            world.run(1_000)
            seen = 0

            def dies(node: NodeId, when: str, at: int = number, moment: str = moment) -> bool:
                nonlocal seen
                seen += node == N2 and when == moment
                return node == N2 and when == moment and seen == at + 1

            world.dies = dies
            cycles(world, 4)
            world.dies = lambda *_: False
            if N2 not in world.up():
                world.boot(N2)
            for term, decree in enumerate(decrees, 1):
                gone = has_forgotten(world, "n2", term)
                assert gone or stored(world, "n2", decree.key).learned == decree
            world.run(3_000)
            assert has_forgotten(world, "n2", 24) and not has_forgotten(world, "n2", 25)
