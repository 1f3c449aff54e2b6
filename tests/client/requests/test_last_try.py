"""The last try of a claim leaves time for its answer, so that a try alone puts no claim in doubt."""

from collections.abc import Callable
from typing import cast

import pytest

from decreed.client.requests.attempt import ANSWER_SECONDS, RequestAttempt
from decreed.client.requests.operations import Operation, to_claim, to_get
from decreed.client.requests.pool import Pool
from decreed.client.transport.in_flight import Event, InFlightRequest
from decreed.client.transport.link import Link
from decreed.registry.errors import DecreedError, OutcomeUnknown, Unreachable
from decreed.registry.types import Claim, Key
from decreed.registry.wire.requests import Failed, Request

DEADLINE = 0.5
ID = 1


class RefusingNode:
    """The only link of a pool. It notes when each request leaves, and its node refuses at once."""

    endpoint = "n1:7400"
    up, silent, closed = True, False, False
    late = weight = 0
    welcome = None

    def __init__(self, error: type[DecreedError]) -> None:
        self.sent_at: list[float] = []
        self._error = error

    def home(self, key: Key) -> "RefusingNode":
        return self

    def route(self, key: Key, prefer: object) -> list["RefusingNode"]:
        return [self]

    def avoided(self, link: object) -> bool:
        return False

    def submit(
        self,
        make: Callable[[int], Request | None],
        deliver: Callable[[InFlightRequest, Event], None],
        now: float,
    ) -> InFlightRequest:
        self.sent_at.append(now)
        in_flight = InFlightRequest(cast(Link, self), ID, make(ID), deliver, now)
        in_flight.written_at = now
        deliver(in_flight, Failed(ID, self._error.code, "no"))
        return in_flight


def settled(operation: Operation, node: RefusingNode) -> object:
    """Drive one operation to its end, by a clock of our own."""
    woken: list[object] = []
    attempt = RequestAttempt(operation, cast(Pool, node), woken.append, DEADLINE)
    now = 0.0
    while attempt.result is None:
        woken.clear()
        attempt.advance(now)
        now = now if woken else max(now, attempt.wake_at)
    return attempt.result


def a_claim() -> Operation:
    return to_claim(Claim(Key("k"), b"v", "text/plain", "me", b"id"))


def test_a_claim_that_all_refuse_is_not_sent_again_when_its_answer_may_be_late() -> None:
    for _ in range(200):
        node = RefusingNode(Unreachable)
        assert isinstance(settled(a_claim(), node), Unreachable)
        assert len(node.sent_at) > 1
        assert node.sent_at[-1] <= DEADLINE - ANSWER_SECONDS


@pytest.mark.parametrize(
    ("operation", "error"),
    [(a_claim(), OutcomeUnknown), (to_get(Key("k")), Unreachable)],
    ids=["a claim in doubt", "a read"],
)
def test_what_cannot_be_put_in_doubt_is_tried_to_the_end(
    operation: Operation, error: type[DecreedError]
) -> None:
    latest = 0.0
    for _ in range(200):
        node = RefusingNode(error)
        settled(operation, node)
        latest = max(latest, *node.sent_at)
    assert latest > DEADLINE - ANSWER_SECONDS
