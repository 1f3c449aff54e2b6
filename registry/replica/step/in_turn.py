"""A round-robin queue: each requester has one item served before any requester has a second one.

So one requester's many items do not delay another requester's first one.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class InTurn(Generic[T]):
    """One queue for each requester: a client, a node, an address; None stands for the node itself."""

    def __init__(self) -> None:
        # ordered dicts: finding the first item of a plain dict is slow after many have been removed
        self._lines: OrderedDict[Hashable, OrderedDict[T, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, requester: Hashable, item: T) -> None:
        """Put an item at the end of its requester's queue."""
        self._lines.setdefault(requester, OrderedDict())[item] = None

    def discard(self, requester: Hashable, item: T) -> None:
        """Remove an item, if it is there."""
        line = self._lines.get(requester)
        if line is not None:
            line.pop(item, None)
            if not line:
                del self._lines[requester]

    def take(self) -> T:
        """Remove and return the first item of the next requester, which then goes to the end."""
        requester, line = self._lines.popitem(last=False)
        item, _ = line.popitem(last=False)
        if line:
            self._lines[requester] = line
        return item
