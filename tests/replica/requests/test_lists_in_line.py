"""Many lists at once: they wait in a queue, share pages, get cancelled, and leave nothing in memory."""

from itertools import pairwise

import pytest

from decreed.registry.errors import Unreachable
from decreed.registry.paxos.messages import Accepted, Commit
from decreed.registry.replica.requests import lists
from decreed.registry.replica.requests.scans import CHUNK_ROWS
from decreed.registry.replica.requests.spans import spans_of
from decreed.registry.replica.step.disk_reads import ScanDone
from decreed.registry.replica.step.effects import Effects, Reply
from decreed.registry.replica.step.events import ClientGone, Crowded, FromClient, FromPeer
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.peers import CancelScan, FeedPage, PeerMessage, Scan, ScanAnswer
from decreed.registry.wire.requests import (
    Cancel,
    ClaimRequest,
    Decreed,
    Failed,
    ListPage,
    ListRequest,
)

from ...support.world import World, claim, config

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
RESEND_MS = 200


def filled(count: int, size: int = 3) -> World:
    world = World(config(size))
    for number in range(count):
        world.freeze(f"n{number % size + 1}", f"p/k{number:03}")
    world.run(1_000)
    world.sent.clear()
    return world


def request(world: World, limit: int = 10, timeout_ms: int = 5_000) -> ListRequest:
    return ListRequest(world.new_id(), timeout_ms, "p", "", limit)


def silence(world: World) -> None:
    """Lose all scans."""
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer)


def scans(world: World) -> list[Scan]:
    return [message for _, _, message in world.sent if isinstance(message, Scan)]


def answers(world: World) -> list[ScanAnswer]:
    return [message for _, _, message in world.sent if isinstance(message, ScanAnswer)]


OF_LISTS = {"lists", "lists in line", "who lists", "scan", "scans", "served scans"}


def left(world: World) -> dict[str, object]:
    """What the nodes still hold in memory for lists."""
    found: dict[str, object] = {}
    for node in world.up():
        held = {k: v for k, v in world.replica(node).pending_work().items() if k in OF_LISTS}
        if held:
            found[node] = held
    return found


def keys_of(world: World, mark: tuple[NodeId, int]) -> list[str]:
    (page,) = world.answers[mark]
    assert isinstance(page, ListPage), page
    return [decree.key for decree in page.decrees]


def test_nodes_in_step_send_each_other_digests_and_no_decrees() -> None:
    world = filled(40)
    mark = world.send(N1, request(world, 40))
    world.run(1)
    assert len(keys_of(world, mark)) == 40
    assert [(one.learned, one.unlearned) for one in answers(world)] == [((), ())]


def test_only_the_peers_that_a_quorum_needs_are_asked_and_they_alternate_from_page_to_page() -> (
    None
):
    world = filled(3, size=5)
    asked: set[NodeId] = set()
    for _ in range(8):
        world.sent.clear()
        world.ask(N1, request(world))
        to = {node for _, node, message in world.sent if isinstance(message, Scan)}
        assert len(to) == 2
        asked |= to
    assert asked == {"n2", "n3", "n4", "n5"}


def test_a_silent_peer_is_asked_again_with_all_others_and_its_scan_is_cancelled_in_the_end() -> (
    None
):
    world = filled(3)
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer) and sender == N2
    marks = [world.send(N1, request(world, limit)) for limit in (1, 2, 3, 4)]
    world.run(20 * RESEND_MS)
    assert [len(keys_of(world, mark)) for mark in marks] == [1, 2, 3, 3]
    called_off = {message.id for _, _, message in world.sent if isinstance(message, CancelScan)}
    asked = {message.id for _, to, message in world.sent if to == N2 and isinstance(message, Scan)}
    assert called_off == asked


def test_a_peer_that_was_late_is_asked_after_the_others() -> None:
    world = filled(3)
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer) and sender == N2
    for limit in (1, 2):
        world.ask(N1, request(world, limit))
    world.sent.clear()
    for limit in (1, 2, 3, 4):
        world.ask(N1, request(world, limit))
    assert {to for _, to, message in world.sent if isinstance(message, Scan)} == {N3}


def test_another_peer_is_asked_as_soon_as_one_is_suspected() -> None:
    world = filled(3)
    world.lose = lambda sender, to, message: isinstance(message, Scan) and to == N2
    marks = [world.send(N1, request(world, limit)) for limit in (1, 2, 3, 4)]
    world.settle()
    world.crash(N2)
    world.settle()
    assert all(world.answers[mark] for mark in marks)


