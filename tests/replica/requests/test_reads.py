"""Reads: decrees from any node, undecided from a quorum only, waits, series, lists, watches."""

import pytest

from decreed.registry.errors import NotFormed, Unreachable
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Promise
from decreed.registry.replica.step.events import Finish, FromPeer
from decreed.registry.replica.step.pending import COARSE_MS, FINE_MS, LONG_MS
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, QueryAnswer, ScanAnswer
from decreed.registry.wire.requests import (
    Answer,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    Position,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ...support.world import World, claim, config, stored


def test_a_node_that_has_not_formed_does_not_even_answer_with_a_learned_decree() -> None:
    world = World(up=["n1", "n2"])
    decree = Decree.of(claim("k"), Ballot(1, Process(NodeId("n2"), 1)), 0)
    world.post(NodeId("n1"), FromPeer(NodeId("n2"), Commit(Key("k"), decree)))
    world.settle()
    answer = get(world, "n1", "k")
    assert isinstance(answer, Failed) and answer.code == NotFormed.code


def get(world: World, node: str, key: str, timeout_ms: int = 2_000) -> Answer:
    return world.ask(node, GetRequest(world.new_id(), timeout_ms, Key(key)))


def listing(
    world: World, node: str, prefix: str = "", limit: int = 100, after: str = ""
) -> ListPage:
    page = world.ask(node, ListRequest(world.new_id(), 5_000, prefix, after, limit))
    assert isinstance(page, ListPage), page
    return page


def keys_under(world: World, node: str, prefix: str, limit: int = 100) -> list[str]:
    keys: list[str] = []
    after: str | None = ""
    while after is not None:
        page = listing(world, node, prefix, limit, after)
        keys += [decree.key for decree in page.decrees]
        after = page.next_after
    return keys


def only_commits_and_feeds(sender: NodeId, to: NodeId, message: object) -> bool:
    return isinstance(message, Commit | FeedPage)


def test_a_learned_key_is_read_from_any_node_without_asking_anybody() -> None:
    world = World()
    world.freeze("n1", "k")
    world.run(500)
    for node in world.up():
        for other in world.up():
            if other != node:
                world.crash(other)
        assert isinstance(get(world, node, "k"), Decreed)
        for other in world.config.nodes:
            if other != node:
                world.boot(other)
        world.run(200)


def test_undecided_is_answered_only_after_a_quorum_has_answered() -> None:
    world = World()
    assert isinstance(get(world, "n1", "k"), Undecided)
    world.lose = lambda sender, to, message: isinstance(message, QueryAnswer)
    answer = get(world, "n1", "k", timeout_ms=300)
    assert isinstance(answer, Failed) and answer.code == Unreachable.code


def test_answers_to_lost_queries_are_asked_for_again() -> None:
    world = World()
    lost: list[object] = []

    def lose_first(sender: NodeId, to: NodeId, message: object) -> bool:
        if isinstance(message, QueryAnswer) and len(lost) < 2:
            lost.append(message)
            return True
        return False

    world.lose = lose_first
    assert isinstance(get(world, "n1", "k"), Undecided)
    assert len(lost) == 2


def test_a_read_finds_a_chosen_value_that_no_node_has_learned() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Commit | FeedPage | Accepted)
    world.send("n1", ClaimRequest(world.new_id(), 5_000, True, claim("k", b"x")))
    world.settle()
    assert all(stored(world, node, "k").accepted for node in world.up()), "it is chosen"
    world.crash(NodeId("n1"))
    world.lose = only_commits_and_feeds
    answer = get(world, "n3", "k")
    assert isinstance(answer, Decreed) and answer.decree.value == b"x"


def test_a_read_that_arrives_during_phase_one_does_not_count_older_promises() -> None:
    """The promises of a ballot that began before the read do not show what was chosen since."""
    world = World()
    held: list[Promise] = []

    def hold(sender: NodeId, to: NodeId, message: object) -> bool:
        if isinstance(message, Promise) and to == "n1":
            held.append(message)
            return True
        return False

    world.lose = hold
    world.post(NodeId("n1"), Finish(Key("k"), None))
    world.settle()
    world.lose = lambda sender, to, message: (
        sender == "n2" and (to == "n1" or isinstance(message, Commit))
    )
    chosen = world.claim("n2", claim("k", b"chosen"), here=True)
    assert isinstance(chosen, Decreed)
    mark = world.send("n1", GetRequest(world.new_id(), 5_000, Key("k")))
    world.settle()
    world.post(NodeId("n1"), FromPeer(NodeId("n2"), held[0]))
    world.run(1_000)
    (answer,) = world.answers[mark]
    assert isinstance(answer, Decreed) and answer.decree == chosen.decree


