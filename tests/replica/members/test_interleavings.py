"""Orders of events that a review of the rules tried: each of them broke something once."""

from collections.abc import Callable, Collection, Mapping

import pytest
from msgspec.structs import replace

from decreed.registry.keys import home
from decreed.registry.locks.secret import hash_of
from decreed.registry.locks.terms import LeaseId, TermClaim, lease_id, term_key
from decreed.registry.members import MembersChange, claim_of, members_key
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.instance import EMPTY
from decreed.registry.paxos.messages import Accept, Accepted, AcceptMany, Commit, Prepare
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.requests.spans import answer_of
from decreed.registry.replica.step.effects import Reply
from decreed.registry.replica.step.events import FromPeer, Greeted, WriteFailed
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, decree_digest
from decreed.registry.wire.handshake import NO_MEMBERS, PeerIdentity
from decreed.registry.wire.leases import AskLease, LeaseAnswer, Renew, Renewed
from decreed.registry.wire.peers import (
    AskedIn,
    AskState,
    FeedPage,
    Fetched,
    PeerMessage,
    Pull,
    QueryAnswer,
    Scan,
    SeatTold,
    StatePage,
)
from decreed.registry.wire.requests import (
    ClaimRequest,
    Failed,
    GetRequest,
    Granted,
    HolderRequest,
    KeepAliveRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Request,
)
from decreed.storage.layout import instance_key

from ...support.changed import N1, N2, N3, N4, changed, decree_of, of_kind, said, sealed, step
from ...support.changing import ChangingWorld
from ...support.machine import Machine
from ...support.world import claim, stored

N5 = NodeId("n5")
SECRET = bytes(range(32))
Asking = tuple[Request, Callable[[], PeerMessage]]
SECOND_DISK = b"second disk of n3".ljust(16)[:16]


def change_to(world: ChangingWorld, epoch: Epoch) -> Decree:
    """A decree that nobody has heard of yet, which makes this epoch follow the first one."""
    addresses = ("127.0.0.1:7400",) * len(epoch.nodes)
    change = MembersChange(epoch, world.replica(N1).node.epoch, addresses)
    return Decree.of(claim_of(change, "operator", b"id"), Ballot.first(Process(N2, 9)), 0)


def namesake(world: ChangingWorld, node: NodeId) -> PeerIdentity:
    """What a second directory shows that joined under the name of a member."""
    sound = world.replica(N1).membership.identity()
    return replace(
        sound, node=node, disk_id=SECOND_DISK, incarnation=1, nonce=b"n" * 16, digest=NO_MEMBERS
    )


def do(world: ChangingWorld, node: NodeId, *events: object) -> list[object]:
    """Steps of one node alone, with what it leaves for itself; returns all that it says."""
    heard: list[object] = []
    todo = list(events)
    while todo:
        effects = step(world, node, *todo)  # type: ignore[arg-type]
        storage = world.machines[node].storage
        assert storage is not None
        storage.write(effects.records, sync=effects.sync)
        heard += said(effects)
        todo = list(effects.again)
    return heard


