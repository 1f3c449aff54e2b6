"""What waits for a turn is bounded by messages, however many of them one event is."""

from collections.abc import Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from decreed.registry.replica.events import ClientGone, Event, FromClient, WriteFailed
from decreed.registry.server import inbox as module
from decreed.registry.server.inbox import Inbox
from decreed.registry.wire.requests import Cancel

MOST = 10
WAITING = 25
FAILED = WriteFailed("full", ())


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Bounds that a test reaches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_TAKEN", MOST)
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


@given(st.lists(st.integers(0, 3 * MOST), max_size=12))
def test_turns_take_all_messages_in_order_and_none_more_than_it_may(sizes: list[int]) -> None:
    """A size of none stands for an event that is one message."""
    inbox = Inbox()
    posted: list[Event] = []
    for number, size in enumerate(sizes):
        posted.append(asked(1_000 * number, size, number) if size else ClientGone(number))
        inbox.put(posted[-1])
        assert inbox.has_room == (len(messages(posted)) <= WAITING)
    taken: list[Event] = []
    while inbox:
        some = inbox.take()
        assert len(messages(some)) <= MOST
        assert not inbox or len(messages(some)) == MOST, "no turn is smaller than it must be"
        taken += some
        assert inbox.has_room == (len(messages(posted)) - len(messages(taken)) <= WAITING)
    assert messages(taken) == messages(posted)
    assert inbox.take() == []


def test_what_is_put_first_is_taken_first_and_counts() -> None:
    inbox = Inbox()
    inbox.put(asked(1, MOST))
    inbox.put_first(FAILED)
    first = inbox.take()
    assert first[0] == FAILED
    assert len(messages(first)) == MOST
    assert messages(inbox.take()) == [(1, Cancel(MOST))]
    assert not inbox


def test_bytes_take_room_until_all_is_taken() -> None:
    inbox = Inbox()
    inbox.put(asked(1, MOST), 600)
    assert inbox.has_room
    inbox.put(asked(1, 1), 600)
    assert not inbox.has_room
    inbox.take()
    assert not inbox.has_room, "too early is not too late"
    inbox.take()
    assert inbox.has_room


@pytest.mark.trio
async def test_who_waits_for_room_goes_on_when_there_is_some_and_not_before() -> None:
    inbox = Inbox()
    inbox.put(asked(1, WAITING + MOST + 1))
    went_on = trio.Event()

    async def waits() -> None:
        await inbox.room()
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
