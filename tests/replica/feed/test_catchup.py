"""Catching up: no node misses a decree for long, and nodes that disagree notice it."""

from collections.abc import Callable, Mapping

import pytest

from decreed.registry.errors import Disputed
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.feed import catchup
from decreed.registry.replica.feed.lacking import LIGHT_BYTES
from decreed.registry.replica.feed.pages import PULL_TIMEOUT_MS
from decreed.registry.replica.feed.serving import SERVE_BYTES, SERVE_KEYS
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, Fetch, Fetched, Ping, Pull
from decreed.registry.wire.requests import Decreed, Failed, GetRequest
from decreed.storage.layout import instance_key
from decreed.storage.memory import MemoryDisk

from ...support.changing import ChangingWorld
from ...support.machine import Machine
from ...support.world import World, claim, stored

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))


def decree(key: str, value: bytes, claim_id: bytes) -> Decree:
    return Decree.of(claim(key, value, claim_id), Ballot(1, Process(N1, 1)), 0)


def known(world: World, node: str) -> int:
    return world.replica(node).node.feed_end


def fetched(world: World) -> list[list[str]]:
    """The keys of each message with fetched decrees."""
    messages = [message for _, _, message in world.sent if isinstance(message, Fetched)]
    return [[decree.key for decree in message.decrees] for message in messages]


def missed(values: Mapping[str, bytes]) -> World:
    """A node has come back that was down while these keys were decided."""
    world = World()
    world.crash(N3)
    for key, value in values.items():
        world.freeze("n1", key, value)
    world.boot(N3)
    return world


def test_a_node_that_was_down_soon_has_every_decree() -> None:
    world = missed({f"k{number}": b"v" for number in range(3_000)})
    world.run(3_000)
    assert known(world, "n3") == 3_000
    assert all(stored(world, "n3", f"k{number}").learned for number in range(0, 3_000, 100))


def test_a_decree_whose_commit_was_lost_is_learned_from_a_feed() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Commit)
    world.claim("n1", claim("k"), here=True)
    assert stored(world, "n3", "k").learned is None
    world.lose = lambda sender, to, message: False
    world.run(1_000)
    assert stored(world, "n3", "k").learned is not None


@pytest.mark.parametrize("kind", [FeedPage, Fetch, Fetched])
def test_lost_pages_are_asked_for_again(kind: type) -> None:
    world = missed({f"k{number}": b"v" for number in range(20)})
    world.lose = lambda sender, to, message: isinstance(message, kind)
    world.run(1_000)
    world.lose = lambda sender, to, message: False
    world.run(6_000)
    assert known(world, "n3") == 20


def test_the_cursor_survives_a_restart_so_nothing_is_read_twice() -> None:
    world = World()
    for number in range(10):
        world.freeze("n1", f"k{number}")
    world.run(2_000)
    before = [world.replica("n3").catchup.cursor(peer) for peer in (N1, N2)]
    world.crash(N3)
    world.boot(N3)
    assert [world.replica("n3").catchup.cursor(peer) for peer in (N1, N2)] == before == [10, 10]


def test_the_cursor_never_moves_past_an_entry_that_is_not_learned() -> None:
    world = missed({f"k{number}": bytes(SERVE_BYTES) for number in range(20)})
    world.lose = lambda sender, to, message: (
        isinstance(message, Fetched) and message.decrees[0].key == "k7"
    )
    world.run(5_000)
    assert world.replica("n3").catchup.cursor(N1) == 0
    assert stored(world, "n3", "k7").learned is None
    assert known(world, "n3") == 19


def test_short_decrees_are_fetched_together_and_learned_in_one_step() -> None:
    world = missed({f"k{number}": b"v" for number in range(20)})
    world.run(5_000)
    assert fetched(world) == [[f"k{number}" for number in range(20)]]
    assert known(world, "n3") == 20


