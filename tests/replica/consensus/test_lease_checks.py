"""Checks that only matter in rare interleavings, each with the interleaving that needs it."""

import pytest
from msgspec.structs import replace

from decreed.registry.errors import NotFormed, OutcomeUnknown, SeriesGap, Unreachable
from decreed.registry.keys import homes
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Nack, Prepare, Promise
from decreed.registry.replica.requests.spans import spans_of
from decreed.registry.replica.step.effects import Welcome
from decreed.registry.replica.step.events import (
    Fired,
    FromPeer,
    Greeted,
    Reachable,
    Retry,
    Welcomed,
)
from decreed.registry.types import Ballot, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, PassedClaim, Query, QueryAnswer, Scan, ScanAnswer
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    ListRequest,
    Undecided,
    WaitRequest,
)
from decreed.storage.layout import instance_key

from ...support.world import World, claim, config, stored

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def nothing(sender: NodeId, to: NodeId, message: object) -> bool:
    return False


def key_at_home(node: str, world: World, series: bool = False) -> str:
    """A key, or the name of a series, whose home is `node`."""
    names = (f"{'s' if series else 'k'}{number}" for number in range(100))
    return next(name for name in names if homes(Key(name), world.config.nodes)[0] == node)


# -- an answer to a claim stays true


def test_after_an_indefinite_try_no_error_is_definite() -> None:
    world = World()
    series = key_at_home("n1", world, series=True)
    world.freeze("n1", f"{series}@1")
    world.run(500)
    world.lose = lambda sender, to, message: to == "n3" or isinstance(message, Accepted | Decreed)
    wanted = claim(f"{series}@2", b"v", b"i")
    mark = world.send("n3", ClaimRequest(world.new_id(), 5_000, False, wanted))
    world.run(50)
    world.machines[N3].disk.flip(instance_key(f"{series}@1"), 20)
    world.lose = nothing
    world.post(N2, Reachable(N3, False))
    world.post(N3, Reachable(N2, False))
    world.post(N3, Reachable(N1, False))
    world.run(6_000)
    (answer,) = world.answers[mark]
    assert isinstance(answer, Decreed) or answer.code == OutcomeUnknown.code  # type: ignore[union-attr]


def test_a_claim_that_joins_its_own_proposal_may_be_chosen() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accept)
    wanted = claim("k", b"v", b"same")
    world.send("n1", ClaimRequest(world.new_id(), 400, True, wanted))
    world.settle()
    joined = world.send("n1", ClaimRequest(world.new_id(), 100, True, wanted))  # before a resend
    world.run(1_000)
    (answer,) = world.answers[joined]
    assert isinstance(answer, Failed) and answer.code == OutcomeUnknown.code


def test_an_answer_from_a_node_that_was_not_asked_is_ignored() -> None:
    world = World()
    home = key_at_home("n1", world)
    world.lose = lambda sender, to, message: isinstance(message, PassedClaim)
    mark = world.send("n3", ClaimRequest(world.new_id(), 500, False, claim(home)))
    world.settle()
    passed = next(m.request for _, _, m in world.sent if isinstance(m, PassedClaim))
    world.post(N3, FromPeer(N2, Failed(passed.id, SeriesGap.code, "not yours to say")))
    world.settle()
    assert not world.answers[mark]


def test_a_forwarded_claim_is_answered_when_its_key_is_learned_here() -> None:
    world = World()
    key = key_at_home("n1", world)
    world.lose = lambda sender, to, message: isinstance(message, Decreed)
    mark = world.send("n3", ClaimRequest(world.new_id(), 5_000, False, claim(key)))
    world.run(1_000)
    (answer,) = world.answers[mark]
    assert isinstance(answer, Decreed)


# -- numbers are never used for two questions


def test_a_late_answer_to_an_earlier_incarnation_is_not_taken_for_this_one() -> None:
    world = World()
    held: list[tuple[NodeId, QueryAnswer]] = []

    def hold(sender: NodeId, to: NodeId, message: object) -> bool:
        if isinstance(message, QueryAnswer):
            held.append((sender, message))
            return True
        return False

    world.lose = hold
    world.send("n1", GetRequest(world.new_id(), 5_000, Key("a")))
    world.run(50)
    world.crash(N1)
    world.lose = nothing
    world.freeze("n2", "b")
    world.boot(N1)
    world.lose = lambda sender, to, message: to == "n1"
    mark = world.send("n1", GetRequest(world.new_id(), 1_000, Key("b")))
    world.settle()
    for sender, answer in held:
        world.post(N1, FromPeer(sender, answer))
    world.run(2_000)
    (answer_now,) = world.answers[mark]
    assert not isinstance(answer_now, Undecided)


# -- quorums of the right kind


def test_undecided_needs_a_prepare_quorum_not_an_accept_quorum() -> None:
    world = World(config(5, prepare=4, accept=2))
    world.lose = lambda sender, to, message: (
        isinstance(message, QueryAnswer) and sender not in ("n2", "n3")
    )
    answer = world.ask("n1", GetRequest(world.new_id(), 500, Key("k")))
    assert isinstance(answer, Failed) and answer.code == Unreachable.code


def test_a_node_that_may_not_vote_counts_for_nothing_in_reads_and_lists() -> None:
    world = World(up=["n1", "n2"])
    world.sent.clear()
    world.post(N2, FromPeer(N1, Query(1, (Key("k"),))))
    world.post(N2, FromPeer(N1, Scan(1, 1_000, "", "", 10, spans_of([], complete=True))))
    world.settle()
    assert not [m for _, _, m in world.sent if isinstance(m, QueryAnswer | ScanAnswer)]
    answer = world.ask("n1", ListRequest(world.new_id(), 500, "", "", 10))
    assert isinstance(answer, Failed) and answer.code == NotFormed.code