# -- in line


def test_equal_lists_that_wait_share_one_page() -> None:
    world = filled(5)
    silence(world)
    first = [world.send(N1, request(world, limit)) for limit in range(10, 10 + lists.MAX_ASKING)]
    world.settle()
    world.sent.clear()
    same = [world.send(N1, request(world, 5)) for _ in range(30)]
    world.settle()
    world.lose = lambda *_: False
    world.run(20 * RESEND_MS)
    assert all(len(keys_of(world, mark)) == 5 for mark in first + same)
    assert len({scan.id for scan in scans(world) if scan.limit == 5}) == 1


def test_a_list_that_arrives_during_the_reading_of_a_page_does_not_share_it() -> None:
    """A decree that is answered in between must be in the second list."""
    world = filled(2)
    silence(world)
    world.send(N1, request(world))
    world.settle()
    world.freeze("n2", "p/new")
    second = world.send(N1, request(world))
    world.settle()
    world.lose = lambda *_: False
    world.run(20 * RESEND_MS)
    assert "p/new" in keys_of(world, second)


def test_an_answer_to_an_earlier_question_does_not_count() -> None:
    world = filled(1)
    silence(world)
    world.send(N1, request(world))
    world.settle()
    early = scans(world)[0]
    mark = world.send(N1, request(world))
    world.settle()
    late = scans(world)[-1]
    assert early.id != late.id
    world.post(N1, FromPeer(N2, ScanAnswer(early.id, (), (), None)))
    world.settle()
    assert not world.answers[mark]


def test_only_a_few_pages_are_under_construction_at_a_time() -> None:
    world = filled(2)
    silence(world)
    for limit in range(1, 100):
        world.send(N1, request(world, limit))
    world.settle()
    assert len({scan.id for scan in scans(world)}) == lists.MAX_ASKING
    world.lose = lambda *_: False
    world.run(20 * RESEND_MS)
    assert not left(world)


def test_each_of_many_lists_is_answered() -> None:
    world = filled(4)
    marks = [world.send(N1, request(world, limit)) for limit in range(1, 200)]
    world.run(1)
    assert all(len(keys_of(world, mark)) == min(at, 4) for at, mark in enumerate(marks, 1))
    assert not left(world)


def test_claims_continue_between_two_chunks_of_a_page() -> None:
    world = filled(2 * CHUNK_ROWS + 5)
    marks = [world.send(N1, request(world, 1_000)) for _ in range(4)]
    claimed = world.send(N1, ClaimRequest(world.new_id(), 5_000, True, claim("another")))
    chunks: list[bool] = []
    world.trace = lambda _, node, kind, what: (
        chunks.append(bool(world.answers[claimed])) if isinstance(what, ScanDone) else None
    )
    world.run(1)
    assert isinstance(world.answers[claimed][0], Decreed)
    assert chunks.count(True) > chunks.count(False), "it was decided before most of them were read"
    assert all(len(keys_of(world, mark)) == 2 * CHUNK_ROWS + 5 for mark in marks)


