"""When a wait ends: at its deadline, by the client's clock, even if the node's clock ticks coarsely."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from decreed.client.requests.attempt import NodeReply
from decreed.client.requests.operations import Operation
from decreed.client.requests.sender import LATE_SECONDS, WAIT_SLACK_SECONDS, RequestSender
from decreed.registry.types import Decree, Key
from decreed.registry.wire.requests import Undecided

NOBODY: Any = None


class Ticking(RequestSender):
    """Asks a node that answers "undecided" after a part of the time that it was given."""

    def __init__(self, part: float) -> None:
        self.part = part
        self.asked = 0
        self.pool: Any = SimpleNamespace(now=trio.current_time)

    def __del__(self, is_finalizing: Callable[[], bool] = bool) -> None:
        """There is nothing to close."""

    async def _recall(self, keys: Sequence[Key], deadline: float) -> dict[Key, Decree]:
        return {}

    async def ask(self, operation: Operation, deadline: float) -> NodeReply:
        self.asked += 1
        # the client listens a little longer than the node waits
        await trio.sleep((deadline - LATE_SECONDS - trio.current_time()) * self.part)
        return NodeReply(Undecided(1), NOBODY)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("part", "seconds", "asked"), [(1.0, 5.0, 1), (0.9, 0.5, 1), (0.9, 5.0, 2), (0.5, 5.0, 6)]
)
async def test_a_wait_that_a_node_ends_early_is_repeated_until_its_deadline(
    autojump_clock: MockClock, part: float, seconds: float, asked: int
) -> None:
    sender, began = Ticking(part), trio.current_time()
    assert await sender.wait(Key("k"), began + seconds) is None
    assert seconds - WAIT_SLACK_SECONDS < trio.current_time() - began <= seconds
    assert sender.asked == asked
