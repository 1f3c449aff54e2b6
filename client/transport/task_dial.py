"""Connecting in an event loop: the name is looked up, and its addresses are tried in turn.

The next address is tried when one has failed, or has not answered for `PAUSE_SECONDS`. The first
connection counts. (The network's library does so too, but always in the same order: an address where
a stranger answers would hide all others.)
"""

import socket
from collections.abc import Sequence

import anyio
from anyio.abc import SocketStream

from ...registry.dial_order import PAUSE_SECONDS, DialOrder, SocketAddress, as_numbers, by_turns
from .endpoints import Endpoint


async def connect_in_turn(endpoint: Endpoint, order: DialOrder) -> SocketStream:
    """Connect to the first address that takes a connection.

    Raises:
        OSError, UnicodeError: if there is none; its cause has what was met at each address.
    """
    found = as_numbers(*endpoint) or await _look_up(endpoint)
    return await _DialInTurn(endpoint, order.order(found), order).run()


async def _look_up(endpoint: Endpoint) -> list[SocketAddress]:
    found = await anyio.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return by_turns(SocketAddress(int(family), address) for family, _, _, _, address in found)


class _DialInTurn:
    """One dial of several addresses; those that take no connection in time have failed."""

    def __init__(
        self, endpoint: Endpoint, addresses: Sequence[SocketAddress], order: DialOrder
    ) -> None:
        self._port, self._addresses, self._order = endpoint.port, addresses, order
        self._errors: list[OSError] = []
        self._made: list[SocketStream] = []

    async def run(self) -> SocketStream:
        """The first connection; an error if there is none."""
        try:
            async with anyio.create_task_group() as tasks:
                for address in self._addresses:
                    over = anyio.Event()
                    tasks.start_soon(self._try, address, over, tasks.cancel_scope)
                    with anyio.move_on_after(PAUSE_SECONDS):
                        await over.wait()
        except BaseException:
            for stream in self._made:
                await anyio.aclose_forcefully(stream)
            raise
        if not self._made:
            raise OSError("no address takes connections") from ExceptionGroup(
                "what was met", self._errors
            )
        return self._made[0]

    async def _try(
        self, address: SocketAddress, over: anyio.Event, others: anyio.CancelScope
    ) -> None:
        try:
            stream = await anyio.connect_tcp(address.address[0], self._port)
        except OSError as error:
            self._errors.append(error)
            self._order.failed(address)
        except anyio.get_cancelled_exc_class():
            if not self._made:  # its time is up
                self._order.failed(address)
            raise
        else:
            if self._made:
                await anyio.aclose_forcefully(stream)
                return
            self._made.append(stream)
            self._order.connected(address)
            others.cancel()
        finally:
            over.set()