def test_a_read_that_joins_after_a_nack_does_not_count_older_promises_either() -> None:
    """Another read keeps the preempted attempt open; the acceptance at n3 shows it to both."""
    world, n1, n2, n3 = World(), NodeId("n1"), NodeId("n2"), NodeId("n3")
    in_doubt = Decree.of(claim("k", b"in doubt"), Ballot(1, Process(n2, 1)), 0)
    world.post(n3, FromPeer(n2, Accept(Key("k"), in_doubt.ballot, in_doubt)))
    held: list[Promise] = []

    def hold(sender: NodeId, to: NodeId, message: object) -> bool:
        if isinstance(message, Promise) and to == n1:
            held.extend([message] if sender == n2 else [])
            return True
        return isinstance(message, QueryAnswer) and sender == n2

    world.lose = hold
    world.send("n1", GetRequest(world.new_id(), 5_000, Key("k")))
    world.run(100)
    assert held[-1].ballot.round == 2, "n3 has refused the first, and n1 has begun again"
    world.lose = lambda sender, to, message: (
        sender == "n2" and (to == "n1" or isinstance(message, Commit))
    )
    chosen = world.claim("n2", claim("k", b"late"), here=True)
    assert isinstance(chosen, Decreed)
    mark = world.send("n1", GetRequest(world.new_id(), 5_000, Key("k")))
    world.settle()
    assert not world.answers[mark]
    world.post(n1, FromPeer(n2, held[-1]))
    world.run(1_000)
    (answer,) = world.answers[mark]
    assert isinstance(answer, Decreed) and answer.decree == chosen.decree


def test_a_wait_is_answered_when_the_key_is_frozen_and_not_before() -> None:
    world = World()
    mark = world.send("n3", WaitRequest(world.new_id(), 60_000, Key("k")))
    world.run(2_000)
    assert not world.answers[mark]
    decreed = world.freeze("n1", "k")
    world.run(10)
    (answer,) = world.answers[mark]
    assert isinstance(answer, Decreed) and answer.decree == decreed.decree


def test_a_wait_is_answered_though_the_commit_was_lost() -> None:
    world = World()
    mark = world.send("n3", WaitRequest(world.new_id(), 60_000, Key("k")))
    world.run(100)
    world.lose = lambda sender, to, message: isinstance(message, Commit) and to == "n3"
    world.claim("n1", claim("k"), here=True)
    world.run(100)
    world.lose = lambda sender, to, message: False
    world.run(2_000)
    assert isinstance(world.answers[mark][0], Decreed)


def test_a_wait_that_runs_out_says_undecided_only_if_a_quorum_said_so() -> None:
    world = World()
    mark = world.send("n1", WaitRequest(world.new_id(), 500, Key("k")))
    world.run(1_000)
    assert isinstance(world.answers[mark][0], Undecided)
    world.lose = lambda sender, to, message: True
    mark = world.send("n1", WaitRequest(world.new_id(), 500, Key("k")))
    world.run(1_000)
    assert isinstance(world.answers[mark][0], Failed)


@pytest.mark.parametrize("timeout_ms", [30, 270, 999, 1_000, 30_000])
def test_requests_end_in_time_however_many_end_together(timeout_ms: int) -> None:
    world = World()
    marks = list[tuple[NodeId, int]]()
    for _ in range(9):
        world.run(3.3)
        began_ms = world.now_ms
        marks.append(world.send("n1", WaitRequest(world.new_id(), timeout_ms, Key("k"))))
    late_ms = COARSE_MS if timeout_ms >= LONG_MS else FINE_MS
    world.run(began_ms + timeout_ms - world.now_ms - 0.1)
    assert not world.answers[marks[-1]]
    world.run(late_ms + 0.2)
    assert all(isinstance(world.answers[mark][0], Undecided) for mark in marks)


def test_latest_is_the_last_decided_slot_even_on_a_node_that_missed_it() -> None:
    world = World()
    for number in range(1, 4):
        world.freeze("n1", f"s@{number}")
    world.lose = lambda sender, to, message: to == "n3" and isinstance(message, Commit | FeedPage)
    for number in range(4, 12):
        world.claim("n1", claim(f"s@{number}", claim_id=b"%d" % number), here=True)
    world.lose = lambda sender, to, message: False
    answer = world.ask("n3", LatestRequest(world.new_id(), 5_000, "s"))
    assert isinstance(answer, Decreed) and answer.decree.key == "s@11"
    assert isinstance(world.ask("n1", LatestRequest(world.new_id(), 5_000, "none")), Undecided)