def test_a_message_of_decrees_has_at_most_the_limit_of_bytes_of_values() -> None:
    third = bytes(SERVE_BYTES // 3)
    sizes = {
        "a": third,
        "b": third,
        "c": third,
        "d": b"v" * 4,
        "e": bytes(2 * SERVE_BYTES),
        "f": b"",
    }
    world = missed(sizes)
    world.run(5_000)
    assert fetched(world) == [["a", "b", "c"], ["d"], ["e"], ["f"]]
    assert known(world, "n3") == 6


def test_no_step_serves_more_keys_than_the_limit() -> None:
    world = missed({f"k{number}": b"v" for number in range(SERVE_KEYS + 1)})
    world.run(5_000)
    assert [len(keys) for keys in fetched(world)] == [SERVE_KEYS, 1]


def test_the_decrees_that_come_with_a_disputed_one_are_learned() -> None:
    world = World()
    right, other = (decree(key, b"right", b"r") for key in ("k", "other"))
    wrong = decree("k", b"wrong", b"w")
    world.post(N1, FromPeer(N2, Fetched((right, wrong, other, other))))
    world.settle()
    assert stored(world, "n1", "k").disputed == wrong
    assert stored(world, "n1", "other").learned == other
    assert sum("different decrees" in alarm for alarm in world.alarms) == 1


def test_two_nodes_that_disagree_stop_serving_the_key_with_an_alarm() -> None:
    world = World()
    world.freeze("n1", "k", b"right")
    wrong = Decree.of(claim("k", b"wrong", b"w"), Ballot(1, Process(N3, 1)), 0)
    world.post(N1, FromPeer(N3, Commit(Key("k"), wrong)))
    world.run(100)
    assert any("different decrees" in alarm for alarm in world.alarms)
    answer = world.ask("n1", GetRequest(world.new_id(), 500, Key("k")))
    assert isinstance(answer, Failed) and answer.code == Disputed.code
    assert world.freeze("n1", "other")


def test_disagreement_is_found_by_reading_feeds_too() -> None:
    world = World()
    wrong = Decree.of(claim("k", b"wrong", b"w"), Ballot(1, Process(N3, 1)), 0)
    right = Decree.of(claim("k", b"right", b"r"), Ballot(1, Process(N1, 1)), 0)
    world.lose = lambda sender, to, message: True
    world.post(N1, FromPeer(N2, Commit(Key("k"), right)))
    world.post(N3, FromPeer(N2, Commit(Key("k"), wrong)))
    world.settle()
    world.lose = lambda sender, to, message: False
    world.run(3_000)
    for node in ("n1", "n3"):
        assert stored(world, node, "k").disputed is not None
        answer = world.ask(node, GetRequest(world.new_id(), 500, Key("k")))
        assert isinstance(answer, Failed) and answer.code == Disputed.code


def test_a_dispute_does_not_stop_the_feed() -> None:
    world = World()
    right = Decree.of(claim("k", b"right", b"r"), Ballot(1, Process(N1, 1)), 0)
    wrong = Decree.of(claim("k", b"wrong", b"w"), Ballot(1, Process(N3, 1)), 0)
    world.lose = lambda sender, to, message: True
    world.post(N1, FromPeer(N2, Commit(Key("k"), right)))
    world.post(N3, FromPeer(N2, Commit(Key("k"), wrong)))
    world.settle()
    world.lose = lambda sender, to, message: isinstance(message, Commit) and message.key != "k"
    world.freeze("n1", "after")
    world.lose = lambda sender, to, message: False
    world.run(2_500)
    assert all(stored(world, node, "after").learned for node in world.up())


def test_decrees_that_a_dead_peer_was_asked_for_come_from_another_peer() -> None:
    world = World()
    world.lose = lambda sender, to, message: (
        isinstance(message, Commit | Fetch)
        and "n3"
        in (
            sender,
            to,
        )
    )
    world.claim("n1", claim("k"), here=True)
    world.run(1_000)
    assert world.replica("n3").pending_work()["fetching"] == {"k": N1}
    world.crash(N1)
    world.lose = lambda sender, to, message: False
    world.run(8_000)
    assert stored(world, "n3", "k").learned is not None


def test_a_page_is_complete_with_its_last_key_even_if_the_peer_asked_for_it_was_given_up() -> None:
    """It waits for a key that another peer was asked for, which was given up meanwhile."""
    world = World()
    lost: tuple[type, ...] = (Commit, Fetch)
    world.lose = lambda sender, to, message: (
        N3 in (sender, to) and (isinstance(message, lost) or (sender, type(message)) == (N2, Ping))
    )
    decreed = world.claim("n1", claim("k"), here=True)
    assert isinstance(decreed, Decreed)
    world.run(1_500)
    replica = world.replica("n3")
    assert replica.pending_work()["fetching"] == {"k": N1}
    world.lose = lambda sender, to, message: (
        N3 in (sender, to) and (isinstance(message, lost) or N1 in (sender, to))
    )
    while "fetching" in replica.pending_work():
        world.run(10)
    assert N2 in replica.pending_work()["pulling"]
    world.post(N3, FromPeer(N2, Commit(Key("k"), decreed.decree)))
    world.settle()
    assert replica.catchup.cursor(N2) == 1


def test_nodes_in_step_read_nothing_of_their_feeds_from_the_disk() -> None:
    world = World()
    read: list[int] = []
    for machine in world.machines.values():
        assert machine.storage is not None
        machine.storage.feed = lambda start, limit: read.append(start) or ([], start)  # type: ignore
    for number in range(50):
        world.freeze("n1", f"k{number}")
    world.run(2_000)
    assert [world.replica("n3").catchup.cursor(peer) for peer in (N1, N2)] == [50, 50]
    assert not read


def test_a_long_fetch_loads_no_more_instances_than_one_message_tells_of() -> None:
    keys = tuple(Key(f"k/{number}") for number in range(2 * SERVE_KEYS))
    needed = World().replica(N1).needs([FromPeer(N2, Fetch(keys))])
    assert needed == set(keys[:SERVE_KEYS])


def pulls(world: World) -> list[tuple[NodeId, int]]:
    """The pages that n3 has asked for: of whom, and where they begin."""
    return [(to, m.start) for node, to, m in world.sent if node == N3 and isinstance(m, Pull)]


def test_a_node_that_is_far_behind_reads_one_feed_first_and_the_others_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 4)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 4)
    world = missed({f"k{number}": b"v" for number in range(40)})
    world.run(3_000)
    assert [world.replica("n3").catchup.cursor(peer) for peer in (N1, N2)] == [40, 40]
    asked: dict[NodeId, int] = {}
    for peer, start in pulls(world):
        leading = [at for other, at in asked.items() if other != peer and at < start + 4]
        assert start >= 36 or all(at < start for at in leading), pulls(world)
        asked[peer] = start
    assert asked.keys() == {N1, N2}


