"""Writing a client's operations for the judge, one line each, as they end."""

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
    """Writes operations to a file.

    Args:
        file: gets one line for each operation.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    async def note(
        self, pending: Pending, work: Awaitable[T], end: Callable[[T], None]
    ) -> T | None:
        """Wait for `work`, call `end` with its result, and write the final state of `pending`.

        Returns:
            The result; None after an error of ours. A cancelled operation never returned.
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
