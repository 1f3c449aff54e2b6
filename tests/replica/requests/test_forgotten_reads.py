"""What clients and lagging nodes learn of forgotten terms, and where they continue (design 11)."""

import pytest
from msgspec.structs import replace

from decreed.registry.config import LockTerms
from decreed.registry.errors import BadRequest, OutcomeUnknown
from decreed.registry.errors import Forgotten as ForgottenError
from decreed.registry.locks.terms import (
    Ending,
    How,
    LeaseId,
    lease_id,
    lock_and_term,
    term_key,
)
from decreed.registry.paxos.messages import Commit, Prepare
from decreed.registry.replica.step.effects import Reply
from decreed.registry.replica.step.events import FromPeer, Moment
from decreed.registry.replica.step.pending import PendingRequests
from decreed.registry.replica.step.step_builder import StepBuilder
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Fetch, Fetched, Query
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    Granted,
    HeldBy,
    HolderRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Superseded,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ...support.forgetful import (
    KEEP,
    cut_off,
    cycle,
    cycles,
    floor_after,
    forgetful,
    has_forgotten,
    in_doubt,
    lagging,
    tell_floor,
    votes,
)
from ...support.proven import to_end, to_keep, wish
from ...support.world import World, claim, config, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


# -- answers to clients


def test_a_read_below_the_floor_says_forgotten() -> None:
    world = forgetful()
    decrees = cycles(world, 40)
    world.run(1_000)
    for node in world.config.nodes:
        for request in (GetRequest, WaitRequest):
            answer = world.ask(node, request(world.new_id(), 1_000, term_key("l", 24)))
            assert isinstance(answer, Failed) and answer.code == ForgottenError.code
        kept = world.ask(node, GetRequest(world.new_id(), 1_000, term_key("l", 25)))
        assert isinstance(kept, Decreed) and kept.decree == decrees[24]


def test_a_read_at_a_node_that_missed_all_terms_says_forgotten_too() -> None:
    for request in (GetRequest, WaitRequest):
        world = lagging(40)
        mark = world.send("n3", request(world.new_id(), 1_000, term_key("l", 7)))
        world.run(50)
        [answer] = world.answers[mark]
        assert isinstance(answer, Failed) and answer.code == ForgottenError.code
        assert has_forgotten(world, "n3", 24), "it was told, and keeps it"


def test_keeping_or_ending_a_forgotten_term_is_refused() -> None:
    world = lagging(40)
    for node in ("n3", "n1"):
        held = LeaseId("l", 7, b"id")
        kept = world.ask(node, to_keep(world.new_id(), 1_000, held))
        assert isinstance(kept, Superseded)
        ended = world.ask(node, to_end(world.new_id(), 1_000, held, Ending(How.RELEASED)))
        assert isinstance(ended, Failed) and ended.code == BadRequest.code


def test_a_holder_that_never_heard_of_the_next_term_is_superseded_when_its_own_is_forgotten() -> (
    None
):
    """Only a node that lagged handles its keep-alive at all."""
    world = forgetful()
    old = cycle(world, "n3")
    world.crash(N3)
    cycles(world, 40)
    world.boot(N3)
    world.lose = cut_off(N3)
    kept = world.ask("n3", to_keep(world.new_id(), 1_000, lease_id(old)))
    assert isinstance(kept, Superseded)
    assert has_forgotten(world, "n3", 1)


def test_the_latest_term_is_found_from_the_floor() -> None:
    world = lagging(40)
    answer = world.ask("n3", LatestRequest(world.new_id(), 2_000, "$locks/l"))
    assert isinstance(answer, Decreed) and answer.decree.key == term_key("l", 41)


def test_a_list_at_any_node_has_the_terms_that_are_kept() -> None:
    world = lagging(40)
    floor = floor_after(41)
    for node in ("n3", "n1"):
        page = world.ask(node, ListRequest(world.new_id(), 2_000, "$locks/l", "", 100))
        assert isinstance(page, ListPage)
        terms = {lock_and_term(decree.key)[1] for decree in page.decrees}
        assert terms >= set(range(floor, 42))


def test_a_watch_skips_forgotten_terms() -> None:
    world = forgetful()
    cycles(world, 40)
    terms: list[int] = []
    since = world.at_entry(N1, 0)
    while since.index < world.replica("n1").node.feed_end:
        page = world.ask("n1", WatchRequest(world.new_id(), 1_000, "$locks", since, 5))
        assert isinstance(page, WatchPage) and not page.lost
        terms += [lock_and_term(decree.key)[1] for decree in page.decrees]
        since = page.position
    assert terms == list(range(floor_after(40), 41))
    assert world.alarms == []


