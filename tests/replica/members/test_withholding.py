"""M18: what no source can show is withheld: durably, in silence, until the decree is learned."""

import pytest

from decreed.registry.disk import EpochRecord, InstanceRecord, WithheldRecord
from decreed.registry.errors import Damaged
from decreed.registry.keys import home
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    Commit,
    Nack,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.members.withholding import Withholding
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal
from decreed.registry.unserved import WithheldInstance
from decreed.registry.wire.peers import (
    MAX_FETCH,
    AskedIn,
    AskState,
    Fetch,
    Fetched,
    Query,
    QueryAnswer,
    StatePage,
)
from decreed.registry.wire.requests import Decreed, Failed, GetRequest
from decreed.storage.layout import instance_key

from ...support.changed import N1, N2, N3, N4, decree_of, of_kind, prepared, said, sealed, step
from ...support.changing import ChangingWorld
from ...support.world import stored

KEY = Key("k")
STRANGER = Process(N2, 9)
BALLOT = Ballot.first(STRANGER)
DECREE = decree_of("k", BALLOT, bytes(9_000))  # so long that it has a row of its own on the disk
VOTES = (Promise, Nack, Accepted, QueryAnswer)


def half_done(*nodes: NodeId) -> ChangingWorld:
    """A cluster of three in which these nodes have accepted a value for KEY; nobody knows of it."""
    world = ChangingWorld([N4])
    for node in nodes:
        world.post(node, FromPeer(N2, Accept(KEY, BALLOT, DECREE)))
    world.settle()
    assert all(stored(world, node, KEY).accepted for node in nodes)
    return world


def withheld() -> ChangingWorld:
    """KEY was chosen by n1 and n3. n3 is off, n1 cannot read what it accepted, and n4 replaces n3."""
    world = half_done(N1, N3)
    world.crash(N3)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    return world


def is_withheld(world: ChangingWorld, node: NodeId) -> bool:
    storage = world.machines[node].storage
    assert storage is not None
    return isinstance(storage.load([KEY])[KEY], WithheldInstance)


def test_M18_a_key_that_a_source_cannot_show_is_withheld_and_all_others_are_served() -> None:
    world = withheld()
    assert [node for node in (N1, N2, N4) if is_withheld(world, node)] == [N2, N4]
    assert world.freeze(N4, "other").decree.ballot.epoch == 1


def test_M18_nobody_says_that_nothing_is_there() -> None:
    world = withheld()
    for node in (N1, N2, N4):
        answer = world.ask(node, GetRequest(world.new_id(), 1_000, KEY))
        assert isinstance(answer, Failed) and answer.code == Damaged.code
        assert node == N1 or "withheld since epoch 1" in answer.message
        asked = FromPeer(N2, AskedIn(1, Query(1, (KEY,))))
        ballot = Ballot.first(STRANGER, 1)
        accept = FromPeer(N2, Accept(KEY, ballot, decree_of("k", ballot, b"other")))
        effects = step(world, node, asked, prepared(N2, KEY, ballot), accept)
        assert of_kind(said(effects), *VOTES) == []


def test_M18_the_silence_outlives_a_restart() -> None:
    world = withheld()
    for node in (N1, N2, N4):
        world.crash(node)
    for node in (N1, N2, N4):
        world.boot(node)
    world.run(2_000)
    assert world.voters() == [N1, N2, N4]
    answer = world.ask(N4, GetRequest(world.new_id(), 1_000, KEY))
    assert isinstance(answer, Failed) and answer.code == Damaged.code


def test_M18_the_decree_ends_the_silence() -> None:
    world = withheld()
    world.post(N2, FromPeer(N3, Commit(KEY, DECREE)))
    world.run(10_000)
    for node in (N2, N4):
        assert stored(world, node, KEY).learned == DECREE
        read = world.ask(node, GetRequest(world.new_id(), 1_000, KEY))
        assert isinstance(read, Decreed) and read.decree == DECREE
        assert "withheld" not in world.replica(node).pending_work()


@pytest.mark.parametrize("restarted", [False, True])
def test_M18_a_node_goes_on_asking_for_the_decree_of_what_it_withholds(restarted: bool) -> None:
    world = withheld()
    if restarted:
        world.crash(N4)
        world.boot(N4)
    sent = len(world.sent)
    world.run(2 * world.config.timing.finish_ms)
    asked = {to for sender, to, message in world.sent[sent:] if message == Fetch((KEY,))}
    assert {N1, N2} <= asked


def test_M18_no_cursor_passes_over_what_is_withheld() -> None:
    world = withheld()
    world.lose = lambda _, to, message: to == N4 and isinstance(message, Fetched | Commit)
    world.post(N2, FromPeer(N3, Commit(KEY, DECREE)))
    world.run(5_000)
    assert world.replica(N4).catchup.cursor(N2) < world.replica(N2).node.feed_end