def test_a_voter_reads_a_long_feed_in_small_pages_as_its_votes_wait_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 8)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 2)
    world = missed({f"k{number}": b"v" for number in range(40)})
    world.run(3_000)
    asked = [m for node, _, m in world.sent if node == N3 and isinstance(m, Pull)]
    assert {pull.limit for pull in asked if pull.start < 32} == {2}
    assert world.replica("n3").catchup.cursor(N1) == 40


def test_a_node_without_a_vote_reads_it_in_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 8)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 2)
    world = ChangingWorld()
    for number in range(40):
        world.freeze("n1", f"k{number}")
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.boot(N4)
    world.run(3_000)
    assert world.replica(N4).catchup.cursor(N1) == 40
    assert {m.limit for node, _, m in world.sent if node == N4 and isinstance(m, Pull)} == {8}


def test_no_feed_follows_one_whose_pages_are_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 4)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 4)
    world = missed({f"k{number}": b"v" for number in range(40)})
    world.lose = lambda sender, to, message: sender == N1 and isinstance(message, FeedPage)
    world.run(PULL_TIMEOUT_MS + 1_000)
    assert pulls(world)[0] == (N1, 0), "the one whose pages are lost is read first"
    assert known(world, "n3") == 40
    assert world.replica("n3").catchup.cursor(N2) == 40


def asked_pages(world: World, *, with_decrees: bool) -> list[Pull]:
    asked = [message for _, _, message in world.sent if isinstance(message, Pull)]
    return [pull for pull in asked if pull.decrees == with_decrees]


