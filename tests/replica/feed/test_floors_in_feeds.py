"""M16: a floor is told in the feed, and a reader forgets no more than it has to (design 11)."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from decreed.registry.config import ClusterConfig, LockTerms
from decreed.registry.disk import CursorRecord, FeedEntry, FeedRecord, ForgetRecord
from decreed.registry.locks.terms import term_key
from decreed.registry.paxos.messages import Commit, Prepare
from decreed.registry.replica.feed.truncation import CHECK_AT_ONCE, tells_floor
from decreed.registry.replica.step.effects import Effects, Reply
from decreed.registry.replica.step.events import Event, Expire, Fired, FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, decree_digest
from decreed.registry.wire.leases import ForgottenTerms
from decreed.registry.wire.peers import FLOOR_DIGEST, FeedPage, Fetch, Fetched, PeerMessage
from decreed.registry.wire.requests import WatchPage, WatchRequest
from decreed.storage.layout import instance_key

from ...support.batches import step
from ...support.forgetful import cycles, floor_after, forgetful, has_forgotten
from ...support.world import World, claim, config, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
SERIES = "$locks/l"


def feed(world: World, node: NodeId) -> Sequence[FeedEntry]:
    """All that the node's disk has of its feed."""
    storage = world.machines[node].storage
    assert storage is not None
    return storage.feed(0, 10_000)[0]


def floors(world: World, node: NodeId) -> list[str]:
    return [entry.key for entry in feed(world, node) if entry.digest == FLOOR_DIGEST]


def holds(world: World, node: NodeId, term: int) -> bool:
    """Whether a term is learned at a node and not forgotten."""
    return not has_forgotten(world, node, term) and (
        stored(world, node, term_key("l", term)).learned is not None
    )


def decreed(key: str) -> Decree:
    return Decree.of(claim(key, claim_id=key.encode()), Ballot(5, Process(N2, 1)), 0)


def commit(key: str) -> FromPeer:
    """A peer says that `key` is decided."""
    return FromPeer(N2, Commit(Key(key), decreed(key)))


def unequal(keep: int) -> World:
    """Two nodes that keep 8 terms, and a third that keeps more."""
    world = forgetful()
    world.crash(N3)
    world.boot(N3, long_memory(world, keep))
    return world


def long_memory(world: World, keep: int) -> ClusterConfig:
    return replace(world.config, locks=LockTerms(keep))


# -- who raises a floor


def test_M16_a_floor_and_the_entry_that_tells_it_are_one_batch() -> None:
    world = forgetful()
    cycles(world, 1)
    end = world.replica(N3).node.feed_end
    effects = step(world, N3, FromPeer(N2, ForgottenTerms("l", 9)))
    told = FeedRecord(end, (term_key("l", 8),), FLOOR_DIGEST)
    assert effects.sync and effects.records == [told, ForgetRecord(SERIES, 9, end)]
    assert world.replica(N3).node.feed_end == end + 1
    again = step(
        world, N3, FromPeer(N2, ForgottenTerms("l", 9)), FromPeer(N1, ForgottenTerms("l", 5))
    )
    assert again.records == [], "it is as high already"


def test_M16_each_node_tells_its_newest_floor_alone_and_after_what_it_deleted() -> None:
    world = forgetful()
    cycles(world, 70)
    world.run(1_000)
    for node in world.config.nodes:
        assert floors(world, node) == [term_key("l", floor_after(70) - 1)]
        kept = [entry.index for entry in feed(world, node) if entry.digest != FLOOR_DIGEST]
        [at] = [entry.index for entry in feed(world, node) if entry.digest == FLOOR_DIGEST]
        assert len(kept) == 70 - floor_after(70) + 1 and at > kept[0]
    assert world.alarms == []


