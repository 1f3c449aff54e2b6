"""The inbox is bounded by messages, however many of them one event holds."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from decreed.registry.replica.step.events import (
    ClientGone,
    Event,
    FromClient,
    FromPeer,
    WriteFailed,
)
from decreed.registry.server import inbox as module
from decreed.registry.server.inbox import TURN_MS, Inbox, fitting
from decreed.registry.server.shares import one_by_one, share, shares
from decreed.registry.types import NodeId
from decreed.registry.wire.peers import Ping
from decreed.registry.wire.requests import Cancel

MOST = 10
LEAST = 3
WAITING = 25
FAILED = WriteFailed("full", ())


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Bounds small enough for a test to reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_TAKEN", MOST)
        patch.setattr(module, "MIN_TAKEN", LEAST)
        patch.setattr(module, "MAX_WAITING", WAITING)
        patch.setattr(module, "MAX_WAITING_BYTES", 1_000)
        yield


def asked(first: int, count: int, connection: int = 1) -> FromClient:
    """A frame of `count` requests."""
    return FromClient(connection, tuple(Cancel(first + at) for at in range(count)))


def messages(events: list[Event]) -> list[object]:
    """The messages in them, one by one."""
    return [
        (event.connection, request) if isinstance(event, FromClient) else event
        for event in events
        for request in (event.requests if isinstance(event, FromClient) else (None,))
    ]


def test_s36_what_those_have_said_who_are_cut_off_is_dropped_and_their_requests_end_first() -> None:
    inbox, n2, n3 = Inbox(), NodeId("n2"), NodeId("n3")
    heard = {node: FromPeer(node, Ping(0, True, False)) for node in (n2, n3)}
    events: list[Event] = [asked(1, 2), asked(1, 3, connection=2), ClientGone(1), FAILED]
    for event in (*heard.values(), *events):
        inbox.put(event)
    inbox.drop([1], [n2])
    inbox.put_first(ClientGone(1))
    assert inbox.take() == [heard[n3], FAILED, ClientGone(1), asked(1, 3, connection=2)]
    assert not inbox and inbox.has_room and inbox.has_room_for(1)


@given(st.lists(st.integers(0, 3 * MOST), max_size=12))
def test_turns_take_all_messages_in_order_and_none_more_than_it_may(sizes: list[int]) -> None:
    """A size of 0 is an event that is one message."""
    inbox = Inbox()
    posted: list[Event] = []
    for number, size in enumerate(sizes):
        posted.append(asked(1_000 * number, size) if size else ClientGone(1))
        inbox.put(posted[-1])
    taken: list[Event] = []
    while inbox:
        some = inbox.take()
        assert len(messages(some)) <= MOST
        assert not inbox or len(messages(some)) == MOST, "no turn is smaller than it must be"
        taken += some
    assert messages(taken) == messages(posted)
    assert inbox.take() == []


def test_events_that_are_put_first_are_taken_first_and_count() -> None:
    inbox = Inbox()
    inbox.put(asked(1, MOST))
    inbox.put_first(FAILED)
    first = inbox.take()
    assert first[0] == FAILED
    assert len(messages(first)) == MOST
    assert messages(inbox.take()) == [(1, Cancel(MOST))]
    assert not inbox


def test_bytes_use_room_until_all_events_are_taken() -> None:
    inbox = Inbox()
    inbox.put(asked(1, MOST), 600)
    assert inbox.has_room_for(1)
    inbox.put(asked(1, 1), 600)
    assert not inbox.has_room_for(1)
    inbox.take()
    assert not inbox.has_room_for(1), "too early is not too late"
    inbox.take()
    assert inbox.has_room_for(1)


@pytest.mark.trio
async def test_a_wait_for_room_ends_only_when_there_is_room() -> None:
    inbox = Inbox()
    inbox.put(asked(1, WAITING + MOST + 1))
    went_on = trio.Event()

    async def waits() -> None:
        await inbox.room(1)
        went_on.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits)
        await wait_all_tasks_blocked()
        inbox.take()
        await wait_all_tasks_blocked()
        assert not went_on.is_set()
        inbox.take()
        with trio.fail_after(60):
            await went_on.wait()


def connections(events: list[Event]) -> list[int]:
    """The connections of the requests, one by one."""
    return [e.connection for e in events if isinstance(e, FromClient) for _ in e.requests]


def test_a_turn_takes_an_equal_share_from_each_connection() -> None:
    inbox = Inbox()
    for number in range(8):
        inbox.put(asked(100 * number, 100, 1))
    inbox.put(asked(1, 3, 2))
    inbox.put(asked(1, 100, 3))
    taken = connections(inbox.take())
    assert [taken.count(connection) for connection in (1, 2, 3)] == [4, 3, 3]


def test_a_hundred_connections_of_one_caller_get_no_more_than_one_of_another() -> None:
    inbox = Inbox()
    for connection in range(1, 101):
        inbox.put(asked(0, 10, connection), caller=1)
    inbox.put(asked(0, 10, 101), caller=2)
    inbox.put(asked(0, 10, 102), caller=3)
    taken = connections(inbox.take())
    assert len(taken) == MOST
    assert taken.count(101) >= 3 and taken.count(102) >= 3
    assert len(set(taken) - {101, 102}) == MOST - taken.count(101) - taken.count(102), (
        "the rest goes round among its connections"
    )


def test_who_leaves_and_comes_again_is_the_same_caller_until_all_is_taken() -> None:
    inbox = Inbox()
    for connection in range(1, 101):
        inbox.put(asked(0, 3, connection), caller=1)
        inbox.put(ClientGone(connection), caller=1)
    inbox.put(asked(0, 10, 101), caller=2)
    assert connections(inbox.take()).count(101) == MOST // 2
    while inbox:
        inbox.take()
    assert inbox.caller_of(1) == -1, "nothing is kept of a connection that has ended"
    assert inbox.caller_of(101) == 2


def test_what_is_too_much_to_load_is_put_back_by_caller() -> None:
    events = [asked(0, 2, connection) for connection in range(1, 5)]
    split = one_by_one([*events, asked(0, 2, 9)], lambda number: 1 if number < 5 else 2)
    assert [event.connection for event in split if isinstance(event, FromClient)][:2] == [1, 9]


def test_a_client_with_nothing_in_a_full_inbox_has_room() -> None:
    inbox = Inbox()
    inbox.put(asked(1, WAITING + 1, 1))
    assert not inbox.has_room_for(1)
    assert inbox.has_room_for(2)
    assert inbox.has_room, "and so have peers"
    inbox.put(asked(1, 1, 2))
    assert not inbox.has_room_for(2)
    inbox.take()
    assert inbox.has_room_for(2), "what was asked is in this turn"


def test_messages_that_end_requests_go_first_and_leave_clients_a_part() -> None:
    inbox = Inbox()
    inbox.put(asked(1, 3 * MOST))
    for _ in range(3 * MOST):
        inbox.put(FAILED)
    taken = inbox.take()
    assert taken.count(FAILED) == MOST - MOST // module.ASKED_PART
    assert len(connections(taken)) == MOST // module.ASKED_PART


def test_with_many_reads_under_way_few_requests_and_all_other_events_are_taken() -> None:
    inbox = Inbox()
    inbox.put(asked(1, MOST - 4))
    inbox.put(FAILED)
    taken = inbox.take(2)
    assert (taken.count(FAILED), len(connections(taken))) == (1, 2)
    assert len(connections(inbox.take(MOST))) == MOST - 4 - 2


def test_after_long_turns_the_next_ones_take_less() -> None:
    assert fitting(10, 2 * TURN_MS) == 5
    assert fitting(10, 100 * TURN_MS) == LEAST
    assert fitting(4, TURN_MS / 2) == 8
    assert fitting(4, 0.0) == MOST


@given(st.dictionaries(st.integers(1, 20), st.integers(1, 50)), st.integers(1, 60))
def test_shares_are_all_that_there_is_and_none_is_less_than_fair(
    waiting: dict[int, int], most: int
) -> None:
    given = shares(waiting, most)
    assert sum(given.values()) == min(most, sum(waiting.values()))
    for connection, count in waiting.items():
        assert given[connection] >= min(count, most // len(waiting))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), max_size=10), st.integers(1, 30))
def test_a_share_parts_frames_and_keeps_each_connection_in_order(
    frames: list[tuple[int, int]], most: int
) -> None:
    events: list[Event] = [
        asked(100 * at, size, connection) for at, (connection, size) in enumerate(frames)
    ]
    for taken, rest in (share(events, most), ([], one_by_one(events))):
        for connection in range(1, 6):
            its = [m for m in messages(events) if cast(Any, m)[0] == connection]
            assert [m for m in messages([*taken, *rest]) if cast(Any, m)[0] == connection] == its


def test_one_by_one_each_connection_has_its_turn() -> None:
    events: list[Event] = [asked(1, 3, 1), asked(1, 2, 2), FAILED]
    assert one_by_one(events)[0] == FAILED
    assert connections(one_by_one(events)) == [1, 2, 1, 2, 1]