def test_a_list_at_any_node_has_every_decree_answered_before_it_began() -> None:
    world = World()
    world.lose = only_commits_and_feeds
    for number in range(20):
        world.claim(
            f"n{number % 3 + 1}", claim(f"p/k{number:02}", claim_id=b"%d" % number), here=True
        )
    expected = [f"p/k{number:02}" for number in range(20)]
    for node in world.up():
        assert keys_under(world, node, "p") == expected


def test_a_list_finishes_keys_in_doubt() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accepted | Commit)
    world.send("n1", ClaimRequest(world.new_id(), 5_000, True, claim("p/k")))
    world.settle()
    world.crash(NodeId("n1"))
    world.lose = lambda sender, to, message: False
    assert keys_under(world, "n2", "p") == ["p/k"]


def test_a_list_without_a_quorum_is_an_error_never_empty() -> None:
    world = World()
    world.freeze("n1", "p/k")
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer)
    answer = world.ask("n1", ListRequest(world.new_id(), 300, "p", "", 10))
    assert isinstance(answer, Failed) and answer.code == Unreachable.code


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_join_to_the_whole_whatever_their_size(limit: int) -> None:
    world = World()
    names = ["a", "a/b", "a/b/c", "a-b", "a0", "ab", "a@1", "a@2", "b", "a/z"]
    for name in names:
        world.freeze("n1", name)
    for number in range(3, 13):
        world.freeze("n1", f"a@{number}")
    under_a = ["a", "a/b", "a/b/c", "a/z", *(f"a@{number}" for number in range(1, 13))]
    assert keys_under(world, "n2", "a", limit) == under_a
    assert sorted(keys_under(world, "n2", "", limit)) == sorted({*names, *under_a})


def test_large_values_are_spread_over_pages() -> None:
    world = World()
    for number in range(5):
        world.freeze("n1", f"p/k{number}", b"x" * 700_000)
    assert len(listing(world, "n2", "p").decrees) < 5
    assert len(keys_under(world, "n2", "p")) == 5


def watch(
    world: World, node: str, prefix: str, since: Position | None, ms: int = 2_000
) -> WatchPage:
    page = world.ask(node, WatchRequest(world.new_id(), ms, prefix, since, 100))
    assert isinstance(page, WatchPage), page
    return page


def test_a_watch_continues_from_its_position_and_waits_for_more() -> None:
    world = World()
    start = watch(world, "n1", "p", None)
    assert start.decrees == ()
    world.freeze("n1", "p/a")
    world.freeze("n1", "q/b")
    world.freeze("n1", "p/c")
    page = watch(world, "n1", "p", start.position)
    assert [decree.key for decree in page.decrees] == ["p/a", "p/c"]
    request = WatchRequest(world.new_id(), 10_000, "p", page.position, 100)
    mark = world.send("n1", request)
    world.freeze("n2", "q/d")
    assert not world.answers[mark]
    world.freeze("n2", "p/e")
    world.run(10)
    (answer,) = world.answers[mark]
    assert isinstance(answer, WatchPage)
    assert [decree.key for decree in answer.decrees] == ["p/e"]


def test_a_watch_never_skips_a_decree_however_the_pages_fall() -> None:
    world = World()
    position = watch(world, "n1", "", None).position
    seen: list[str] = []
    for number in range(60):
        world.freeze(f"n{number % 3 + 1}", f"k{number}")
        if number % 7 == 0:
            page = watch(world, "n1", "", position, ms=30)
            seen += [decree.key for decree in page.decrees]
            position = page.position
    world.run(2_000)
    while page := watch(world, "n1", "", position, ms=30):
        seen += [decree.key for decree in page.decrees]
        position = page.position
        if not page.decrees:
            break
    assert sorted(seen) == sorted(f"k{number}" for number in range(60))


def test_a_position_of_another_disk_is_lost_not_guessed_at() -> None:
    world = World()
    world.freeze("n1", "k")
    ours = watch(world, "n1", "", None).position
    for wrong in (
        Position(NodeId("n2"), ours.feed, 0),
        Position(ours.node, b"x" * 16, 0),
        Position(ours.node, ours.feed, ours.index + 1),
    ):
        page = watch(world, "n1", "", wrong)
        assert page.lost and page.position == ours and page.decrees == ()


def test_a_watch_without_decrees_ends_with_an_empty_page() -> None:
    world = World()
    start = watch(world, "n1", "", None)
    page = watch(world, "n1", "", start.position, ms=200)
    assert page.decrees == () and not page.lost and page.position == start.position


def test_a_node_that_has_not_formed_answers_no_reads() -> None:
    world = World(config(3), up=["n1", "n2"])
    answer = get(world, "n1", "k")
    assert isinstance(answer, Failed) and answer.code == NotFormed.code