def test_M16_no_floor_is_told_twice_after_a_restart() -> None:
    world = forgetful()
    cycles(world, 40)
    world.run(1_000)
    before = {node: list(feed(world, node)) for node in world.config.nodes}
    for node in world.config.nodes:
        world.crash(node)
        world.boot(node)
    world.run(2_000)
    step(world, N3, FromPeer(N2, ForgottenTerms("l", floor_after(40))))
    assert {node: list(feed(world, node)) for node in world.config.nodes} == before


# -- who reads it


@pytest.mark.parametrize("page", ["from memory", "from the disk"])
def test_M16_who_reads_a_feed_learns_that_its_deleted_terms_are_decided(page: str) -> None:
    world = forgetful()
    world.crash(N3)
    cycles(world, 40)
    world.crash(N2)
    if page == "from the disk":
        world.crash(N1)
        world.boot(N1)
    world.lose = lambda _, to, message: isinstance(message, ForgottenTerms | Commit)
    world.boot(N3)
    world.run(6_000)
    assert all(has_forgotten(world, N3, term) for term in range(1, floor_after(40)))
    assert all(holds(world, N3, term) for term in range(floor_after(40), 41))
    assert world.replica(N3).catchup.cursor(N1) == world.replica(N1).node.feed_end
    asked = [
        key for _, _, message in world.sent if isinstance(message, Fetch) for key in message.keys
    ]
    assert term_key("l", 3) not in asked, "what is forgotten there is not fetched"


def test_M08_a_page_over_deleted_entries_has_fewer_keys_than_indices_and_a_floor_behind() -> None:
    world = forgetful()
    world.crash(N3)
    cycles(world, 40)
    world.crash(N1)
    world.boot(N1)
    world.boot(N3)
    world.run(3_000)
    first = next(
        message
        for sender, to, message in world.sent
        if isinstance(message, FeedPage) and (sender, to) == (N1, N3)
    )
    assert len(first.keys) < first.next_start - first.start
    assert first.keys.index(term_key("l", floor_after(40) - 1)) > 0


def test_M16_a_node_with_a_longer_retention_keeps_its_terms() -> None:
    world = unequal(keep=1_000)
    cycles(world, 3 * CHECK_AT_ONCE)
    world.run(3_000)
    assert has_forgotten(world, N1, floor_after(3 * CHECK_AT_ONCE) - 1)
    assert all(holds(world, N3, term) for term in range(1, 3 * CHECK_AT_ONCE + 1))
    assert floors(world, N3) == []
    for peer in (N1, N2):
        assert world.replica(N3).catchup.cursor(peer) == world.replica(peer).node.feed_end


MISSED, COUNT = 20, 4 * CHECK_AT_ONCE


def missing_one() -> World:
    """A node with a long retention has missed one term until the others have forgotten it."""
    world = unequal(keep=1_000)
    cycles(world, MISSED - 1)
    world.run(1_000)
    world.crash(N3)
    cycles(world, 1)
    world.run(1_000)
    world.boot(N3, long_memory(world, 1_000))
    world.lose = lambda _, to, message: to == N3 and tells_missed(message)
    cycles(world, COUNT - MISSED)
    assert has_forgotten(world, N1, MISSED) and not holds(world, N3, MISSED)
    return world


def tells_missed(message: PeerMessage) -> bool:
    """Whether a message may tell a node of the term that it has missed."""
    missed = term_key("l", MISSED)
    match message:
        case Commit(key):
            return key == missed
        case Fetched(decrees):
            return any(decree.key == missed for decree in decrees)
        case _:
            return isinstance(message, FeedPage | ForgottenTerms)


def test_M16_reading_a_floor_raises_the_own_one_to_just_above_what_was_missed() -> None:
    world = missing_one()
    world.lose = lambda _, to, message: to == N3 and isinstance(message, ForgottenTerms)
    world.run(6_000)
    assert has_forgotten(world, N3, MISSED)
    assert all(holds(world, N3, term) for term in range(MISSED + 1, COUNT + 1))
    assert floors(world, N3) == [term_key("l", MISSED)]


