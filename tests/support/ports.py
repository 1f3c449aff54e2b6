"""Ports that are held until they are released, whether a server listens on them or not.

So no other program gets a port before the server that it is for has bound it, nor while that server
is down between a kill and its next start. `decreed.cli.shell.ports` says how that is done.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from decreed.cli.shell.ports import HELD, LOCALHOST, bound

FIRST, LAST = 20_000, 32_000
"""The range in which rows are searched: below the ports that the kernel assigns."""

_held: dict[int, ExitStack] = {}


def hold(count: int, *further_hosts: str) -> list[int]:
    """Free ports at this host and at `further_hosts`, held from now on."""
    ports: list[int] = []
    while len(ports) < count:
        ports += _taken((LOCALHOST, *further_hosts), 0)
    return ports


def hold_row(count: int) -> int:
    """The first of `count` consecutive ports, held from now on."""
    for first in range(FIRST, LAST, count):
        row = [
            taken for port in range(first, first + count) for taken in _taken((LOCALHOST,), port)
        ]
        if len(row) == count:
            return first
        let_go(row)
    raise AssertionError(f"there are no {count} free ports in a row")


def let_go(ports: Iterable[int]) -> None:
    """Release ports; those that are not held are ignored."""
    for port in ports:
        _held.pop(port, ExitStack()).close()


@contextmanager
def held(count: int) -> Iterator[list[int]]:
    """Ports that are held while the block runs."""
    ports = hold(count)
    try:
        yield ports
    finally:
        let_go(ports)


def _taken(hosts: Iterable[str], port: int) -> list[int]:
    """Take one port at all these hosts, any port if it is 0; empty if it is in use at one of them."""
    with ExitStack() as stack:
        try:
            for host in hosts:
                holder = stack.enter_context(bound(host, port))
                port = int(holder.getsockname()[1])
        except OSError:
            return []
        if HELD:
            _held[port] = stack.pop_all()
    return [port]
