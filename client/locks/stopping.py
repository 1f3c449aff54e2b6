"""Stopping the block under a lock: a cancel scope in the task that enters the block.

A scope belongs to one task, and scopes end innermost first. On asyncio a block can be left in other
ways: by a fixture whose setup and teardown are different tasks, by hooks, by exit stacks that are
closed oldest first. Then the scope is disarmed, so that it never cancels anything else than the block.
"""

from math import inf
from types import TracebackType
from typing import Any

import anyio

from ..transport.loops import current_task, in_asyncio


class Stop:
    """Stops one block; entered and left once."""

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()
        self._task: Any = None
        self._outlived = False

    @property
    def was_called(self) -> bool:
        """Whether the block was stopped, or its deadline has passed."""
        return self._scope.cancel_called

    def enter(self) -> None:
        """Begin the block, in the task that runs now."""
        if in_asyncio():
            self._task = current_task()
            self._task.add_done_callback(self._disarm)
        self._scope.__enter__()

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """End the block; returns whether `error` came from stopping it and is to be suppressed.

        Raises:
            RuntimeError: if another task leaves it than entered it, while that one still runs, or if
                it is left before a scope inside it.
        """
        if self._task is not None:
            self._task.remove_done_callback(self._disarm)
        if self._outlived:
            return False
        try:
            return bool(self._scope.__exit__(kind, error, trace))
        except RuntimeError:
            self._scope.deadline = inf
            raise

    def at(self, deadline: float) -> None:
        """Stop the block at `deadline`, on anyio's clock; replaces an earlier deadline."""
        if not self._outlived:
            self._scope.deadline = deadline

    def now(self) -> None:
        """Stop the block now, if the task that entered it still runs."""
        # some versions of anyio try forever to cancel a task that has ended
        if self._task is None or not self._task.done():
            self._scope.cancel()

    def _disarm(self, task: object) -> None:
        """Stop nothing any more: the task has ended inside the block."""
        self._outlived = True
        self._scope.deadline = inf