# -- no request waits for what is known, and no key stays in doubt


def test_an_open_quorum_read_is_answered_when_the_key_is_learned_here() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, QueryAnswer)
    mark = world.send("n1", GetRequest(world.new_id(), 3_000, Key("k")))
    world.run(50)
    world.freeze("n2", "k")
    world.run(100)
    assert isinstance(world.answers[mark][0], Decreed)


def test_a_wait_whose_commit_came_before_the_last_answer_does_not_hang() -> None:
    world = World()
    held: list[tuple[NodeId, QueryAnswer]] = []

    def hold(sender: NodeId, to: NodeId, message: object) -> bool:
        if isinstance(message, QueryAnswer):
            held.append((sender, message))
            return True
        return False

    world.lose = hold
    mark = world.send("n1", WaitRequest(world.new_id(), 5_000, Key("k")))
    world.settle()
    decreed = world.freeze("n2", "k")
    for sender, answer in held:
        world.post(N1, FromPeer(sender, answer))
    world.settle()
    assert [a.decree for a in world.answers[mark] if isinstance(a, Decreed)] == [decreed.decree]


@pytest.mark.parametrize("delay_ms", [10.0, 90.0, 150.0, 400.0])
def test_keys_in_doubt_are_finished_over_slow_links_too(delay_ms: float) -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accepted | Commit) or to == "n3"
    world.send("n1", ClaimRequest(world.new_id(), 1_000, True, claim("k")))
    world.run(1_000)
    world.crash(N1)
    world.lose = nothing
    world.delays = lambda sender, to, message: [delay_ms]
    world.run(60_000)
    assert stored(world, "n2", "k").learned is not None


def test_the_next_ballot_is_above_the_one_that_a_nack_reported() -> None:
    world = World()
    high = Ballot(50, Process(N3, 1))
    for node in (N2, N3):
        world.post(node, FromPeer(N3, Prepare(Key("k"), high)))
    world.settle()
    world.sent.clear()
    assert isinstance(world.claim("n1", claim("k"), timeout_ms=1_000, here=True), Decreed)
    ballots = {m.ballot.round for s, _, m in world.sent if s == "n1" and isinstance(m, Prepare)}
    assert ballots == {1, 51}


def test_the_pause_after_a_nack_is_random() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    world.send("n1", ClaimRequest(world.new_id(), 5_000, True, claim("k")))
    world.settle()
    mine = next(m.ballot for s, _, m in world.sent if s == "n1" and isinstance(m, Prepare))
    nack = Nack(Key("k"), mine, Ballot(9, Process(N2, 1)))
    replica, storage = world.replica("n1"), world.machines[N1].storage
    assert storage is not None
    events = [FromPeer(N2, nack)]
    effects = replica.step(world.moment(), events, storage.load(replica.needs(events)))
    pauses = [timer for timer in effects.timers if isinstance(timer.timer, Retry)]
    assert pauses and all(timer.spread_ms > 0 for timer in pauses)
    assert not [t for t in world.machines[N1].timers if t[2] == Fired(pauses[0].timer)]


def test_attempts_that_no_request_waits_for_are_dropped() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    for number in range(20):
        wanted = claim(f"k{number}", claim_id=b"%d" % number)
        world.send("n1", ClaimRequest(world.new_id(), 100, True, wanted))
    world.run(20_000)
    assert "attempts" not in world.replica("n1").pending_work()


# -- which nodes are welcomed


def test_a_node_is_welcomed_only_once_it_is_recorded() -> None:
    world = World(up=["n1"])
    replica, storage = world.replica("n1"), world.machines[N1].storage
    assert storage is not None
    shown = replace(replica.membership.identity(), node=N2, disk_id=b"d" * 16)
    events = [Greeted(4711, shown, 0, None)]
    effects = replica.step(world.moment(), events, storage.load(replica.needs(events)))
    assert effects.records and not any(isinstance(item, Welcome) for item in effects.at_once)
    assert any(isinstance(item, Welcome) for item in effects.after)


def test_a_welcome_that_a_page_of_the_feed_has_overtaken_refuses_no_node() -> None:
    world = World()
    world.freeze("n1", "a")
    world.run(1_000)
    old = world.replica("n1").membership.identity()
    world.freeze("n1", "b")
    world.run(1_000)
    key = world.replica("n1").node.identity.signing_key
    assert key is not None
    world.post(N3, Welcomed(4711, old, None, key))
    world.settle()
    assert world.rejected == []


def test_strangers_with_made_up_names_are_not_remembered() -> None:
    world = World()
    identity = world.replica("n1").membership.identity()
    for number in range(100):
        stranger = replace(identity, node=NodeId(f"x{number}"))
        world.post(N1, Greeted(1_000_000 + number, stranger, 0, None))
    world.settle()
    assert world.replica("n1").membership.refused == {}


def test_a_page_of_another_disk_moves_no_cursor() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, FeedPage | Commit)
    world.claim("n1", claim("k"), here=True)
    world.run(300)
    before = world.replica("n3").catchup.cursor(N1)
    world.post(
        N3, FromPeer(N1, FeedPage(b"another disk is!", before, before + 1, before + 1, (), b""))
    )
    world.settle()
    assert world.replica("n3").catchup.cursor(N1) == before
