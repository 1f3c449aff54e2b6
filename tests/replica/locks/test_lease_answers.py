"""The result of the nodes' answers about a term, where prepare and accept quorums differ (design 11).

A question is answered, and a term is free, kept or given up, by prepare quorums alone: each of them
meets every accept quorum, and so a node that has accepted the next term or this one. How long the
term may last is what the quorum says, rather than one node.
"""

from collections.abc import Callable
from itertools import permutations

import pytest

from decreed.registry.config import ClusterConfig
from decreed.registry.locks.terms import Ending, How, LeaseId, lease_id
from decreed.registry.replica.locks.lock_queue import AT_ONCE, Ask
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.replica.step.pending import PendingRequest
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.leases import AskLease, GiveUpTaken, LeaseAnswer, Renew, Renewed
from decreed.registry.wire.peers import PeerMessage, QueryAnswer, ScanAnswer
from decreed.registry.wire.requests import (
    Failed,
    GetRequest,
    GivenUp,
    Granted,
    HeldBy,
    HolderRequest,
    Kept,
    ListPage,
    ListRequest,
    LockRequest,
    Superseded,
    Undecided,
)

from ...support.lockers import TTL_MS, lock, wanted
from ...support.proven import to_give_up, to_keep, wish
from ...support.world import World, config

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
RELEASED, FORCED = Ending(How.RELEASED), Ending(How.FORCED)
BROKEN, EXPIRED = Ending(How.BROKEN, "op", "why"), Ending(How.EXPIRED)
SHAPES = ((3, 0, 0), (3, 3, 1), (5, 0, 0), (5, 4, 2), (5, 2, 4), (5, 3, 4))
SIZES = pytest.mark.parametrize(
    "cluster", [config(*shape) for shape in SHAPES], ids=[f"{n}-{p}-{a}" for n, p, a in SHAPES]
)
Mark = tuple[NodeId, int]


def asked(*serves: PendingRequest) -> Ask:
    claim = wish("a", b"a", TTL_MS).claim(LeaseId("l", 1, b"a").key, None)
    return Ask(7, Decree.of(claim, Ballot(1, Process(N1, 1)), 0), list(serves))


def said(
    remaining_ms: int = 0, ending: Ending | None = None, accepted: bool = False
) -> LeaseAnswer:
    return LeaseAnswer(7, remaining_ms, ending, accepted, None)


def answers(*given: LeaseAnswer) -> dict[NodeId, LeaseAnswer]:
    return {NodeId(f"n{number}"): one for number, one in enumerate(given, 1)}


def requester(done: bool = False) -> PendingRequest:
    return PendingRequest(1, HolderRequest(1, 1_000, "l"), 1_000.0, done=done)


# -- the answers together


@SIZES
def test_a_question_is_answered_and_a_term_is_free_by_a_prepare_quorum(
    cluster: ClusterConfig,
) -> None:
    quorums = cluster.quorums
    for count in range(len(cluster.nodes) + 1):
        ask, enough = asked(), count >= quorums.prepare
        ask.answers = answers(*[said()] * count)
        assert ask.answered(quorums) is ask.free(quorums) is enough
        ask.answers = answers(*[said(ending=RELEASED)] * count)
        assert ask.released(quorums) is enough
        ask.answers = answers(*[said()] * count, *[said(5)] * (len(cluster.nodes) - count))
        assert ask.free(quorums) is enough


@SIZES
def test_a_term_lasts_until_a_prepare_quorum_has_no_lease_on_it(cluster: ClusterConfig) -> None:
    count, prepare = len(cluster.nodes), cluster.quorums.prepare
    for remaining in permutations(range(100, 100 * count + 1, 100)):
        ask = asked()
        ask.answers = answers(*map(said, remaining))
        assert ask.wait_ms(cluster.quorums) == 100 * prepare


@pytest.mark.parametrize("order", list(permutations([None, BROKEN, FORCED, RELEASED])))
def test_of_several_endings_the_release_by_the_holder_counts_first(
    order: tuple[Ending | None, ...],
) -> None:
    ask = asked()
    ask.answers = answers(*[said(9, ending) for ending in order])
    assert ask.ending() == RELEASED
    ask.answers = answers(*[said(9, one) for one in order if one != RELEASED])
    assert ask.ending() == FORCED
    ask.answers = answers(*[said(9, one) for one in order if one in (None, BROKEN)])
    assert ask.ending() == BROKEN and BROKEN.how not in AT_ONCE


def test_one_node_that_has_accepted_the_next_term_is_enough_to_finish_it() -> None:
    ask = asked()
    ask.answers = answers(said(), said(accepted=True))
    assert ask.next_may_be_chosen()


def test_a_question_is_awaited_while_one_of_its_requests_is_pending() -> None:
    assert asked(requester(done=True), requester()).awaited
    assert not asked(requester(done=True), requester(done=True)).awaited


# -- open questions: exactly so many nodes answer


def let_through(world: World, kind: type, nodes: int) -> None:
    """Let answers of this kind come from `nodes` nodes only, n1 itself among them."""
    speaking = world.config.nodes[:nodes]

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return isinstance(message, kind) and sender not in speaking

    world.lose = lose


def keeps(world: World, held: LeaseId) -> Mark:
    return world.send("n1", to_keep(world.new_id(), 600, held))


def asks(world: World, held: LeaseId) -> Mark:
    return world.send("n1", HolderRequest(world.new_id(), 600, "l"))


def tries(world: World, held: LeaseId) -> Mark:
    return world.send("n1", LockRequest(world.new_id(), 600, "l", False, wanted("b")))


