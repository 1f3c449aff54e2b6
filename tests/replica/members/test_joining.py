"""M19 and M20 in a whole cluster: who is admitted, whose answers count, and what a directory knows."""

import pytest
from msgspec.structs import replace

from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.disk import CursorRecord, PeerRecord, PeerSeatRecord
from decreed.registry.errors import Refused
from decreed.registry.replica.peer_memory import PeerMemory
from decreed.registry.replica.step.effects import Reject
from decreed.registry.replica.step.events import Greeted, Left, Reachable, Welcomed
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import NO_MEMBERS, PeerIdentity, Refusal
from decreed.registry.wire.peers import Query, QueryAnswer, SeatTold, StatePage
from decreed.registry.wire.requests import Decreed, Failed, GetRequest, ListPage, ListRequest

from ...support.changing import ChangingWorld
from ...support.world import CLUSTER_ID, claim, config, stored

N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))


def with_empty_directory(world: ChangingWorld, node: NodeId) -> bytes:
    """A member's disk has died, and its name joins with an empty one; returns the disk that died."""
    before = world.replica(node).node.identity.disk_id
    world.wipe(node)
    world.joiners.add(node)
    world.boot(node)
    world.run(100)
    world.disks[node] = world.replica(node).node.identity.disk_id
    return before


def other_file() -> ClusterConfig:
    """A file that names none of the nodes of a test."""
    return parse_config({"cluster_id": CLUSTER_ID, "members": {"elsewhere": "127.0.0.1:1"}})


def joiner(world: ChangingWorld, name: str = "x") -> PeerIdentity:
    """The identity of a directory that joins, and is up nowhere."""
    sound = world.replica(N1).membership.identity()
    digits = name.encode()[:16].ljust(16, b".")
    return replace(sound, node=NodeId(name), digest=NO_MEMBERS, disk_id=digits, formation=None)


def reasons(world: ChangingWorld, node: str) -> list[str]:
    return [reason for refused, reason in world.rejected if refused == node]


# -- observers


def test_M19_a_joiner_takes_the_formation_of_a_member_and_learns_and_does_not_vote() -> None:
    world = ChangingWorld([N4])
    decree = world.freeze(N1, "k").decree
    world.run(1_000)
    node = world.replica(N4).node
    assert node.identity.formation == world.replica(N1).node.identity.formation
    assert stored(world, N4, "k").learned == decree
    assert not node.voting and not node.takes_part
    read = world.ask(N4, GetRequest(world.new_id(), 1_000, claim("k").key))
    assert isinstance(read, Decreed)


def test_M19_a_joiner_that_knows_no_decree_of_members_makes_no_page_of_a_list() -> None:
    """Its file may be of any time: with too small a quorum a page would lack what is decided."""
    world = ChangingWorld([N4])
    world.run(100)
    answer = world.ask(N4, ListRequest(world.new_id(), 1_000, "", "", 10))
    assert isinstance(answer, Failed) and "no decree of members names it" in answer.message


def test_M19_a_joiner_learns_of_the_latest_epoch_and_then_makes_pages_of_lists() -> None:
    world = ChangingWorld([N4, N5])
    world.crash(N5)
    world.freeze(N1, "k")
    world.change(N1, N1, N2, N4)
    world.boot(N5)
    world.run(3_000)
    node = world.replica(N5).node
    assert node.seat.known == 1 and node.seat.ready is None and not node.takes_part
    page = world.ask(N5, ListRequest(world.new_id(), 1_000, "", "", 10))
    assert isinstance(page, ListPage) and [decree.key for decree in page.decrees] == ["k"]


@pytest.mark.parametrize("known", [True, False], ids=["in the file", "not in the file"])
def test_M19_the_cluster_does_not_form_with_a_directory_that_joins(known: bool) -> None:
    world = ChangingWorld()
    for node in (N1, N2, N3):
        world.wipe(node)
    name = N3 if known else N4
    world.machines.setdefault(name, world.machines[N3].__class__(world.machines[N3].disk))
    world.joiners.add(name)
    for node in (N1, N2, name):
        world.boot(node)
    world.run(2_000)
    assert not any(world.replica(node).node.formed for node in (N1, N2, name))
    assert any("has not formed yet" in reason for reason in reasons(world, N1))


