"""What a quorum's answers mean when the nodes know different keys."""

import pytest
from msgspec.structs import replace

from decreed.registry.errors import Disputed
from decreed.registry.keys import sort_key
from decreed.registry.paxos.messages import Accept, Commit, Prepare
from decreed.registry.replica.requests import list_read, scan_service
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import FeedPage, PeerMessage, Query, QueryAnswer, Scan, ScanAnswer
from decreed.registry.wire.requests import (
    Decreed,
    Failed,
    GetRequest,
    ListPage,
    ListRequest,
    Undecided,
)

from ...support.world import Lose, World, claim

KEY = Key("k")
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
WRONG = Decree.of(claim(KEY, b"wrong", b"w"), Ballot(1, Process(N3, 1)), 0)


def everything(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return True


def nothing(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return False


def without(missing: NodeId) -> Lose:
    """Lose all messages to one node, and all feeds."""

    def lose(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
        return missing in (sender, to) or isinstance(message, FeedPage)

    return lose


def pages(world: World, node: NodeId, limit: int) -> list[Key]:
    """The keys of a whole list, page by page."""
    keys: list[Key] = []
    after: str | None = ""
    while after is not None:
        page = world.ask(node, ListRequest(world.new_id(), 3_000, "", after, limit))
        assert isinstance(page, ListPage), page
        keys += [decree.key for decree in page.decrees]
        after = page.next_after
    return keys


def test_a_read_considers_the_acceptance_of_its_own_node() -> None:
    world = World()
    decree = Decree.of(claim(KEY), Ballot(5, Process(N2, 1)), 0)
    for node in (N1, N2):  # a quorum, so it is chosen, and no node has learned it
        world.post(node, FromPeer(N2, Accept(KEY, decree.ballot, decree)))
    world.lose = lambda sender, to, message: sender == N2
    world.settle()
    answer = world.ask(N1, GetRequest(world.new_id(), 500, KEY))
    assert not isinstance(answer, Undecided)


def test_what_an_answer_says_of_a_key_that_was_not_asked_about_is_ignored() -> None:
    world = World()
    world.lose = everything
    mark = world.send(N1, GetRequest(world.new_id(), 500, Key("another")))
    world.settle()
    query = next(message for _, _, message in world.sent if isinstance(message, Query))
    world.post(N1, FromPeer(N2, QueryAnswer(query.id, (WRONG.key,), (Key("a third"),))))
    world.settle()
    assert [type(answer) for answer in world.answers[mark]] == [Undecided]
    assert not [m for _, _, m in world.sent if isinstance(m, Prepare)]


def test_a_disputed_key_is_not_reported_to_a_reader() -> None:
    world = World()
    world.freeze("n1", KEY)
    world.post(N1, FromPeer(N2, Commit(KEY, WRONG)))
    world.settle()
    world.sent.clear()
    world.post(N1, FromPeer(N2, Query(7, (KEY,))))
    world.settle()
    assert not [m for _, _, m in world.sent if isinstance(m, QueryAnswer)]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("reader", [N1, N2, N3])
def test_pages_join_to_the_whole_though_each_node_knows_other_keys(
    reader: NodeId, limit: int
) -> None:
    world = World()
    keys = [Key(f"a{number}") for number in range(6)]
    keys += [Key(f"s@{number}") for number in range(1, 13)] + [Key(f"z{n}") for n in range(6)]
    for number, key in enumerate(keys):
        missing = NodeId("") if "@" in key else world.config.nodes[number % 3]
        world.lose = without(missing)
        asked = next(node for node in world.config.nodes if node != missing)
        answer = world.claim(asked, claim(key, claim_id=key.encode()), here=True)
        assert isinstance(answer, Decreed), (key, answer)
    world.lose = lambda sender, to, message: isinstance(message, FeedPage | Commit)
    assert pages(world, reader, limit) == sorted(keys, key=sort_key)


def test_a_list_that_meets_two_decrees_for_a_key_says_so() -> None:
    world = World()
    world.lose = everything
    right = Decree.of(claim(KEY, b"right", b"r"), Ballot(1, Process(N1, 1)), 0)
    world.post(N1, FromPeer(N2, Commit(KEY, right)))
    world.post(N3, FromPeer(N2, Commit(KEY, WRONG)))
    world.settle()
    world.lose = lambda sender, to, message: (
        isinstance(message, FeedPage | Commit) or N2 in (sender, to)
    )
    answer = world.ask(N1, ListRequest(world.new_id(), 1_000, "", "", 10))
    assert isinstance(answer, Failed) and answer.code == Disputed.code
    world.run(100)
    assert any("different decrees" in alarm for alarm in world.alarms)


def test_a_scan_answer_that_covers_no_key_does_not_count() -> None:
    world = World()
    world.lose = everything
    mark = world.send(N1, ListRequest(world.new_id(), 500, "", "m", 10))
    world.settle()
    scan = next(message for _, _, message in world.sent if isinstance(message, Scan))
    world.post(N1, FromPeer(N2, ScanAnswer(scan.id, (), (), Key("m"))))
    world.settle()
    assert not world.answers[mark]


def test_a_node_that_disagrees_is_sent_the_decree_known_here() -> None:
    world = World()
    world.lose = everything
    right = Decree.of(claim(KEY, b"right", b"r"), Ballot(1, Process(N1, 1)), 0)
    world.post(N1, FromPeer(N2, Commit(KEY, right)))
    world.post(N3, FromPeer(N2, Commit(KEY, WRONG)))
    world.settle()
    world.lose = nothing
    world.post(N1, FromPeer(N3, Commit(KEY, WRONG)))
    world.settle()
    answer = world.ask(N3, GetRequest(world.new_id(), 500, KEY))
    assert isinstance(answer, Failed) and answer.code == Disputed.code


@pytest.mark.parametrize(
    "keys",
    [[Key(f"{letter}") for letter in "abcdefghijkl"], [Key(f"s@{n}") for n in range(1, 13)]],
    ids=["plain", "slots"],
)
def test_a_page_ends_where_its_shortest_answer_ends(
    keys: list[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One node knows all keys; the other knows only the last few, so its answer reaches further."""
    for part in (list_read, scan_service):
        monkeypatch.setattr(part, "PAGE_BYTES", 3_000)  # two or three records with such long notes
    world = World()
    world.lose = everything
    for number, key in enumerate(keys):
        wanted = replace(claim(key, claim_id=key.encode()), note="n" * 1_000)
        decree = Decree.of(wanted, Ballot(1, Process(N3, 1)), 0)
        for node in (N1, N2) if number >= 8 else (N1,):
            world.post(node, FromPeer(N3, Commit(key, decree)))
    world.settle()
    world.lose = lambda sender, to, message: isinstance(message, FeedPage) or N3 in (sender, to)
    assert pages(world, N1, 100) == keys