def test_M08_the_feed_of_a_second_disk_is_not_that_of_the_first_whose_page_was_taken() -> None:
    """n3's first disk shows a page, and learned k; then a second disk takes its name."""
    world = ChangingWorld()
    common = world.freeze(N1, "common").decree
    world.run(1_000)
    disks = (world.disks[N1], world.disks[N2], SECOND_DISK)
    decree = change_to(world, Epoch(1, Quorums.majority((N1, N2, N3)), disks))
    do(world, N1, FromPeer(N2, Commit(decree.key, decree)))
    taking_over = world.replica(N1).parts.taking_over
    # what it has learned, and n1 has not, is in its feed before entry 3
    page = StatePage(taking_over.token, 1, None, 1, False, (), (), None, 3)
    pulled = of_kind(do(world, N1, FromPeer(N3, page)), Pull)
    assert len(pulled) == 1 and world.replica(N1).node.seat.ready == 0
    do(world, N1, Greeted(4711, namesake(world, N3), 0, None))
    assert world.replica(N1).membership.disk_of(N3) == SECOND_DISK
    keys = (common.key, decree.key, decree_of("other", decree.ballot).key)
    do(world, N1, FromPeer(N2, Commit(keys[2], decree_of("other", decree.ballot))))
    digests = b"".join(map(decree_digest, (common, decree, decree_of("other", decree.ballot))))
    world.replica(N1).catchup.read_to(world.builder(), N3, 3)
    do(world, N1, FromPeer(N3, FeedPage(world.disks[N3], 0, 3, 3, keys, digests)))
    assert world.replica(N1).catchup.cursor(N3) == 0, "a late page of the first disk"
    do(world, N1, FromPeer(N3, FeedPage(SECOND_DISK, 0, 3, 3, keys, digests)))
    assert world.replica(N1).catchup.cursor(N3) == 3
    assert world.replica(N1).node.seat.ready == 0, "the feed that was shown has not been read"


def test_M15_a_term_that_others_chose_is_no_lease_since_their_quorum_may_be_of_a_later_epoch() -> (
    None
):
    """n1 proposed it, has not sealed, and two of three are more than the accept quorum of epoch 1."""
    world = ChangingWorld()
    world.freeze(N1, "warm")
    world.lose = lambda sender, to, message: to == N1 and isinstance(message, Accepted | Commit)
    wanted = TermClaim("me", b"1", 60_000, bytes(32))
    mark = world.send(N1, LockRequest(world.new_id(), 60_000, "jobs", False, wanted))
    world.run(20)
    term = stored(world, N1, "$locks/jobs@1").accepted
    assert term is not None and world.answers[mark] == []
    world.lose = lambda *_: False
    world.post(N1, FromPeer(N2, Commit(term.decree.key, term.decree)))
    world.settle()
    [granted] = world.answers[mark]
    assert isinstance(granted, Granted) and not granted.leased


def test_M19_an_earlier_voter_that_restarts_after_it_was_left_stays_a_guest() -> None:
    """Who is no peer gets a link only as a guest: otherwise nobody tells it that it was removed."""
    world = ChangingWorld([N4, N5])
    world.change(N1, N1, N2, N4)
    world.change(N1, N1, N2, N5)
    node = world.replica(N1).node
    assert node.sources == (N2, N5)
    world.crash(N4)
    world.boot(N4)
    world.run(100)
    assert N4 in node.guests


def test_M03_a_list_that_meets_a_half_done_change_does_not_wait_for_it() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda sender, to, message: isinstance(message, Accepted | Commit)
    world.propose(N2, world.epoch(1, N1, N2, N4))
    world.run(20)
    half = stored(world, N1, "$members@1")
    assert half.accepted is not None and half.learned is None
    world.crash(N2)
    world.lose = lambda *_: False
    answer = world.ask(N1, ListRequest(world.new_id(), 10_000, "$members", "", 10), within_ms=5_000)
    assert isinstance(answer, Failed) and "is being decided" in answer.message


def test_M05_a_node_that_lost_its_record_of_the_voters_votes_again_after_the_next_change() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    world.crash(N1)
    world.machines[N1].disk.flip(instance_key(members_key(1)), 20)
    world.boot(N1)
    world.run(5_000)
    assert world.voters() == [N2, N4]
    world.change(N2, N1, N2, N4)
    assert world.voters() == [N1, N2, N4]


def test_M12_a_page_of_a_node_that_is_not_ready_has_what_it_knows_itself() -> None:
    """Voters leave out what the asker has learned too, as its digests say."""
    world = ChangingWorld([N4])
    world.freeze(N1, "k")
    world.run(1_000)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, StatePage)
    world.change(N1, N1, N2, N4)
    assert world.voters() == [N2, N4]
    page = world.ask(N1, ListRequest(world.new_id(), 10_000, "", "", 10))
    assert isinstance(page, ListPage) and [decree.key for decree in page.decrees] == ["k"]