def test_a_node_far_behind_is_sent_the_decrees_with_the_pages_and_fetches_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 16)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 16)
    world = missed({f"k{number}": b"v" for number in range(320)})
    world.sent.clear()
    world.run(3_000)
    assert known(world, "n3") == 320
    asked = [message for _, _, message in world.sent if isinstance(message, Fetch)]
    assert sum(len(message.keys) for message in asked) <= 4 * 16
    assert len(asked_pages(world, with_decrees=True)) >= 320 // 16 - 4
    assert sum(map(len, fetched(world))) <= 320 + 4 * 16, "few decrees are sent twice"
    for pull in asked_pages(world, with_decrees=True):
        assert pull.start < 320


def test_large_values_are_fetched_rather_than_sent_with_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 8)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 8)
    large = bytes(LIGHT_BYTES + 1)
    world = missed({f"k{number}": large for number in range(64)})
    world.run(3_000)
    assert known(world, "n3") == 64
    assert len(asked_pages(world, with_decrees=True)) <= 2, "at first it does not know them"


def test_a_node_that_has_most_of_a_feed_asks_for_no_decrees_with_its_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 16)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 16)
    world = missed({f"k{number}": b"v" for number in range(320)})
    decrees = [stored(world, "n1", f"k{number}").learned for number in range(320)]
    for one in decrees:
        assert one is not None
        world.post(N3, FromPeer(N1, Commit(one.key, one)))
    world.run(1)
    world.sent.clear()
    world.run(3_000)
    assert not asked_pages(world, with_decrees=True) and not fetched(world)
    assert [world.replica("n3").catchup.cursor(peer) for peer in (N1, N2)] == [320, 320]


def test_decrees_that_do_not_come_with_a_page_are_fetched_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 16)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 16)
    world = missed({f"k{number}": b"v" for number in range(160)})
    fetching: set[NodeId] = set()

    def is_lost(sender: str, to: str, message: object) -> bool:
        """Peers that do not know how to send decrees with a page."""
        if isinstance(message, Fetch):
            fetching.add(NodeId(to))
        if isinstance(message, Fetched) and NodeId(sender) in fetching:
            fetching.discard(NodeId(sender))
            return False
        return isinstance(message, Fetched)

    world.lose = is_lost
    world.run(60_000)
    assert known(world, "n3") == 160


def test_a_page_that_was_asked_for_early_moves_no_cursor_before_the_one_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 16)
    monkeypatch.setattr(catchup, "VOTER_PAGE", 16)
    world = missed({f"k{number}": b"v" for number in range(160)})
    world.lose = lambda sender, to, message: (
        isinstance(message, Fetched) and any(d.key == "k20" for d in message.decrees)
    )
    world.run(2_500)
    for peer in (N1, N2):
        assert world.replica("n3").catchup.cursor(peer) <= 20
    world.lose = lambda sender, to, message: False
    world.run(20_000)
    assert [world.replica("n3").catchup.cursor(peer) for peer in (N1, N2)] == [160, 160]


def arrives_later(kind: type) -> Callable[[object], bool]:
    """Messages of a kind; of decrees those that tell any."""
    return lambda message: isinstance(message, kind) and bool(getattr(message, "decrees", True))


@pytest.mark.parametrize("kind", [FeedPage, Fetched])
def test_what_cannot_be_told_with_a_page_is_named_again_if_it_was_named_before_the_page_was_read(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may wait for a turn longer than what is said behind it (`server.bulk`).

    One that was asked for early waits for the decrees of the page before.
    """
    monkeypatch.setattr(catchup, "MAX_FEED_PAGE", 16)
    is_late = arrives_later(kind)
    world = ChangingWorld()
    keys = [Key(f"k{number:03}") for number in range(160)]
    for key in keys:
        world.freeze("n1", key)
    world.run(2_000)
    damaged = keys[24::16]
    for node in (N1, N2, N3):
        for key in damaged:
            world.machines[node].disk.flip(instance_key(key), 9)
    world.delays = lambda _, to, message: (5.0 if to == N4 and is_late(message) else 0.0,)
    world.machines[N4] = Machine(MemoryDisk(N4))
    world.boot(N4)
    world.run(PULL_TIMEOUT_MS - 500)
    assert known(world, N4) == len(keys) - len(damaged)
    assert sorted(world.replica(N4).parts.withholding.keys) == damaged
    assert [world.replica(N4).catchup.cursor(peer) for peer in (N1, N2, N3)] == [160] * 3