def test_M19_guests_are_not_remembered_on_the_disk_and_are_limited() -> None:
    limits = replace(config().limits, max_guests=3)
    world = ChangingWorld(cluster=replace(config(), limits=limits))
    for number in range(3):
        world.replica(N1).membership.on_greeted(
            world.builder(), Greeted(number, joiner(world, f"x{number}"), 0, None)
        )
    guests = world.replica(N1).node.guests
    assert len(guests) == 3
    one_more = Greeted(99, joiner(world, "late"), 0, None)
    step = world.builder()
    assert not world.replica(N1).membership.on_greeted(step, one_more)
    [said] = [item.refusal for item in step.finish().at_once if isinstance(item, Reject)]
    assert isinstance(said, Refusal) and said.code == Refused.code
    assert "3 nodes without a vote are linked to n1, which is its limit" in said.message
    assert "limits.max_guests" in said.message
    world.replica(N1).membership.on_left(Left(0, NodeId("x0")))
    assert world.replica(N1).membership.on_greeted(world.builder(), one_more)
    assert all(world.replica(N1).membership.known(guest) is None for guest in guests)


@pytest.mark.parametrize("ends", [(7, 8), (8, 7)])
def test_M19_a_guest_stays_as_long_as_one_of_its_links_lasts(ends: tuple[int, int]) -> None:
    """One that dials twice at a time keeps the link that was welcomed first there."""
    world = ChangingWorld()
    membership, shown = world.replica(N1).membership, joiner(world)
    for link in (7, 8):
        membership.on_greeted(world.builder(), Greeted(link, shown, 0, None))
    membership.on_left(Left(ends[0], shown.node))
    assert shown.node in world.replica(N1).node.guests
    membership.on_left(Left(ends[1], shown.node))
    assert shown.node not in world.replica(N1).node.guests


@pytest.mark.parametrize("ends", [(7, 8), (8, 7)])
def test_M20_a_member_keeps_its_name_as_long_as_one_of_its_links_lasts(
    ends: tuple[int, int],
) -> None:
    world = ChangingWorld()
    sound = world.replica(N3).membership.identity()
    world.crash(N3)
    world.run(100)
    membership, namesake = world.replica(N1).membership, replace(joiner(world), node=N3)
    for link in (7, 8):
        assert membership.on_greeted(world.builder(), Greeted(link, sound, 0, None))
    membership.on_left(Left(ends[0], N3))
    assert not membership.on_greeted(world.builder(), Greeted(9, namesake, 0, None))
    membership.on_left(Left(ends[1], N3))
    assert membership.on_greeted(world.builder(), Greeted(9, namesake, 0, None))


# -- a name that is used again


def test_M20_the_answers_of_an_empty_directory_under_a_voters_name_do_not_count() -> None:
    world = ChangingWorld()
    with_empty_directory(world, N3)
    world.lose = lambda _, __, message: isinstance(message, Query | QueryAnswer)
    mark = world.send(N1, GetRequest(world.new_id(), 5_000, claim("open").key))
    world.run(100)
    [token] = world.replica(N1).parts.reads.groups.open
    from_guest = QueryAnswer(token)
    step = world.builder()
    world.replica(N1)._peers.on_message(step, N3, from_guest)
    world.settle()
    assert world.answers[mark] == [], "n1 and a namesake of n3 are no quorum"


def test_M20_an_empty_directory_under_a_voters_name_changes_nothing_that_is_remembered() -> None:
    world = ChangingWorld()
    known = world.replica(N1).membership.known(N3)
    with_empty_directory(world, N3)
    assert world.replica(N1).membership.known(N3) == known
    assert not world.replica(N3).node.voting
    world.freeze(N1, "k")


def test_M20_a_namesake_stays_a_guest_when_its_name_is_only_one_of_the_epoch_before() -> None:
    world = ChangingWorld([N4])
    with_empty_directory(world, N3)
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.propose(N1, world.epoch(1, N1, N2, N4))
    world.run(500)
    for _ in range(2):
        node = world.replica(N1).node
        assert node.seat.known == 1 and N3 in node.sources and node.guests == {N3}
        world.meet()
        world.run(500)


def test_M20_a_disk_that_joined_and_was_replaced_does_not_count_for_its_name() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    before = with_empty_directory(world, N4)
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]
    world.crash(N4)
    world.settle()
    sound = world.replica(N1).membership.identity()
    old = replace(sound, node=N4, disk_id=before, digest=NO_MEMBERS, incarnation=9)
    world.replica(N1).membership.on_greeted(world.builder(), Greeted(4711, old, 0, None))
    assert N4 in world.replica(N1).node.guests
    assert world.replica(N1).membership.disk_of(N4) == world.disks[N4]


