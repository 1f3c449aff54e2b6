"""What those who are behind wait for goes last, a piece in each turn, and takes half of the time."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from decreed.registry.replica.step.disk_reads import FeedDone
from decreed.registry.replica.step.events import Event, FetchOn, FromPeer, WriteFailed
from decreed.registry.server.bulk import FEW_KEYS, MAX_OWED_MS, READ_PAUSE_MS, Bulk, is_bulk
from decreed.registry.server.inbox import MAX_WAITING, Inbox
from decreed.registry.types import DIGEST_BYTES, Key, NodeId
from decreed.registry.wire.peers import FeedPage, Fetch, Ping

PEER = NodeId("n4")
NEWS = FromPeer(PEER, Ping(1, voting=True, wants_commits=False))
CHEAP_MS = 1.0


def keys(count: int) -> tuple[Key, ...]:
    return tuple(Key(f"k{number}") for number in range(count))


def fetch(count: int = FEW_KEYS + 1) -> FromPeer:
    return FromPeer(PEER, Fetch(keys(count)))


def page(start: int = 0, count: int = FEW_KEYS + 1) -> FromPeer:
    digests = bytes(DIGEST_BYTES * count)
    return FromPeer(PEER, FeedPage(b"disk", start, start + count, 9_000, keys(count), digests))


def taken(
    inbox: Inbox, now_ms: float = 0.0, *, patient: bool = True, busy: bool = False
) -> list[Event]:
    """What a turn takes."""
    bulk = inbox.take_bulk(now_ms, busy=busy, patient=patient)
    return bulk if bulk and patient else inbox.take() + bulk


def waiting(*events: Event) -> Inbox:
    inbox = Inbox()
    for event in events:
        inbox.put(event, 1)
    return inbox


@pytest.mark.parametrize("event", [fetch(), page(), FetchOn(PEER, keys(1)), FeedDone(1, (), 0)])
def test_what_those_who_are_behind_wait_for_is_bulk(event: Event) -> None:
    assert is_bulk(event)


@pytest.mark.parametrize("event", [fetch(1), fetch(FEW_KEYS), page(0, FEW_KEYS), NEWS])
def test_what_nodes_in_step_say_is_none(event: Event) -> None:
    """The decree of an epoch is fetched like any other, and nobody votes until it is there."""
    assert not is_bulk(event)


def test_others_go_first_and_bulk_has_a_turn_of_its_own() -> None:
    inbox = waiting(fetch(), fetch(), NEWS)
    assert taken(inbox) == [NEWS]
    assert taken(inbox) == [fetch()], "nothing else is to be done"
    assert taken(inbox) == [fetch()]
    assert not inbox


def test_bulk_gets_as_much_time_as_all_others_while_they_keep_coming() -> None:
    inbox = waiting(*[fetch() for _ in range(60)])
    used = {True: 0.0, False: 0.0}
    for _ in range(60):
        inbox.put(NEWS)
        is_for_bulk = taken(inbox) == [fetch()]
        cpu_ms = CHEAP_MS if is_for_bulk else 2 * CHEAP_MS
        inbox.turn_used(cpu_ms)
        used[is_for_bulk] += cpu_ms
    assert used[True] == pytest.approx(used[False], abs=2 * CHEAP_MS)


def test_a_long_time_of_others_is_not_paid_back_at_once() -> None:
    inbox = waiting(*[fetch() for _ in range(60)], NEWS)
    assert taken(inbox) == [NEWS]
    inbox.turn_used(100 * MAX_OWED_MS)
    inbox.put(NEWS)
    turns = 0
    while taken(inbox) == [fetch()]:
        inbox.turn_used(CHEAP_MS)
        turns += 1
    assert turns == MAX_OWED_MS / CHEAP_MS


def test_a_busy_voter_pauses_between_the_pages_that_it_reads_and_serves_meanwhile() -> None:
    inbox = waiting(page(1), page(2), fetch(), NEWS)
    assert taken(inbox) == [NEWS]
    inbox.turn_used(MAX_OWED_MS)
    inbox.put(NEWS)
    assert taken(inbox, 1.0) == [page(1)]
    assert taken(inbox, 2.0) == [fetch()]
    assert taken(inbox, READ_PAUSE_MS) == [NEWS]
    inbox.put(NEWS)
    assert taken(inbox, 1.0 + READ_PAUSE_MS) == [page(2)]


def test_a_voter_that_is_idle_reads_without_a_pause() -> None:
    inbox = waiting(page(1), page(2))
    assert taken(inbox) == [page(1)]
    assert taken(inbox) == [page(2)]


def test_own_messages_that_wait_elsewhere_go_before_bulk() -> None:
    assert taken(waiting(fetch()), busy=True) == []


def test_a_node_that_does_not_vote_takes_all_of_it_immediately() -> None:
    inbox = waiting(page(1), NEWS, page(2), fetch())
    assert taken(inbox, patient=False) == [NEWS, fetch(), page(1), page(2)]


def test_a_failed_write_is_known_before_anything_is_served() -> None:
    failed = WriteFailed("full", ())
    inbox = waiting(fetch(), NEWS)
    assert taken(inbox) == [NEWS]
    inbox.turn_used(MAX_OWED_MS)
    inbox.put_first(failed)
    assert taken(inbox) == [failed]
    assert taken(inbox) == [fetch()]


def test_bulk_needs_room_like_everything_else() -> None:
    inbox = waiting(*[fetch() for _ in range(MAX_WAITING + 1)])
    assert not inbox.has_room
    taken(inbox)
    assert inbox.has_room


@pytest.mark.trio
async def test_turns_of_bulk_alone_wake_those_that_wait_for_room() -> None:
    """Such turns may follow each other for long, and meanwhile no peer would be read."""
    inbox = waiting(*[fetch() for _ in range(MAX_WAITING + 1)])
    went_on = trio.Event()

    async def waits() -> None:
        await inbox.room()
        went_on.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits)
        await wait_all_tasks_blocked()
        assert not went_on.is_set()
        assert inbox.take_bulk(0.0, busy=False, patient=True) == [fetch()]
        await wait_all_tasks_blocked()
        assert went_on.is_set()
        nursery.cancel_scope.cancel()


def test_what_bulk_was_owed_has_a_limit_in_both_directions() -> None:
    bulk = Bulk()
    bulk.used(100 * MAX_OWED_MS)
    bulk.put(fetch())
    assert bulk.take(0.0, busy=True) == []
    bulk.others_used(MAX_OWED_MS + CHEAP_MS)
    assert bulk.take(0.0, busy=True) == [fetch()]