def test_M12_a_node_that_has_sealed_is_no_part_of_a_quorum_of_the_epoch_before() -> None:
    """n1 cannot read who votes now, n3 slept: they alone would make a page without what was decided."""
    world = ChangingWorld([N4])
    world.crash(N3)
    world.change(N1, N1, N2, N4)
    world.crash(N1)
    world.freeze(N2, "k")
    for node in (N2, N4):
        world.crash(node)
    world.machines[N1].disk.flip(instance_key(members_key(1)), 20)
    world.boot(N1)
    world.boot(N3)
    world.lose = lambda _, __, message: isinstance(message, Commit | Fetched)
    page = world.ask(N1, ListRequest(world.new_id(), 2_000, "", "", 10))
    assert isinstance(page, Failed), page


def test_M12_a_node_whose_disk_failed_before_it_was_ready_makes_no_page_alone() -> None:
    world = ChangingWorld()
    world.lose = lambda _, to, __: to == N1
    world.freeze(N2, "k")
    world.lose = lambda _, to, message: to == N1 and not isinstance(message, Commit)
    world.post(N1, FromPeer(N2, Commit(members_key(1), change_to(world, world.epoch(1, N1)))))
    world.settle()
    assert world.replica(N1).node.seat.known == 1 and world.replica(N1).node.seat.ready == 0
    world.post(N1, WriteFailed("no space is left", ()))
    world.settle()
    page = world.ask(N1, ListRequest(world.new_id(), 2_000, "", "", 10))
    assert isinstance(page, Failed), page


def test_M22_votes_of_a_life_count_only_after_it_has_told_its_seat() -> None:
    """Otherwise those of a directory that was rolled back count until its first word of it comes."""
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    seats, vote = world.replica(N1).parts.seats, Accepted(Key("k"), Ballot.first(Process(N1, 1), 1))
    assert seats.counts(world.builder(), N4, vote)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, SeatTold)
    world.crash(N4)
    world.boot(N4)
    world.run(100)
    assert N4 in world.replica(N1).node.reachable
    assert not seats.counts(world.builder(), N4, vote)
    world.lose = lambda *_: False
    world.run(2_000)
    assert seats.counts(world.builder(), N4, vote)


def test_M22_a_copy_that_has_taken_over_again_is_refused_though_it_shows_no_less() -> None:
    """What it showed before it was ready once more was lost on the way (R02)."""
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=300)
    copied = world.machines[N4].disk.copy()
    world.lose = lambda *_: False
    world.run(2_000)
    assert world.voters() == [N1, N2, N4]
    world.freeze(N4, "k")
    world.crash(N4)
    world.machines[N4] = Machine(copied)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, SeatTold)
    world.boot(N4)
    world.run(2_000)
    assert world.replica(N1).parts.seats.refused.keys() == set()
    world.lose = lambda *_: False
    world.run(2_000)
    assert world.replica(N1).parts.seats.refused.keys() == {N4}


def test_M22_answers_of_a_directory_that_was_refused_do_not_count() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    world.lose = lambda _, __, message: isinstance(message, SeatTold)
    world.crash(N4)
    world.boot(N4)
    world.run(100)
    world.post(N1, FromPeer(N4, SeatTold(world.disks[N4], 2, 1, 1, 0, 2)))
    world.lose = lambda _, __, message: isinstance(message, AskedIn | QueryAnswer)
    mark = world.send(N1, GetRequest(world.new_id(), 5_000, Key("open")))
    world.run(10)
    [token] = world.replica(N1).parts.reads.groups.open
    world.post(N1, FromPeer(N4, QueryAnswer(token)))
    world.settle()
    assert world.answers[mark] == []
    world.post(N1, FromPeer(N2, QueryAnswer(token)))
    world.settle()
    assert len(world.answers[mark]) == 1


