"""Where a client's operations are written as they end, one line each, for the judge."""

import time
from collections.abc import Awaitable, Callable
from typing import TextIO, TypeVar

from decreed.client import errors

from ..history.lines import line_of
from ..history.recorder import Pending, Recorder

T = TypeVar("T")


def begin() -> Recorder:
    """A recorder for one operation, on the clock that all processes of a machine share."""
    return Recorder(time.monotonic)


class Diary:
    """Writes operations down.

    Args:
        file: gets a line an operation.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    async def note(
        self, pending: Pending, work: Awaitable[T], end: Callable[[T], None]
    ) -> T | None:
        """Wait for `work`, tell `end` what it returned, and write down how `pending` stands then.

        Returns:
            What was returned; None after an error of ours. What is cancelled never returned.
        """
        try:
            result = await work
            end(result)
            return result
        except errors.DecreedError as error:
            pending.raised(error)
            return None
        finally:
            self._file.write(line_of(pending.operation) + "\n")
            self._file.flush()
