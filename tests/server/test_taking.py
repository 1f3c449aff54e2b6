"""A client's requests are taken while there is room for them, and their answers free room."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from decreed.registry.audit import Speaker
from decreed.registry.config import Limits
from decreed.registry.identity import Identity
from decreed.registry.locks.terms import LeaseId
from decreed.registry.policy.document import Limit
from decreed.registry.replica.step.events import Event, FromClient
from decreed.registry.server.budget import Budget
from decreed.registry.server.callers import LOOK_MS, WINDOW, Callers
from decreed.registry.server.client import LIGHT_BYTES, Client
from decreed.registry.server.crowd import REQUEST_BYTES, Crowd
from decreed.registry.server.weights import size
from decreed.registry.types import Key
from decreed.registry.wire.handshake import VERSION
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClaimRequest,
    Failed,
    GetRequest,
    KeepAliveRequest,
    ListRequest,
    Request,
    WaitRequest,
)

from ..support.world import claim

LARGE = 10 * LIGHT_BYTES
IN_FLIGHT = 5
ALICE = Identity("client", "alice")


def get(number: int) -> GetRequest:
    return GetRequest(number, 1_000, Key("k"))


def put(number: int, size: int = 1) -> ClaimRequest:
    return ClaimRequest(number, 1_000, False, claim("k", bytes(size)))


class Desk:
    """A client, and the events that it has posted."""

    def __init__(self, budget: int = LARGE, shared: int = 100 * LARGE) -> None:
        self.posted: list[tuple[Event, int]] = []
        self.told: list[Answer] = []
        self.now_ms = 0.0
        self.callers = Callers(Limits(), lambda: self.now_ms)
        self.caller = self.callers.enter(ALICE, "10.0.0.1")
        self.has_room = True
        self.loop = SimpleNamespace(
            post=self._post, has_room_for=lambda _: self.has_room, room=self._room
        )
        self.draining = trio.Event()
        self.crowd = Crowd(LARGE)
        self.client = Client(
            7,
            "127.0.0.1:1",
            ALICE,
            VERSION,
            cast(Any, SimpleNamespace(close=lambda: None)),
            cast(Any, None),
            Budget(budget),
            Budget(shared),
            IN_FLIGHT,
            cast(Any, self.loop),
            self.draining,
            self.crowd,
            cast(Any, None),
            self.caller,
            self.callers,
            lambda client: self.told.extend(client.take_answers()),
        )

    async def _room(self, connection: int) -> None:
        await trio.lowlevel.checkpoint()

    def _post(self, event: Event, weight: int = 0, caller: int | None = None) -> None:
        assert caller == self.caller.number
        self.posted.append((event, weight))

    def takes(self, *requests: Request) -> int:
        """How many are taken; checks that the others are returned, in order."""
        left = self.client.take(requests)
        taken = len(requests) - len(left)
        assert list(left) == list(requests[taken:])
        return taken

    def answers(self, *numbers: int) -> None:
        """Answer these requests in one turn."""
        self.client.answers += [Failed(number, 6, "time") for number in numbers]
        assert len(self.client.take_answers()) == len(numbers)


def test_a_frame_is_posted_as_one_event_with_the_bytes_of_all_its_values_and_texts() -> None:
    desk = Desk()
    requests = (put(1, 100), get(2), put(3, 20))
    assert desk.takes(*requests) == 3
    assert desk.posted == [
        (FromClient(7, requests, ALICE), sum(size(request) for request in requests))
    ]
    assert 120 < sum(size(request) for request in requests) < 160


def test_S07_a_request_has_the_identity_of_its_connection_and_so_has_the_audit_log() -> None:
    desk = Desk()
    desk.takes(get(1), put(2))
    [(event, _)] = desk.posted
    assert isinstance(event, FromClient) and event.identity is ALICE
    assert desk.client.speaker == Speaker("client/alice", "127.0.0.1:1")


def test_nothing_is_taken_nor_posted_while_the_inbox_is_full_or_the_node_drains() -> None:
    full, draining = Desk(), Desk()
    full.has_room = False
    draining.draining.set()
    assert full.takes(get(1)) == draining.takes(get(1)) == 0
    assert full.posted == draining.posted == []


def test_requests_in_batch_are_bounded_and_cancels_do_not_count() -> None:
    desk = Desk()
    assert desk.takes(*map(get, range(IN_FLIGHT - 1)), Cancel(0), get(98), get(99)) == IN_FLIGHT + 1
    assert desk.takes(Cancel(1), get(99)) == 1
    desk.answers(0, 1)
    assert desk.takes(*map(get, range(10, 13))) == 2


def test_a_large_request_waits_for_bytes_and_takes_no_other_room_meanwhile() -> None:
    desk = Desk()
    assert desk.takes(put(1, LARGE), get(2), put(3, LARGE), get(4)) == 2
    for _ in range(2 * IN_FLIGHT):
        assert desk.takes(put(3, LARGE), get(4)) == 0
    desk.answers(1)
    assert desk.takes(put(3, LARGE), get(4)) == 2
    assert [weight for _, weight in desk.posted] == [size(put(1, LARGE)) + 1] * 2


def test_the_bytes_of_all_clients_are_bounded_too() -> None:
    desk = Desk(budget=100 * LARGE, shared=LARGE)
    assert desk.takes(put(1, LARGE), put(2, LARGE)) == 1
    desk.answers(1)
    assert desk.client.shared.held == desk.client.budget.held == 0


def test_an_id_that_is_used_twice_frees_its_bytes_twice() -> None:
    desk = Desk(budget=100 * LARGE)
    assert desk.takes(put(1, LARGE), put(1, LARGE + 1)) == 2
    desk.answers(1)
    assert desk.client.budget.held in (LARGE, LARGE + 1)
    desk.answers(1)
    assert desk.client.budget.held == desk.client.shared.held == 0


@pytest.mark.trio
async def test_a_wait_for_room_ends_after_an_answer() -> None:
    desk = Desk()
    assert desk.takes(*map(get, range(IN_FLIGHT))) == IN_FLIGHT
    went_on = trio.Event()

    async def waits() -> None:
        await desk.client.room(get(9))
        went_on.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits)
        await wait_all_tasks_blocked()
        assert not went_on.is_set()
        desk.answers(0)
        with trio.fail_after(60):
            await went_on.wait()


def test_what_was_read_counts_until_it_is_answered_or_the_client_is_gone() -> None:
    desk = Desk()
    small, middling, large = get(1), put(2, 1_000), put(3, LARGE)
    assert desk.takes(small, middling, large) == 3
    assert desk.crowd.held == 3 * REQUEST_BYTES + size(middling), "what is large counts elsewhere"
    desk.answers(2)
    assert desk.crowd.held == 2 * REQUEST_BYTES
    assert desk.takes(*(get(n) for n in range(10, 20 + IN_FLIGHT))) == IN_FLIGHT - 2
    assert desk.crowd.held == (10 + IN_FLIGHT + 2) * REQUEST_BYTES, "those that are left count too"
    desk.client.leave()
    assert desk.crowd.held == desk.client.budget.held == desk.client.shared.held == 0


def test_S21_what_is_over_a_limit_is_answered_and_holds_nothing() -> None:
    desk = Desk()
    desk.callers.obey({"client/alice": Limit(in_flight=2)})
    assert desk.takes(put(1, LARGE), get(2), get(3), put(4, LARGE)) == 3, "the last waits for bytes"
    assert [each.id for each in desk.told] == [3]
    [(event, _)] = desk.posted
    assert isinstance(event, FromClient) and [each.id for each in event.requests] == [1, 2]
    assert desk.caller.requests == desk.client.held.requests == 2
    assert desk.takes(get(5)) == 0, "it is not read for a while"
    desk.answers(1)
    desk.now_ms += 10_000
    assert desk.takes(get(5)) == 1 and len(desk.posted) == 2
    desk.client.leave()
    assert desk.caller.requests == desk.caller.budget.held == 0


def test_S21_values_wait_for_the_room_of_their_caller() -> None:
    desk = Desk(budget=100 * LARGE)
    desk.callers.obey({"client/alice": Limit(bytes_in_flight=2 * LARGE)})
    assert desk.takes(put(1, LARGE - 50), put(2, LARGE - 50), put(3, LARGE)) == 2
    assert desk.told == []
    desk.answers(1)
    assert desk.takes(put(3, LARGE - 50)) == 1


def test_while_others_are_active_few_are_taken_and_lists_count_for_many() -> None:
    desk = Desk()
    desk.client.max_in_flight = 1_000
    other = desk.callers.enter(Identity("client", "bob"), "10.0.0.2")
    desk.now_ms += 1_000
    for caller in (desk.caller, other):
        desk.callers.window(caller)
    desk.now_ms += LOOK_MS
    assert desk.takes(*map(get, range(100))) == WINDOW
    assert desk.takes(get(100)) == 0
    assert desk.takes(KeepAliveRequest(101, 1_000, LeaseId("jobs", 1, b"id"), bytes(32))) == 1
    desk.answers(*range(WINDOW), 101)
    lists = [ListRequest(n, 1_000, "", "", 10) for n in range(10)]
    few = desk.takes(*lists)
    assert 1 <= few <= 3
    desk.answers(*range(few))
    assert desk.caller.work == desk.caller.further == 0
    waits = [WaitRequest(n, 1_000, Key("k")) for n in range(3 * WINDOW)]
    assert desk.takes(*waits) == len(waits), "what lasts is no work"
    assert desk.caller.work == 0
    desk.client.leave()
    assert desk.caller.requests == desk.caller.further == 0