def gives_up(world: World, held: LeaseId) -> Mark:
    return world.send("n1", to_give_up(world.new_id(), 600, "l", wanted("a")))


def reads(world: World, held: LeaseId) -> Mark:
    return world.send("n1", GetRequest(world.new_id(), 600, Key("undecided")))


def lists(world: World, held: LeaseId) -> Mark:
    return world.send("n1", ListRequest(world.new_id(), 10_000, "", "", 10))


CASES: list[tuple[Callable[[World, LeaseId], Mark], type, type]] = [
    (keeps, Renewed, Kept),
    (asks, LeaseAnswer, HeldBy),
    (tries, LeaseAnswer, HeldBy),
    (gives_up, GiveUpTaken, GivenUp),
    (reads, QueryAnswer, Undecided),
    (lists, ScanAnswer, ListPage),
]


@SIZES
@pytest.mark.parametrize(("begin", "kind", "expected"), CASES, ids=[c[0].__name__ for c in CASES])
def test_it_takes_a_prepare_quorum_and_no_more(
    cluster: ClusterConfig,
    begin: Callable[[World, LeaseId], Mark],
    kind: type,
    expected: type,
) -> None:
    world = World(cluster)
    held = lease_id(lock(world, "n1", "a").decree)
    prepare = cluster.quorums.prepare
    let_through(world, kind, prepare - 1)
    mark = begin(world, held)
    wait_ms = 10_100 if begin is lists else 700  # at first it asks no more than it needs
    world.run(wait_ms)
    assert isinstance(world.answers[mark][0], Failed), f"{prepare - 1} nodes are too few"
    world.lose = lambda *_: False
    if begin is not gives_up:
        assert isinstance(world.ask("n1", to_keep(world.new_id(), 600, held)), Kept)
    let_through(world, kind, prepare)
    mark = begin(world, held)
    world.run(wait_ms)
    assert isinstance(world.answers[mark][0], expected), f"{prepare} nodes are enough"


@SIZES
def test_a_term_is_superseded_once_no_prepare_quorum_can_keep_it(cluster: ClusterConfig) -> None:
    world = World(cluster)
    held = lease_id(lock(world, "n1", "a").decree)
    may_refuse = len(cluster.nodes) - cluster.quorums.prepare
    for refusing in (may_refuse, may_refuse + 1):
        world.lose = lambda sender, to, message: isinstance(message, Renew)
        mark = world.send("n1", to_keep(world.new_id(), 100, held))
        world.settle()
        token = [m for _, _, m in world.sent if isinstance(m, Renew)][-1].id
        for node in world.config.nodes[-refusing:] if refusing else ():
            world.post(N1, FromPeer(node, Renewed(token, False)))
        world.settle()
        told = world.answers[mark]
        assert bool(told) is (refusing > may_refuse)
        world.run(150)
    assert isinstance(world.answers[mark][0], Superseded)


# -- the remaining time in answers


def hear(world: World, node: str, remaining_ms: int) -> None:
    """Let a node answer n1 that its lease lasts for `remaining_ms`."""
    token = next(m.id for _, _, m in reversed(world.sent) if isinstance(m, AskLease))
    world.post(N1, FromPeer(NodeId(node), LeaseAnswer(token, remaining_ms, None, False, None)))
    world.settle()


@pytest.mark.parametrize("begin", [asks, tries])
@pytest.mark.parametrize(("n2_ms", "n3_ms"), [(900, 600), (600, 900)])
def test_the_remaining_time_in_an_answer_is_that_of_a_quorum(
    begin: Callable[[World, LeaseId], Mark], n2_ms: int, n3_ms: int
) -> None:
    """The node that was asked has the shortest lease, and the last node to answer another one."""
    world = World(config(5))
    held = lease_id(lock(world, "n1", "a").decree)
    world.run(TTL_MS - 300)
    let_through(world, LeaseAnswer, 1)
    mark = begin(world, held)
    world.settle()
    hear(world, "n2", n2_ms)
    assert not world.answers[mark]
    hear(world, "n3", n3_ms)
    answer = world.answers[mark][0]
    assert isinstance(answer, HeldBy) and answer.remaining_ms == 900


def test_a_waiter_that_ends_in_the_queue_gets_the_time_that_is_left_by_then() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.run(400)
    assert isinstance(world.ask("n1", to_keep(world.new_id(), 300, held)), Kept)
    kept_ms = world.now_ms
    mark = world.send("n2", LockRequest(world.new_id(), 300, "l", True, wanted("b")))
    while not world.answers[mark]:
        world.run(1)
    answer = world.answers[mark][0]
    assert isinstance(answer, HeldBy)
    assert abs(answer.remaining_ms - (kept_ms + TTL_MS - world.now_ms)) <= 10


# -- a lock under any quorums


@SIZES
def test_a_lock_is_kept_and_changes_hands_under_any_quorums(cluster: ClusterConfig) -> None:
    world = World(cluster)
    held = lease_id(lock(world, "n1", "a").decree)
    mark = world.send("n2", LockRequest(world.new_id(), 60_000, "l", True, wanted("b")))
    for _ in range(6):
        world.run(TTL_MS / 3)
        assert isinstance(world.ask("n3", to_keep(world.new_id(), 300, held)), Kept)
    assert not world.answers[mark]
    world.run(3 * TTL_MS)
    granted = world.answers[mark][0]
    assert isinstance(granted, Granted)
    assert granted.leased is (2 * cluster.quorums.accept > len(cluster.nodes))
    assert isinstance(world.ask("n1", to_keep(world.new_id(), 300, held)), Superseded)