def test_M08_what_was_asked_of_a_voter_that_is_left_is_asked_of_others() -> None:
    """n3 was asked for a key and died. It is no source any more, and n2 has learned the key as well."""
    world = ChangingWorld()
    decree = decree_of("k", Ballot.first(Process(N3, 1)))
    world.lose = lambda sender, to, message: isinstance(message, Fetched)
    world.post(N3, FromPeer(N2, Commit(decree.key, decree)))
    catchup, node = world.replica(N1).catchup, world.replica(N1).node
    while decree.key not in catchup.pending()["fetching"]:
        world.run(50)
    world.crash(N3)
    node.others, node.sources = (N2,), (N2,)
    world.lose = lambda *_: False
    world.post(N2, FromPeer(N3, Commit(decree.key, decree)))
    world.run(10_000)
    assert stored(world, N1, "k").learned == decree


def test_M06_a_node_whose_disk_has_failed_shows_nothing() -> None:
    """What it has learned since is not on its disk, and would be missing in its page."""
    world = changed()
    world.post(N1, WriteFailed("no space is left", ()))
    world.settle()
    assert of_kind(said(step(world, N1, FromPeer(N4, AskState(1, 1, None)))), StatePage) == []
    assert of_kind(said(step(world, N2, FromPeer(N4, AskState(1, 1, None)))), StatePage) != []


def test_M05_a_change_that_is_heard_again_seals_nothing() -> None:
    world = changed()
    decree = stored(world, N1, "$members@1").learned
    assert decree is not None
    effects = step(world, N1, FromPeer(N2, Commit(decree.key, decree)))
    assert (effects.records, effects.again, said(effects)) == ([], [], [])


def test_M04_a_node_that_is_not_ready_proposes_nothing_and_promises_itself_nothing() -> None:
    """Its own acceptor is the first that it asks, and takes no ballot before it has taken over."""
    world = sealed()
    sent = len(world.sent)
    mark = world.send(N1, ClaimRequest(world.new_id(), 10_000, True, claim("k")))
    world.run(3_000)
    said_meanwhile = [message for _, _, message in world.sent[sent:]]
    assert of_kind(said_meanwhile, Prepare, Accept, AcceptMany) == []
    assert stored(world, N1, "k") == EMPTY and world.answers[mark] == []


def test_M19_a_page_of_a_namesake_is_not_taken() -> None:
    world = ChangingWorld([N4])
    world.wipe(N3)
    world.joiners.add(N3)
    world.boot(N3)
    world.run(100)
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.propose(N1, world.epoch(1, N1, N2, N4))
    world.run(500)
    node, token = world.replica(N1).node, world.replica(N1).parts.taking_over.token
    assert node.guests == {N3} and node.seat.known == 1
    world.post(N1, FromPeer(N3, StatePage(token, 1, None, 1, True, (), (), None, 0)))
    world.settle()
    assert node.seat.ready == 0


def test_M14_a_term_after_one_of_an_earlier_epoch_takes_both_phases() -> None:
    """Somebody may have proposed it in that epoch, and all who remember may have forgotten it."""
    world = ChangingWorld([N4])
    nodes, later = world.replica(N1).node.nodes, (N1, N2, N4)
    names = (f"lock{number}" for number in range(100))
    lock = next(
        name for name in names if home(term_key(name, 1), nodes) == N1 == _home(name, later)
    )
    for term, relies in ((1, False), (2, True)):
        wanted = TermClaim("me", f"{term}".encode(), 1_000, bytes(32))
        granted = world.ask(N1, LockRequest(world.new_id(), 9_000, lock, True, wanted))
        assert isinstance(granted, Granted) and granted.decree.key == term_key(lock, term)
        if term == 1:
            world.change(N1, *later)
        following, home_promise = term_key(lock, term + 1), world.replica(N1).parts.home_promise
        assert home_promise.granted
        builder = world.builder()
        builder.instances[granted.decree.key] = stored(world, N1, granted.decree.key)
        assert (home_promise.prepared(builder, following, EMPTY) is not None) is relies


