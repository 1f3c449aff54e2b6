"""Which of several addresses of a member counts, and who is told when one has changed."""

from decreed.registry.replica.step.effects import Announce, Outgoing
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import Member
from decreed.registry.wire.peers import MemberAddresses

from ..support.world import World

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
A, B = "127.0.0.1:1", "127.0.0.1:2"


def tell(world: World, sender: NodeId, *members: Member) -> list[Outgoing]:
    """What n1 does at once when a peer tells addresses."""
    event = FromPeer(sender, MemberAddresses(members))
    return world.replica("n1").step(world.moment(), [event], {}).at_once


def test_a_member_speaks_for_itself_whatever_others_say() -> None:
    world = World()
    book = world.replica("n1").parts.addresses
    assert tell(world, N3, Member(N2, B, 9)) == [Announce((N2,))]
    assert tell(world, N2, Member(N2, A, 1)) == [Announce((N2,))]
    assert book.of(N2) == A


def test_of_others_the_address_of_the_later_incarnation_counts() -> None:
    world = World()
    book = world.replica("n1").parts.addresses
    tell(world, N2, Member(N2, A, 3))
    assert tell(world, N3, Member(N2, B, 2)) == []
    assert tell(world, N3, Member(N2, B, 3)) == []
    assert book.of(N2) == A
    assert tell(world, N3, Member(N2, B, 4)) == [Announce((N2,))]
    assert book.of(N2) == B


def test_the_file_s_address_stays_the_last_resort() -> None:
    world = World()
    book = world.replica("n1").parts.addresses
    own = dict(world.config.addresses)[N2]
    assert book.all_of(N2) == (own,)
    tell(world, N2, Member(N2, A, 1))
    assert book.all_of(N2) == (A, own)


def test_what_is_no_address_and_who_is_no_member_is_left_out() -> None:
    world = World()
    book = world.replica("n1").parts.addresses
    before = book.members
    strange = [Member(N2, at, 5) for at in ("0.0.0.0:1", "x", "a:1,b:2")]
    assert tell(world, N2, *strange, Member(NodeId("n9"), A, 5), Member(N1, A, 99)) == []
    assert (book.members, book.version) == (before, 0)


def test_peers_are_told_what_members_told_and_nothing_from_the_file() -> None:
    world = World()
    book = world.replica("n1").parts.addresses
    assert [member.node for member in book.message.members] == [N1]
    tell(world, N2, Member(N2, A, 1))
    assert [member.node for member in book.message.members] == [N1, N2]
    assert book.version == 1


def test_a_new_incarnation_at_the_same_address_is_no_news_for_clients() -> None:
    world = World()
    book = world.replica("n1").parts.addresses
    own = dict(world.config.addresses)[N2]
    assert tell(world, N2, Member(N2, own, 1)) == []
    assert (book.version, book.moves) == (1, 0)