def test_a_wait_ends_when_its_key_is_forgotten() -> None:
    world = forgetful()
    mark = world.send("n3", WaitRequest(world.new_id(), 20_000, term_key("l", 5)))
    world.run(50)
    world.lose = cut_off(N3)
    cycles(world, 40)
    tell_floor(world)
    [answer] = world.answers[mark]
    assert isinstance(answer, Failed) and answer.code == ForgottenError.code


def test_the_refusal_of_a_claim_for_a_forgotten_term_is_indefinite_since_it_may_have_won() -> None:
    step, requests = StepBuilder(Moment(0.0, 0), 0.0, {}), PendingRequests()
    wanted = ClaimRequest(7, 1_000, True, claim("k"))
    requests.fail(step, requests.open(step, 1, wanted), ForgottenError, "gone")
    [reply] = step.finish().at_once
    assert isinstance(reply, Reply) and isinstance(reply.answer, Failed)
    assert reply.answer.code == OutcomeUnknown.code


# -- a node that lags


def test_a_node_that_was_down_while_terms_were_forgotten_catches_up_and_can_lead() -> None:
    world = forgetful()
    cycle(world)
    world.run(1_000)
    world.crash(N3)
    cycles(world, 60)
    world.boot(N3)
    world.run(3_000)
    floor = floor_after(61)
    assert all(has_forgotten(world, "n3", term) for term in range(1, floor))
    assert all(stored(world, "n3", term_key("l", t)).learned for t in range(floor, 62))
    for peer in (N1, N2):
        assert world.replica("n3").catchup.cursor(peer) == world.replica(peer).node.feed_end
    world.crash(N1)
    assert lock_and_term(cycle(world, "n3").key)[1] == 62
    assert world.alarms == [] and world.rejected == []


def test_a_node_that_lags_proposes_the_term_after_the_latest_one() -> None:
    world = lagging(40)
    wanted = wish("late", b"late", 1_000)
    world.sent.clear()
    mark = world.send("n3", LockRequest(world.new_id(), 20_000, "l", True, wanted))
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, FeedPage)
    world.run(3_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, Granted) and answer.decree.key == term_key("l", 42)
    assert not any(votes(world, node, 2) for node in (N1, N2))


@pytest.mark.parametrize("name", ["a@x", "a@", "a@1x", "$locks/l@x", "@"])
def test_a_peers_question_about_what_is_no_key_does_not_end_a_node_that_has_forgotten_terms(
    name: str,
) -> None:
    world = forgetful()
    cycles(world, 40)
    ballot = Ballot(1, Process(N3, 1))
    for message in (Query(1, (Key(name),)), Prepare(Key(name), ballot), Fetch((Key(name),))):
        world.post(N1, FromPeer(N3, message))
        world.run(50)
    assert N1 in world.up()
    assert isinstance(world.claim("n1", claim("k")), Decreed)


def test_a_proposer_of_a_forgotten_term_gets_the_floor_and_continues_from_there() -> None:
    """It was asked for the first term of a lock that it did not know."""
    world = forgetful()
    world.crash(N3)
    cycles(world, 40)
    world.boot(N3)
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, FeedPage)
    wanted = wish("late", b"late", 1_000)
    mark = world.send("n3", LockRequest(world.new_id(), 20_000, "l", False, wanted))
    world.run(3_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, Granted) and answer.decree.key == term_key("l", 41)
    assert any(s == N3 and isinstance(m, Prepare) for s, _, m in world.sent)


def test_a_node_that_lags_answers_with_the_holder_of_the_latest_term() -> None:
    world = lagging(40)
    held = world.ask("n3", HolderRequest(world.new_id(), 3_000, "l"))
    assert isinstance(held, HeldBy) and held.decree.key == term_key("l", 41)


def test_a_read_of_a_forgotten_key_that_was_in_doubt_says_forgotten() -> None:
    world = in_doubt()
    assert stored(world, "n3", term_key("l", 2)).accepted is not None
    mark = world.send("n3", GetRequest(world.new_id(), 1_000, term_key("l", 2)))
    world.run(50)
    [answer] = world.answers[mark]
    assert isinstance(answer, Failed) and answer.code == ForgottenError.code


@pytest.mark.parametrize("node", ["n1", "n3"])
def test_a_list_leaves_out_a_key_that_is_in_doubt_at_one_node_and_forgotten_at_another(
    node: str,
) -> None:
    world = in_doubt()
    world.crash(N2)
    mark = world.send(node, ListRequest(world.new_id(), 1_000, "$locks", "", 100))
    world.run(100)
    [page] = world.answers[mark]
    assert isinstance(page, ListPage)
    assert [decree.key for decree in page.decrees] == [term_key("l", t) for t in range(25, 43)]