def test_M20_an_empty_directory_is_refused_while_the_member_with_its_name_is_up() -> None:
    world = ChangingWorld()
    world.post(N1, Greeted(4711, replace(joiner(world), node=N3), 0, None))
    world.settle()
    assert any("is up with another directory" in reason for reason in reasons(world, N3))
    assert N3 not in world.replica(N1).node.guests


def test_M20_a_member_that_is_back_takes_its_name_from_the_guest() -> None:
    world = ChangingWorld()
    sound = world.replica(N3).membership.identity()
    with_empty_directory(world, N3)
    membership, guests = world.replica(N1).membership, world.replica(N1).node.guests
    assert guests == {N3}
    assert membership.on_greeted(world.builder(), Greeted(8, sound, 0, None))
    assert guests == set()
    namesake = replace(joiner(world), node=N3)
    assert not membership.on_greeted(world.builder(), Greeted(9, namesake, 0, None))
    dialled = Welcomed(10, namesake, None, bytes(32))
    assert not membership.on_welcomed(world.builder(), dialled), "an address may lead to either"
    membership.on_greeted(world.builder(), Greeted(11, sound, 0, None))
    membership.on_left(Left(11, N3))
    assert not membership.on_greeted(world.builder(), Greeted(12, namesake, 0, None)), "it is up"
    membership.on_left(Left(8, N3))
    assert membership.on_greeted(world.builder(), Greeted(13, namesake, 0, None))


def test_M20_a_wiped_directory_that_does_not_say_that_it_joins_is_refused_as_ever() -> None:
    world = ChangingWorld()
    world.wipe(N3)
    world.boot(N3)
    world.run(100)
    assert any("wiped or replaced" in reason for reason in reasons(world, N3))


def test_M20_a_disk_that_a_decree_names_takes_the_place_of_the_one_before() -> None:
    world = ChangingWorld()
    world.freeze(N3, "before")
    for _ in range(3):  # the old disk has a higher incarnation and a longer feed than the new one
        world.crash(N3)
        world.boot(N3)
    world.run(1_000)
    before = with_empty_directory(world, N3)
    world.change(N1, N1, N2, N3)
    assert world.voters() == [N1, N2, N3]
    assert world.replica(N1).membership.disk_of(N3) == world.disks[N3] != before
    world.crash(N2)
    assert world.freeze(N3, "after").decree.ballot.epoch == 1
    assert world.alarms == []


def test_M20_the_feed_of_a_second_disk_is_read_from_its_beginning() -> None:
    world, first = ChangingWorld(), b"1" * 16
    cursors = {N3: CursorRecord(N3, first, 9)}
    memory = PeerMemory([PeerRecord(N3, first, 4, b"n" * 16)], cursors)
    second, step = replace(joiner(world), node=N3), world.builder()
    assert memory.record(step, second, None), "another disk has the name"
    assert cursors == {N3: CursorRecord(N3, second.disk_id, 0)}
    assert cursors[N3] in step.finish().records
    assert not memory.record(world.builder(), second, None)


def test_M20_a_second_disk_of_a_name_is_not_measured_by_the_seat_of_the_first() -> None:
    world = ChangingWorld()
    for _ in range(3):
        world.crash(N3)
        world.boot(N3)
    world.change(N1, N1, N2, N3)
    assert world.voters() == [N1, N2, N3]
    with_empty_directory(world, N3)
    world.change(N1, N1, N2, N3)
    assert world.voters() == [N1, N2, N3]
    world.crash(N2)
    assert world.freeze(N3, "after").decree.ballot.epoch == 2
    recovered = reopened(world, N1)
    assert [seat.known for seat in recovered if seat.node == N3] == [2]


def test_M20_that_the_first_disks_seat_is_forgotten_survives_a_crash() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N3, N4)
    step = world.builder()
    world.replica(N1).parts.seats.on_replaced(step, N3)
    assert step.finish().records == [PeerSeatRecord(N3, 0, 0, None, 0)]


