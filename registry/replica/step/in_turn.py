"""Things that wait in line, of which each requester has one served before anybody has a second.

So nobody waits behind all that another has asked for, however much that is.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from .events import Origin

T = TypeVar("T", bound=Hashable)


class InTurn(Generic[T]):
    """A line for each requester; None stands for the node itself."""

    def __init__(self) -> None:
        # ordered dicts, since the first of a plain one is dear to find once many before it have left
        self._lines: OrderedDict[Origin | None, OrderedDict[T, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, requester: Origin | None, item: T) -> None:
        """It waits behind all others of its requester."""
        self._lines.setdefault(requester, OrderedDict())[item] = None

    def discard(self, requester: Origin | None, item: T) -> None:
        """It waits no more, if it did."""
        line = self._lines.get(requester)
        if line is not None:
            line.pop(item, None)
            if not line:
                del self._lines[requester]

    def take(self) -> T:
        """The first of the requester whose turn it is; whoever else waits is before his next one."""
        requester, line = self._lines.popitem(last=False)
        item, _ = line.popitem(last=False)
        if line:
            self._lines[requester] = line
        return item