def test_a_page_waits_for_no_disk_and_makes_none_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each page would sync what claims have left unsynced, and delay them."""
    world = filled(2)
    steps: list[Effects] = []
    carry_out = world._carry_out

    def note(node: NodeId, effects: Effects) -> None:
        steps.append(effects)
        carry_out(node, effects)

    monkeypatch.setattr(world, "_carry_out", note)
    world.ask(N1, request(world))
    replies = [item for step in steps for item in step.at_once if isinstance(item, Reply)]
    assert [type(reply.answer) for reply in replies] == [ListPage]
    assert not any(step.after or step.sync for step in steps)


# -- cancelled


def test_a_list_whose_time_is_over_leaves_nothing() -> None:
    world = filled(2)
    silence(world)
    marks = [world.send(N1, request(world, limit, 300)) for limit in range(1, 40)]
    world.run(340)
    for mark in marks:
        (answer,) = world.answers[mark]
        assert isinstance(answer, Failed) and answer.code == Unreachable.code
    assert not left(world)


@pytest.mark.parametrize("how", ["gone", "cancelled", "refused"])
def test_a_list_ends_with_its_request(how: str) -> None:
    world = filled(2)
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer)
    marks = [world.send(N1, request(world, limit)) for limit in range(1, 40)]
    world.settle()
    world.sent.clear()
    if how == "gone":
        world.post(N1, ClientGone(1))
    elif how == "refused":
        world.post(N1, Crowded(1, len(marks)))
    else:
        world.post(N1, FromClient(1, tuple(Cancel(number) for _, number in marks)))
    world.settle()
    assert not left(world)
    assert not scans(world), "what waited in line is not begun any more"
    world.sent.clear()
    world.run(10 * RESEND_MS)
    assert not scans(world), "and what was begun is not asked for again"


def test_when_one_of_the_requests_that_share_a_page_leaves_the_others_are_answered() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accepted | Commit)
    world.send(N1, ClaimRequest(world.new_id(), 5_000, True, claim("p/k")))
    world.settle()
    world.crash(N1)
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer | Accepted)
    for limit in range(10, 10 + lists.MAX_ASKING):
        world.send(N2, request(world, limit, 100))
    world.settle()
    marks = [world.send(N2, request(world, 9)) for _ in range(3)]
    world.run(100)
    world.lose = lambda sender, to, message: isinstance(message, Accepted)
    world.run(20 * RESEND_MS)  # the key in doubt is found, and being finished
    world.post(N2, FromClient(1, (Cancel(marks[0][1]),)))
    world.settle()
    world.lose = lambda *_: False
    world.run(20 * RESEND_MS)
    assert keys_of(world, marks[1]) == keys_of(world, marks[2]) == ["p/k"]
    assert not left(world)


def test_the_timeout_grows_with_each_try() -> None:
    world = filled(1)
    silence(world)
    began_ms = world.now_ms
    moments: list[float] = []
    world.trace = lambda now_ms, node, kind, what: (
        moments.append(now_ms - began_ms) if node == N2 and _is_a_scan(what) else None
    )
    world.send(N1, request(world, 10, 60_000))
    world.run(30_000)
    pauses = [late - early for early, late in pairwise(moments)]
    assert 3 <= len(pauses) <= 8
    assert pauses[1] > 1.3 * pauses[0]


def _is_a_scan(what: object) -> bool:
    return isinstance(what, FromPeer) and isinstance(what.message, Scan)


# -- at the peer


def scan_of(id: int, timeout_ms: int = 1_000) -> Scan:
    return Scan(id, timeout_ms, "p", "", 10, spans_of([], complete=True))


def post_together(world: World, *messages: PeerMessage) -> None:
    for message in messages:
        world.post(N2, FromPeer(N1, message))
    world.settle()


def test_a_scan_that_waits_is_not_served_twice() -> None:
    world = filled(3)
    post_together(world, scan_of(1), scan_of(2), scan_of(2), scan_of(1), scan_of(2))
    assert [answer.id for answer in answers(world)] == [1, 2]
    post_together(world, scan_of(2))
    assert [answer.id for answer in answers(world)] == [1, 2, 2], "the answer may have got lost"


def test_a_cancelled_scan_is_not_served() -> None:
    world = filled(3)
    post_together(world, scan_of(1), scan_of(2), scan_of(3), CancelScan(2), CancelScan(1))
    assert [answer.id for answer in answers(world)] == [3]
    assert not left(world)


def test_a_scan_whose_time_is_over_is_not_served() -> None:
    world = filled(3)
    service = world.replica(N2).parts.scan_service
    held = world.machines[N2]
    world.post(N2, FromPeer(N1, scan_of(1)))
    world.post(N2, FromPeer(N1, scan_of(2, timeout_ms=5)))
    world._step(N2)  # the first is being read now
    done, held.inbox = held.inbox, []
    assert service.waiting == 2
    world.now_ms += 6
    held.inbox = done
    world.settle()
    assert [answer.id for answer in answers(world)] == [1]
    world.run(3_000)
    assert not left(world)


def test_a_peer_that_asks_for_too_many_scans_fills_no_memory() -> None:
    world = filled(1)
    post_together(world, *(scan_of(id) for id in range(1, 200)))
    assert len(answers(world)) <= 65
    assert [answer.id for answer in answers(world)][-1] == 199
    assert not left(world)


def test_for_a_decree_that_the_requester_missed_only_its_span_is_sent() -> None:
    world = filled(100)
    world.lose = lambda sender, to, message: to == N1 and isinstance(message, Commit | FeedPage)
    missed = Key("p/k050x")
    world.claim("n2", claim(missed), here=True)
    world.lose = lambda sender, to, message: isinstance(message, FeedPage | Commit)
    world.sent.clear()
    mark = world.send(N1, request(world, 200))
    world.run(20 * RESEND_MS)
    assert missed in keys_of(world, mark) and len(keys_of(world, mark)) == 101
    assert all(len(answer.learned) < 40 for answer in answers(world))