def _home(lock: str, nodes: tuple[NodeId, ...]) -> NodeId:
    return home(term_key(lock, 1), nodes)


def token_of(pending: Mapping[str, Collection[object]], kind: str) -> int:
    [token] = pending[kind]
    assert isinstance(token, int)
    return token


def keep_alive(world: ChangingWorld, over: LeaseId) -> Asking:
    renewals = world.replica(N1).parts.renewals
    asked = KeepAliveRequest(world.new_id(), 9_000, over, SECRET)
    return asked, lambda: Renewed(token_of(renewals.pending(), "keep-alives"), True)


def holder(world: ChangingWorld, over: LeaseId) -> Asking:
    queues = world.replica(N1).parts.lock_queues
    asked = HolderRequest(world.new_id(), 9_000, over.lock)
    return asked, lambda: LeaseAnswer(token_of(queues.pending(), "questions"), 0, None, False, None)


def list_all(world: ChangingWorld, over: LeaseId) -> Asking:
    lists = world.replica(N1).parts.lists
    asked = ListRequest(world.new_id(), 9_000, "", "", 10)
    return asked, lambda: answer_of(token_of(lists.pending(), "lists"), [], None)


@pytest.mark.parametrize("ask", [keep_alive, holder, list_all])
@pytest.mark.parametrize("seals", [True, False], ids=["sealed", "not sealed"])
def test_M12_an_answer_that_comes_in_the_step_of_the_seal_counts_for_no_epoch(
    ask: Callable[[ChangingWorld, LeaseId], Asking], seals: bool
) -> None:
    """It would make a quorum with that of n1 itself, and n2 may have given it before its own seal."""
    world = ChangingWorld([N4])
    wanted = TermClaim("me", b"1", 60_000, hash_of(SECRET))
    granted = world.ask(N1, LockRequest(world.new_id(), 1_000, "jobs", False, wanted))
    assert isinstance(granted, Granted)
    world.run(1_000)
    world.lose = lambda _, __, message: isinstance(message, Renew | AskLease | Scan)
    request, answer = ask(world, lease_id(granted.decree))
    mark = world.send(N1, request)
    world.run(10)
    assert world.answers[mark] == []
    decree = change_to(world, world.epoch(1, N1, N2, N4))
    change = [FromPeer(N2, Commit(decree.key, decree))] if seals else []
    effects = step(world, N1, *change, FromPeer(N2, answer()))
    replies = [item for item in (*effects.at_once, *effects.after) if isinstance(item, Reply)]
    assert len(replies) == (not seals)


def test_M08_a_page_of_a_feed_with_fewer_keys_than_positions_is_no_end_of_the_feed() -> None:
    """What is missing was deleted by a floor, and that stands behind the end that n3's page names."""
    world = ChangingWorld()
    world.freeze(N1, "common")
    world.run(1_000)
    decree = change_to(world, world.epoch(1, N1, N2, N3))
    do(world, N1, FromPeer(N2, Commit(decree.key, decree)))
    node, start = world.replica(N1).node, world.replica(N1).catchup.cursor(N3)
    token, disk = world.replica(N1).parts.taking_over.token, world.disks[N3]
    page = StatePage(token, 1, None, 1, False, (), (), None, start + 3)
    assert of_kind(do(world, N1, FromPeer(N3, page)), Pull)
    digest = decree_digest(decree)
    with_gap = FeedPage(disk, start, start + 3, start + 5, (decree.key,), digest)
    assert of_kind(do(world, N1, FromPeer(N3, with_gap)), Pull)
    assert node.seat.ready == 0, "two of three positions are missing"
    rest = FeedPage(disk, start + 3, start + 5, start + 5, (decree.key,) * 2, digest * 2)
    do(world, N1, FromPeer(N3, rest))
    assert node.seat.ready == 1