def reopened(world: ChangingWorld, node: NodeId) -> tuple[PeerSeatRecord, ...]:
    world.crash(node)
    world.boot(node)
    storage = world.machines[node].storage
    assert storage is not None
    return storage.recovered().seats


def test_M20_a_second_disk_is_no_source_of_the_epoch_in_which_the_first_one_voted() -> None:
    """Its own state and one page are two voters' only by name: it would be ready with half of it."""
    world = ChangingWorld()
    with_empty_directory(world, N3)
    world.lose = lambda sender, to, message: (
        isinstance(message, StatePage) and (sender, to) != (N1, N3)
    )
    world.change(N1, N1, N2, N3, ms=300)
    assert world.ready() == {N1: 0, N2: 0, N3: None}
    world.lose = lambda *_: False
    world.run(2_000)
    assert world.voters() == [N1, N2, N3]


def test_M20_the_disk_that_was_replaced_is_refused() -> None:
    world = ChangingWorld()
    before = with_empty_directory(world, N3)
    world.change(N1, N1, N2, N3)
    sound = world.replica(N1).membership.identity()
    shown = replace(sound, node=N3, disk_id=before)
    world.post(N1, Greeted(4711, shown, 0, None))
    world.settle()
    assert any("given to another directory (epoch 1)" in reason for reason in reasons(world, N3))


# -- the directory that knows better than the file


def test_M19_after_a_change_a_node_starts_with_any_file() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "before")
    world.change(N1, N1, N2, N4)
    for node in (N1, N2, N4):
        world.crash(node)
    for node in (N1, N2, N4):
        world.boot(node, replace(other_file(), timing=world.config.timing))
    world.run(2_000)
    assert world.voters() == [N1, N2, N4]
    assert world.freeze(N4, "after").decree.ballot.epoch == 1
    assert world.rejected == []


def test_M14_homes_agree_after_a_change_whatever_their_files_say() -> None:
    """The digest of a class promise is of the epoch, and no more of the file."""
    one, other, epoch = config(3), other_file(), ChangingWorld([N4]).epoch(1, N1, N2, N4)
    assert one.class_digest(epoch) == other.class_digest(epoch)
    assert one.class_digest() != other.class_digest()
    assert one.class_digest(epoch) != one.class_digest(replace(epoch, number=2))


def test_M19_a_sleeper_learns_of_the_changes_from_a_node_that_it_has_never_heard_of() -> None:
    world = ChangingWorld([N4, N5])
    world.crash(N3)
    world.change(N1, N1, N3, N4)
    world.change(N1, N3, N4, N5)
    assert world.voters() == [N4, N5]
    world.crash(N1)
    world.crash(N2)
    world.boot(N3)
    world.run(3_000)
    assert world.voters() == [N3, N4, N5]
    world.crash(N5)
    assert world.freeze(N3, "after").decree.ballot.epoch == 2


def test_M19_what_a_guest_says_of_its_seat_is_not_remembered_and_leads_to_the_decree() -> None:
    world = ChangingWorld([N4])
    world.run(100)
    step = world.builder()
    world.replica(N1)._peers.on_message(step, N4, SeatTold(world.disks[N4], 9, 3, 3, 0))
    effects = step.finish()
    assert N4 in world.replica(N1).node.guests
    assert effects.records == [] and "$members@3" in repr(effects.at_once)


def test_M19_the_voters_of_the_epoch_before_are_left_when_all_of_the_new_one_are_ready() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=300)
    assert N3 in world.replica(N1).node.sources
    world.lose = lambda *_: False
    world.run(2_000)
    assert world.voters() == [N1, N2, N4]
    assert {node: world.replica(node).node.sources for node in (N1, N4)} == {
        N1: (N2, N4),
        N4: (N1, N2),
    }
    world.crash(N1)
    world.boot(N1)
    assert world.replica(N1).node.sources == (N2, N4), "a restart does not look for them again"


def test_M19_a_removed_node_that_is_not_in_the_file_any_more_learns_that_it_was_removed() -> None:
    world = ChangingWorld([N4, N5])
    world.crash(N3)
    world.change(N1, N1, N2, N4)
    world.change(N1, N1, N2, N5)
    for node in (N1, N2):
        world.crash(node)
        world.boot(node, other_file())
    world.boot(N3)
    world.post(N3, Reachable(N1, True))
    world.run(3_000)
    assert world.replica(N3).node.seat.known == 2
    assert not world.replica(N3).node.voting