def page_for(world: World) -> FeedPage:
    """The next page of n1's feed that n3 asks for; it is not delivered."""
    pages: list[FeedPage] = []

    def keep(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        if (sender, to) == (N1, N3) and isinstance(message, FeedPage):
            pages.append(message)
        return to == N3 and tells_missed(message)

    world.lose = keep
    world.run(8_000)
    return pages[-1]


def written(world: World, *events: Event) -> Effects:
    """The effects of a step of n3, whose records are written."""
    effects, storage = step(world, N3, *events), world.machines[N3].storage
    assert storage is not None
    storage.write(effects.records)
    return effects


def test_M16_the_cursor_moves_past_a_floor_in_the_batch_that_follows_it_and_not_before() -> None:
    world = missing_one()
    effects = written(world, FromPeer(N1, page_for(world)))
    while not any(isinstance(record, ForgetRecord) for record in effects.records):
        assert not any(isinstance(record, CursorRecord) for record in effects.records)
        assert effects.again, "terms from the floor down to the one that was missed are looked at"
        effects = written(world, *effects.again)
    assert [record.node for record in effects.records if isinstance(record, CursorRecord)] == [N1]
    assert effects.sync


def test_M16_a_page_that_has_all_its_decrees_still_waits_for_its_floors() -> None:
    world = missing_one()
    page, extra = page_for(world), commit("extra")
    digest = decree_digest(decreed("extra"))
    end = page.next_start + 1
    longer = replace(
        page,
        next_start=end,
        end=end,
        keys=(*page.keys, Key("extra")),
        digests=page.digests + digest,
    )
    follow = written(world, FromPeer(N1, longer)).again
    effects = written(world, extra)
    assert not any(isinstance(record, CursorRecord) for record in effects.records)
    while not any(isinstance(record, CursorRecord) for record in effects.records):
        effects = written(world, *follow)
        follow = effects.again
    assert any(isinstance(record, ForgetRecord) for record in effects.records)


def test_M16_a_node_whose_disk_has_failed_follows_no_floor() -> None:
    world = missing_one()
    effects = written(world, FromPeer(N1, page_for(world)))
    world.replica(N3).node.fail("told to")
    assert effects.again and step(world, N3, *effects.again).records == []


def test_M16_what_the_cursors_say_is_true_wherever_a_node_dies_while_it_catches_up() -> None:
    for number in range(14):
        for moment in ("before the write", "after the write"):
            world = forgetful()
            cycles(world, 4)
            world.run(1_000)
            world.crash(N3)
            cycles(world, 36)
            world.run(1_000)
            world.lose = lambda _, to, message: to == N3 and isinstance(message, ForgottenTerms)
            seen = 0

            def dies(node: NodeId, when: str, at: int = number, moment: str = moment) -> bool:
                nonlocal seen
                seen += node == N3 and when == moment
                return node == N3 and when == moment and seen == at + 1

            world.dies = dies
            world.boot(N3)
            world.run(500)
            world.dies = lambda *_: False
            if N3 not in world.up():
                world.lose = lambda _, to, message: (
                    to == N3
                )  # it has what its disk has, and no more
                world.boot(N3)
            for peer in (N1, N2):
                check_cursor(world, peer)


def check_cursor(world: World, peer: NodeId) -> None:
    """All that n3 has read of a peer's feed is learned at n3, or forgotten there."""
    cursor = world.replica(N3).catchup.cursor(peer)
    for entry in feed(world, peer):
        term = int(entry.key.rpartition("@")[2])
        if entry.index < cursor and entry.digest == FLOOR_DIGEST:
            assert all(
                has_forgotten(world, N3, n) or holds(world, N3, n) for n in range(1, term + 1)
            )
        elif entry.index < cursor:
            assert has_forgotten(world, N3, term) or holds(world, N3, term)


@pytest.mark.parametrize(
    ("key", "digest", "told"),
    [
        ("$locks/l@8", FLOOR_DIGEST, True),
        ("$locks/l@8", b"d" * 16, False),
        ("a/b@8", FLOOR_DIGEST, False),
        ("$locks/l", FLOOR_DIGEST, False),
        ("$locks/l@0", FLOOR_DIGEST, False),
        ("$locks/l@1@2", FLOOR_DIGEST, False),
        ("$locks/l@9999999999999999999", FLOOR_DIGEST, False),
    ],
)
def test_only_a_term_with_a_digest_of_zeros_tells_a_floor(
    key: str, digest: bytes, told: bool
) -> None:
    assert tells_floor(Key(key), digest) is told


# -- watches


def watching(world: World, prefix: str, index: int, timeout_ms: int) -> WatchRequest:
    position = world.at_entry(N3, index)
    return WatchRequest(world.new_id(), timeout_ms, prefix, position, 100)


def test_a_watch_steps_over_floors() -> None:
    world = forgetful()
    cycles(world, 40)
    world.run(1_000)
    end = world.replica(N3).node.feed_end
    page = world.ask(N3, watching(world, SERIES, 0, 500))
    assert isinstance(page, WatchPage) and not page.lost
    terms = [term_key("l", term) for term in range(floor_after(40), 41)]
    assert [decree.key for decree in page.decrees] == terms
    assert page.position.index == end
    assert world.alarms == []


def test_a_watch_that_runs_out_in_the_step_of_a_floor_gets_what_that_step_learned_next() -> None:
    world = World(config())
    world.run(1_000)
    effects = step(world, N3, FromClient(1, (watching(world, "", 0, 500),)))
    [over] = [wanted.timer for wanted in effects.timers if isinstance(wanted.timer, Expire)]
    told = FromPeer(N2, ForgottenTerms("l", 9))
    effects = step(world, N3, commit("x"), told, Fired(over))
    [page] = [item.answer for item in (*effects.at_once, *effects.after) if isinstance(item, Reply)]
    assert isinstance(page, WatchPage) and page.decrees == ()
    storage = world.machines[N3].storage
    assert storage is not None
    storage.write(effects.records)
    following = watching(world, "", page.position.index, 500)
    answer = world.ask(N3, following)
    assert isinstance(answer, WatchPage)
    assert [decree.key for decree in answer.decrees] == ["x"]


def test_the_feed_in_memory_has_the_floors_that_the_disk_has() -> None:
    world = forgetful()
    cycles(world, 40)
    world.run(1_000)
    end = world.replica(N1).node.settled_feed_end
    recent = world.replica(N1).parts.learner._recent
    page = recent.page(0, end)
    assert page is not None and len(page[0]) == end
    for entry in feed(world, N1):
        digest = page[1][16 * entry.index : 16 * (entry.index + 1)]
        assert (page[0][entry.index], digest) == (entry.key, entry.digest)


def test_a_cursor_moves_on_when_what_was_passed_over_is_forgotten() -> None:
    """n3 cannot read the record of the first term, so its cursors stay before it."""
    world = forgetful()
    world.lose = lambda sender, to, _: N3 in (sender, to)
    cycles(world, 3)
    first = term_key("l", 1)
    world.post(N3, FromPeer(N2, Prepare(first, Ballot.first(Process(N2, 9)))))
    world.settle()
    world.machines[N3].disk.lose(instance_key(first))
    world.lose = lambda *_: False
    world.run(5_000)
    feeds = world.replica(N3).parts.catchup
    assert feeds.passed_over() == {first} and feeds.cursor(N1) < feeds.read_end(N1)
    world.post(N3, FromPeer(N2, ForgottenTerms("l", 2)))
    world.run(1_000)
    assert feeds.passed_over() == frozenset()
    assert feeds.cursor(N1) == world.replica(N1).node.feed_end
