"""Marks: what a node that learned from a snapshot need not be told again, and when it is told all."""

import pytest
from msgspec.structs import replace

from decreed.registry.locks.terms import term_key
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.feed.marks import Marks
from decreed.registry.replica.members.withholding import Withholding
from decreed.registry.replica.step.events import FromPeer, Seeded
from decreed.registry.types import Decree, Key, NodeId
from decreed.registry.wire.marks import FeedMark, MarkRequest, MarkTold
from decreed.registry.wire.peers import FeedPage, Fetch, Pull
from decreed.storage.layout import instance_key
from decreed.storage.memory import MemoryDisk

from ...support.changing import ChangingWorld
from ...support.forgetful import cycles, forgetful, has_forgotten
from ...support.machine import Machine
from ...support.world import World, stored

N1, N2, N4 = NodeId("n1"), NodeId("n2"), NodeId("n4")
COUNT = 30


def mark_of(world: World, node: NodeId) -> FeedMark | None:
    """Where a node says that its feed ends."""
    answer = world.ask(node, MarkRequest(world.new_id()))
    assert isinstance(answer, MarkTold) and answer.node == node
    return answer.mark


def marks_of(world: World) -> tuple[FeedMark, ...]:
    marks = [mark_of(world, node) for node in world.config.nodes]
    assert None not in marks
    return tuple([mark for mark in marks if mark is not None])


class Joining:
    """A cluster with frozen keys, of which the disks tell the feeds; n4 joins it with a seed."""

    def __init__(self) -> None:
        self.world = world = ChangingWorld()
        self.decrees = [world.freeze(N1, f"k{n:04}").decree for n in range(COUNT)]
        world.run(1_000)  # until all of it is durable everywhere
        self.marks = marks_of(world)

    def restart(self) -> None:
        """A node that has just started has nothing of its feed in memory."""
        for node in self.world.config.nodes:
            self.world.crash(node)
            self.world.boot(node)
            self.world.run(1_000)

    def join(self) -> None:
        self.world.machines[N4] = Machine(MemoryDisk(N4))
        self.world.boot(N4)
        self.world.replica(N4).parts.seeding.wait()
        self.world.run(1_000)
        self.world.disks[N4] = self.world.replica(N4).node.identity.disk_id

    def seed(
        self,
        decrees: list[Decree] | None = None,
        marks: tuple[FeedMark, ...] | None = None,
        count: int = COUNT,
    ) -> None:
        formation = self.world.replica(N1).node.identity.formation
        assert formation is not None
        given = tuple(self.decrees if decrees is None else decrees)
        told = self.marks if marks is None else marks
        self.world.post(N4, Seeded(formation, given, True, count, told))
        self.world.run(3_000)

    @property
    def known_below(self) -> set[int]:
        """What n4 said that it knows when it asked for pages."""
        asked = [m for sender, _, m in self.world.sent if sender == N4 and isinstance(m, Pull)]
        assert asked
        return {pull.known_below for pull in asked}

    @property
    def told(self) -> list[Key]:
        """The keys in the pages that n4 was sent."""
        pages = [m for _, to, m in self.world.sent if to == N4 and isinstance(m, FeedPage)]
        return [key for page in pages for key in page.keys]

    @property
    def cursors(self) -> list[int]:
        return [self.world.replica(N4).catchup.cursor(node) for node in self.world.config.nodes]


@pytest.fixture
def joining() -> Joining:
    made = Joining()
    made.restart()
    made.marks = marks_of(made.world)
    return made


def test_M08_what_is_below_a_mark_is_not_told_again_and_the_cursors_move_by_pages(
    joining: Joining,
) -> None:
    joining.join()
    joining.seed()
    assert joining.known_below == {COUNT} and joining.told == []
    assert joining.cursors == [COUNT] * 3
    assert all(stored(joining.world, N4, one.key).learned == one for one in joining.decrees)


def test_what_came_after_the_mark_is_told(joining: Joining) -> None:
    later = joining.world.freeze(N1, "later").decree
    joining.join()
    joining.seed()
    assert (
        joining.told.count(later.key) == 3 and stored(joining.world, N4, "later").learned == later
    )
    assert joining.cursors == [COUNT + 1] * 3


def test_reserved_keys_are_told_below_a_mark_too(joining: Joining) -> None:
    """No snapshot has changes of members, and a lock may have terms that one has not."""
    world = joining.world
    world.change("n1", "n1", "n2", "n3")
    joining.restart()
    joining.marks = marks_of(world)
    assert joining.marks[0].index == COUNT + 1
    joining.join()
    joining.seed()
    assert set(joining.told) == {Key("$members@1")}
    assert (
        stored(world, N4, "$members@1").learned is not None and joining.cursors == [COUNT + 1] * 3
    )