def test_a_page_of_the_feed_does_not_wait_for_forgotten_keys() -> None:
    world = lagging(40)
    world.lose = lambda _, to, message: to == N3 and isinstance(message, Commit | Fetched)
    world.run(500)
    cycles(world, 24)
    assert world.replica("n3").catchup.cursor(N1) < 41, "it cannot be had"
    tell_floor(world)
    assert world.replica("n3").catchup.cursor(N1) >= 41


def test_leases_on_forgotten_terms_are_dropped() -> None:
    world = forgetful()
    cycle(world)
    world.lose = lambda sender, to, _: N3 in (sender, to)
    cycles(world, 40)
    assert len(world.replica("n3").parts.leases) == 1
    tell_floor(world)
    assert len(world.replica("n3").parts.leases) == 0


def test_a_key_in_doubt_below_the_floor_is_not_finished() -> None:
    world = forgetful()
    world.lose = cut_off(N3)
    cycles(world, 3)
    assert world.replica("n3").parts.acceptors.unlearned
    world.crash(N3)
    world.lose = lambda *_: False
    cycles(world, 40)
    world.boot(N3)
    world.lose = lambda sender, to, message: to == N3 and isinstance(message, FeedPage)
    world.run(5_000)
    assert world.replica("n3").parts.acceptors.unlearned == 0
    assert "attempts" not in world.replica("n3").pending_work()
    world.crash(N3)
    world.boot(N3)
    assert world.replica("n3").parts.acceptors.unlearned == 0


def test_a_node_that_forgets_all_its_decrees_is_not_refused_as_rolled_back() -> None:
    world = forgetful()
    cycles(world, 3)
    world.run(1_000)
    world.crash(N3)
    cycles(world, 40)
    world.boot(N3)
    world.lose = cut_off(N3)
    tell_floor(world)
    assert has_forgotten(world, "n3", 3), "the newest term that it had learned"
    since = world.at_entry(N3, 0)
    page = world.ask("n3", WatchRequest(world.new_id(), 200, "$locks", since, 5))
    assert isinstance(page, WatchPage) and page.decrees == () and not page.lost
    assert world.alarms == []
    assert world.replica("n3").node.feed_end == 4, "three decrees and the floor"
    world.crash(N3)
    world.lose = lambda *_: False
    world.boot(N3)
    world.run(3_000)
    assert world.rejected == []
    assert world.replica("n1").catchup.cursor(N3) == world.replica("n3").node.feed_end > 3


def test_nodes_may_keep_different_numbers_of_terms() -> None:
    world = World(replace(config(), locks=LockTerms(KEEP)), up=[])
    for node, keep in ((N1, 8), (N2, 100), (N3, 1_000)):
        world.boot(node, replace(world.config, locks=LockTerms(keep)))
    world.run(100)
    for member in world.config.nodes:
        cycles(world, 40, member)
    world.run(1_000)
    assert has_forgotten(world, "n1", 104) and not has_forgotten(world, "n1", 105)
    assert has_forgotten(world, "n2", 12) and not has_forgotten(world, "n2", 13)
    assert not has_forgotten(world, "n3", 1)
    kept = world.ask("n3", GetRequest(world.new_id(), 1_000, term_key("l", 1)))
    assert isinstance(kept, Decreed)


def test_a_cluster_of_five_forgets_too() -> None:
    world = forgetful(5)
    cycles(world, 20)
    world.crash(NodeId("n4"))
    world.crash(NodeId("n5"))
    cycles(world, 20)
    world.boot(NodeId("n5"))
    world.run(3_000)
    assert lock_and_term(cycle(world, "n5").key)[1] == 41


@pytest.mark.parametrize("name", ["a@x", "$locks/l@x", "$locks/l@", "$locks/l", "$locks/"])
@pytest.mark.parametrize("kind", [Commit, Fetched])
def test_a_peers_decree_for_what_is_no_key_does_not_end_a_node(name: str, kind: type) -> None:
    world = forgetful()
    decree = Decree.of(claim(name), Ballot(1, Process(N3, 1)), 0)
    told = Commit(decree.key, decree) if kind is Commit else Fetched((decree,))
    world.post(N1, FromPeer(N3, told))
    world.run(50)
    assert N1 in world.up()
    assert isinstance(world.claim("n1", claim("k")), Decreed)
    assert cycle(world, "n1").key == term_key("l", 1)
    if name.startswith("$"):
        assert world.alarms and stored(world, "n1", Key(name)).learned is None