def test_M18_the_silence_is_in_the_batch_of_readiness_and_what_was_adopted_is_not() -> None:
    """n4 is shown a value for KEY by n2, and n1 cannot say whether that is the highest."""
    world = sealed()
    node, parts = world.replica(N4).node, world.replica(N4).parts
    token, ends = parts.taking_over.token, {n: parts.catchup.cursor(n) for n in (N1, N3)}
    nothing = StatePage(token, 1, None, 1, False, (), (), None, ends[N3])
    named = StatePage(token, 1, None, 1, False, (), (KEY,), None, ends[N1])
    first = step(world, N4, FromPeer(N3, nothing), FromPeer(N1, named))
    assert not node.voting, "the instance of KEY is not loaded yet"
    shown = StatePage(token, 1, None, 1, False, (Proposal(BALLOT, DECREE),), (), KEY, 0)
    late = prepared(N2, KEY, Ballot.first(STRANGER, 1))
    effects = step(world, N4, FromPeer(N2, shown), *first.again, late)
    assert node.voting and effects.sync
    assert WithheldRecord(KEY, 1) in effects.records
    assert EpochRecord(1, 1, node.feed_end, 1) in effects.records
    assert not any(isinstance(r, InstanceRecord) and r.key == KEY for r in effects.records)
    assert of_kind(said(effects), *VOTES) == []


def test_M18_a_seal_before_the_end_of_taking_over_begins_it_again() -> None:
    world = sealed()
    node, parts = world.replica(N4).node, world.replica(N4).parts
    token, ends = parts.taking_over.token, {n: parts.catchup.cursor(n) for n in (N1, N3)}
    pages = [
        FromPeer(n, StatePage(token, 1, None, 1, False, (), (KEY,), None, end))
        for n, end in ends.items()
    ]
    first = step(world, N4, *pages)
    change = MembersChange(world.epoch(2, N1, N2, N4), node.epoch, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), Ballot.first(STRANGER, 1), 0)
    step(world, N4, FromPeer(N2, Commit(decree.key, decree)), *first.again)
    assert (node.seat.known, node.seat.ready) == (2, None)


def test_M18_what_a_source_withholds_it_names_and_reports() -> None:
    world = withheld()
    pages = of_kind(said(step(world, N4, FromPeer(N1, AskState(1, 1, None)))), StatePage)
    assert [page.unreadable for page in pages if isinstance(page, StatePage)] == [(KEY,)]
    ballot, digest = Ballot.of_home(Process(N2, 9), 1), world.config.class_digest
    node = world.replica(N4).node
    asked = FromPeer(N2, PrepareClass(ballot, digest(node.epoch)))
    promises = of_kind(said(step(world, N4, asked)), PromiseClass)
    reports = [p.unlearned for p in promises if isinstance(p, PromiseClass)]
    assert reports in ([(KEY,)], [()])
    assert reports == ([(KEY,)] if _home_of_key(world) == N2 else [()])


def _home_of_key(world: ChangingWorld) -> NodeId:
    return home(KEY, world.replica(N4).node.nodes)


def test_M18_a_proposal_is_not_adopted_into_a_damaged_record_so_its_key_is_withheld() -> None:
    world = sealed()
    parts, disk = world.replica(N4).parts, world.machines[N4].disk
    disk.values[instance_key(KEY)] = b"not an instance"
    disk.damages += 1  # so that no cache hides it
    shown = Proposal(BALLOT, DECREE)
    pages = [
        StatePage(parts.taking_over.token, 1, None, 1, False, (shown,), (), None, cursor)
        for cursor in (parts.catchup.cursor(N1), parts.catchup.cursor(N2))
    ]
    effects = step(world, N4, FromPeer(N1, pages[0]), FromPeer(N2, pages[1]))
    records = step(world, N4, *effects.again).records
    assert WithheldRecord(KEY, 1) in records and world.replica(N4).node.voting


def test_M18_what_a_seal_quorum_shows_is_not_withheld() -> None:
    world = half_done(N1, N3)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.lose = lambda sender, _, message: isinstance(message, StatePage) and sender == N1
    world.change(N2, N1, N2, N4)
    assert not is_withheld(world, N4)
    assert stored(world, N4, KEY).accepted or stored(world, N4, KEY).learned


def test_M18_of_many_keys_each_is_asked_for_in_its_turn() -> None:
    """Those that are asked for first may be known to nobody."""
    world = ChangingWorld()
    keys = [Key(f"k{number:04}") for number in range(2 * MAX_FETCH + 1)]
    silent = Withholding(world.replica(N1).node, keys)
    asked = set[Key]()
    for _ in range(3):
        builder = world.builder()
        silent.sweep(builder)
        fetches = of_kind(said(builder.finish()), Fetch)
        asked.update(key for each in fetches if isinstance(each, Fetch) for key in each.keys)
    assert asked == set(keys) == set(silent.keys)