def test_M16_floors_below_a_mark_are_followed() -> None:
    world = forgetful()
    cycles(world, 40)
    gone = [n for n in range(1, 40) if has_forgotten(world, N1, n)]
    assert gone
    for node in world.config.nodes:
        world.crash(node)
        world.boot(node)
        world.run(1_000)
    marks = marks_of(world)
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.joiners.add(N4)
    world.boot(N4)
    world.replica(N4).parts.seeding.wait()
    world.run(1_000)
    formation = world.replica(N1).node.identity.formation
    assert formation is not None
    world.post(N4, Seeded(formation, (), True, 0, marks))
    world.run(10_000)
    assert world.replica(N4).catchup.cursor(N1) == world.replica(N1).node.feed_end
    for number in range(1, max(gone) + 1):
        learned = not has_forgotten(world, N4, number) and (
            stored(world, N4, term_key("l", number)).learned is not None
        )
        assert learned or has_forgotten(world, N4, number)


def test_M20_the_mark_of_another_directory_counts_for_nothing(joining: Joining) -> None:
    joining.join()
    other = tuple(replace(mark, disk_id=b"another disk id!") for mark in joining.marks)
    joining.seed(marks=other)
    assert joining.known_below == {0} and len(joining.told) == 3 * COUNT


def test_M08_a_voter_that_was_set_back_within_the_incarnation_of_its_mark_tells_what_it_has(
    joining: Joining,
) -> None:
    """Agreement bears one of three: what it has chosen since stands in its feed below the mark."""
    world = joining.world
    copy = world.machines[N1].disk.copy()
    gone = world.freeze(N2, "gone").decree
    world.run(1_000)
    joining.marks, joining.decrees = marks_of(world), [*joining.decrees, gone]
    world.crash(N1)
    world.lose = lambda sender, to, _: N1 in (sender, to)  # so it does not learn that again
    world.machines[N1] = Machine(copy)
    world.boot(N1)
    world.run(1_000)
    later = replace(gone, key=Key("later"))
    world.post(N1, FromPeer(N2, Commit(later.key, later)))
    world.run(1_000)
    world.crash(N1)  # its feed is told from the disk
    world.boot(N1)
    joining.join()
    world.lose = lambda sender, to, _: {sender, to} not in ({N1, N4}, {N4})
    joining.seed(count=COUNT + 1)
    assert world.replica(N4).catchup.cursor(N1) == COUNT + 1
    assert stored(world, N4, "later").learned == later


def test_the_mark_of_another_incarnation_counts_for_nothing(joining: Joining) -> None:
    """A directory that was set back since shows an earlier one, or the next one."""
    joining.join()
    later = tuple(replace(mark, incarnation=9) for mark in joining.marks)
    joining.seed(marks=later)
    assert joining.known_below == {0} and len(joining.told) == 3 * COUNT


def test_marks_of_a_seed_that_was_not_given_whole_count_for_nothing(joining: Joining) -> None:
    joining.join()
    joining.seed(joining.decrees[1:])
    assert joining.known_below == {0}
    assert stored(joining.world, N4, joining.decrees[0].key).learned == joining.decrees[0]


def test_M18_a_key_that_cannot_be_learned_here_is_met_in_the_feeds(joining: Joining) -> None:
    joining.join()
    disk = joining.world.machines[N4].disk
    disk.write({instance_key(joining.decrees[3].key): b"damaged"})
    disk.damages += 1
    joining.seed()
    assert joining.known_below == {0}, "the cursor stays before the key"
    assert max(joining.cursors) <= 3


def test_marks_are_forgotten_at_a_restart(joining: Joining) -> None:
    joining.join()
    joining.seed()
    joining.world.crash(N4)
    joining.world.boot(N4)
    later = joining.world.freeze(N1, "later").decree
    joining.world.run(2_000)
    assert joining.cursors == [COUNT + 1] * 3 and later.key in joining.told
    assert joining.world.replica(N4).parts.seeding.is_useful is False


def test_M09_a_node_with_marks_takes_over_and_votes(joining: Joining) -> None:
    joining.join()
    joining.seed()
    joining.world.change("n1", "n1", "n2", "n4")
    joining.world.run(3_000)
    assert joining.world.replica(N4).node.voting and joining.world.ready()[N4] == 1
    fetched = [m for s, _, m in joining.world.sent if s == N4 and isinstance(m, Fetch)]
    assert {key for message in fetched for key in message.keys} <= {Key("$members@1")}


def test_a_mark_is_of_what_is_durable(joining: Joining) -> None:
    node = joining.world.replica(N1).node
    node.settled_feed_end -= 1
    mark = mark_of(joining.world, N1)
    assert mark == FeedMark(N1, node.identity.disk_id, node.identity.incarnation, COUNT - 1)


def test_a_node_that_has_met_damage_tells_no_mark(joining: Joining) -> None:
    node = joining.world.replica(N1).node
    node.met_damage.note(joining.world.builder(), "a record is damaged")
    assert mark_of(joining.world, N1) is None and mark_of(joining.world, N2) is not None


def test_a_node_that_withholds_a_key_tells_no_mark(
    joining: Joining, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Withholding, "keys", property(lambda _: {Key("k")}))
    assert mark_of(joining.world, N1) is None


def test_a_node_without_a_vote_tells_no_mark(joining: Joining) -> None:
    joining.join()
    assert mark_of(joining.world, N4) is None


def test_no_mark_is_used_for_a_peer_that_is_not_known() -> None:
    marks = Marks(lambda _: None)
    marks.use((FeedMark(N1, bytes(16), 1, 7),))
    assert marks.of(N1) == 0
