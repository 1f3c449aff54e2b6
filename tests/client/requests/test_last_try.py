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
    """A link whose node refuses all requests, some time after each."""

    up, silent, closed, retired = True, False, False, False
    late = weight = 0
    load, heard_at = 0.0, -1.0
    welcome = None
    free_at = 0.0

    def __init__(self, cluster: "RefusingCluster", name: str) -> None:
        self.endpoint = f"{name}:7400"
        self._cluster = cluster

    def stalls_at(self) -> float:
        return float("-inf")

    def busy(self, now: float) -> None: ...

    def avoid(self, seconds: float) -> None: ...

    def passed_on(self) -> None: ...

    def withdraw(self, in_flight: InFlightRequest) -> None:
        self._cluster.withdraw(in_flight)

    def submit(
        self,
        make: Callable[[int], Request | None],
        deliver: Callable[[InFlightRequest, Event], None],
        now: float,
    ) -> InFlightRequest:
        in_flight = InFlightRequest(cast(Link, self), ID, make(ID), deliver, now)
        in_flight.written_at = now
        self._cluster.take(in_flight, now)
        return in_flight


class RefusingCluster:
    """A pool of nodes that refuse. It notes when each request leaves.

    Args:
        size: how many nodes it has.
        error: what they say.
        after_s: how long after a request; None for the time that the request gives them, and a
            moment more.
    """

    closed, introduced, up = False, True, True

    def __init__(self, size: int, error: type[DecreedError], after_s: float | None) -> None:
        self.sent_at: list[float] = []
        self._nodes = [RefusingNode(self, f"n{number}") for number in range(size)]
        self._error, self._after_s = error, after_s
        self._answers: list[tuple[float, InFlightRequest]] = []

    def first(self, key: Key | None, anywhere: bool) -> RefusingNode:
        return self._nodes[0]

    def route(
        self, key: Key | None, prefer: object = None, *, anywhere: bool = False
    ) -> list[RefusingNode]:
        return self._nodes

    def avoided(self, link: object) -> bool:
        return False

    def take(self, in_flight: InFlightRequest, now: float) -> None:
        self.sent_at.append(now)
        asked = in_flight.request
        given_s = getattr(asked, "timeout_ms", 0) / 1000 + 0.001
        self._answers.append(
            (now + (given_s if self._after_s is None else self._after_s), in_flight)
        )

    def withdraw(self, in_flight: InFlightRequest) -> None:
        self._answers = [answer for answer in self._answers if answer[1] is not in_flight]

    def answer_until(self, now: float) -> float:
        """Give the next answer if it comes by `now`; returns what the time is then."""
        due = min(self._answers, key=lambda answer: answer[0], default=None)
        if due is None or due[0] > now:
            return now
        self._answers.remove(due)
        at, in_flight = due
        cast(RefusingNode, in_flight.link).heard_at = at
        in_flight.deliver(in_flight, Failed(ID, self._error.code, "no"))
        return at


def settled(operation: Operation, cluster: RefusingCluster, deadline: float = DEADLINE) -> object:
    """Drive one operation to its end, by a clock of our own."""
    woken: list[object] = []
    attempt = RequestAttempt(operation, cast(Pool, cluster), woken.append, deadline)
    now = 0.0
    while attempt.result is None:
        woken.clear()
        attempt.advance(now)
        if attempt.result is None and not woken:
            now = max(now, cluster.answer_until(attempt.wake_at))
    return attempt.result


def a_claim() -> Operation:
    return to_claim(Claim(Key("k"), b"v", "text/plain", "me", b"id"))


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("after_s", [0.0, 0.02, None], ids=["at once", "soon", "in the end"])
def test_a_claim_that_all_refuse_is_not_sent_again_when_its_answer_may_be_late(
    size: int, after_s: float | None
) -> None:
    for number in range(200):
        deadline = DEADLINE * (1 + number % 4)
        cluster = RefusingCluster(size, Unreachable, after_s)
        assert isinstance(settled(a_claim(), cluster, deadline), Unreachable)
        assert len(cluster.sent_at) > 1
        assert cluster.sent_at[-1] <= deadline - ANSWER_SECONDS


def test_a_claim_with_little_time_is_sent_to_another_node_all_the_same() -> None:
    cluster = RefusingCluster(3, Unreachable, 0.001)
    assert isinstance(settled(a_claim(), cluster, ANSWER_SECONDS / 2), Unreachable)
    assert len(cluster.sent_at) >= 3


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
        cluster = RefusingCluster(1, error, 0.0)
        settled(operation, cluster)
        latest = max(latest, *cluster.sent_at)
    assert latest > DEADLINE - ANSWER_SECONDS
