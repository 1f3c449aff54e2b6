"""What a name stands for, and the order in which these addresses are tried.

A name may stand for several addresses, of which some are dead, or belong to somebody else by now. The
families take turns (RFC 8305, section 4), so that a machine without IPv6 soon tries the other one. An
address that failed goes behind all others, the one that failed last to the very end. So each address
gets its turn, however many there are and however it failed: without a connection, or with a stranger
who took it.

Names are looked up at each dial, and nothing is remembered of them but which addresses failed.
"""

import socket
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any

from .types import Value

PAUSE_SECONDS = 0.25
"""How long one address is tried alone, before the next one is tried as well (RFC 8305, section 5)."""


class SocketAddress(Value, frozen=True):
    """One address as the system's sockets take it.

    Args:
        family: the address family, such as `socket.AF_INET6`.
        address: host, port, and for IPv6 its flow and scope.
    """

    family: int
    address: tuple[Any, ...]


class DialOrder:
    """Remembers which addresses of one name failed, until they work again or are gone."""

    def __init__(self) -> None:
        self._failed: dict[SocketAddress, int] = {}
        self._count = 0
        self._used: SocketAddress | None = None

    def order(self, found: Iterable[SocketAddress]) -> list[SocketAddress]:
        """All addresses in `found`, each once, in the order in which to try them."""
        addresses = list(dict.fromkeys(found))
        self._failed = {each: self._failed[each] for each in addresses if each in self._failed}
        return sorted(addresses, key=lambda each: self._failed.get(each, 0))

    def failed(self, address: SocketAddress) -> None:
        """No connection could be made there."""
        self._count += 1
        self._failed[address] = self._count

    def connected(self, address: SocketAddress) -> None:
        """A connection was made there; it counts as failed until `worked` is called."""
        self.failed(address)
        self._used = address

    def worked(self) -> None:
        """Where the last connection was made, the wanted service answered."""
        if self._used is not None:
            self._failed.pop(self._used, None)


def look_up(host: str, port: int, flags: int = 0) -> list[SocketAddress]:
    """All that a name stands for, the families in turn; blocks, unless `flags` say "numbers only".

    Raises:
        OSError, UnicodeError: if it stands for nothing.
    """
    # as bytes if possible: a str would go through IDNA encoding first
    name = host.encode() if host.isascii() else host
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    return by_turns(SocketAddress(int(family), address) for family, _, _, _, address in found)


def as_numbers(host: str, port: int) -> list[SocketAddress]:
    """The address that `host` is itself; empty if it is a name. Never blocks."""
    try:
        return look_up(host, port, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []


def by_turns(found: Iterable[SocketAddress]) -> list[SocketAddress]:
    """Addresses with the families in turn, beginning with that of the first one."""
    families: dict[int, list[SocketAddress]] = {}
    for each in found:
        families.setdefault(each.family, []).append(each)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [each for each in turns if each is not None]
