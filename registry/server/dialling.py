"""Connecting to a peer, wherever it is by now.

The peer's addresses are looked up at each dial, so a name whose address has changed is found without a
restart. All that they stand for are tried in turn (`DialOrder`): the next one when one has failed, or
has not answered for `PAUSE_SECONDS`. The first connection counts. Whether the wanted peer is there is
judged by others, who call `worked` then.
"""

import contextlib
import socket
from collections.abc import Sequence

import trio

from ..addresses import split_address
from ..dial_order import PAUSE_SECONDS, DialOrder, SocketAddress, as_numbers, look_up

UNANSWERED_MS = 10_000
"""A link breaks when the peer's system has acknowledged nothing for so long.

Pings are always under way, so a machine that has vanished is noticed, and looked for elsewhere."""


class PeerDial:
    """The way to one peer."""

    def __init__(self) -> None:
        self._order = DialOrder()
        # a look-up is a thread that cannot be stopped: one at a time, however slow the name server
        self._one_look_up = trio.CapacityLimiter(1)

    async def connect(self, addresses: Sequence[str]) -> trio.SocketStream:
        """Connect to the first address that takes a connection.

        Args:
            addresses: ``host:port`` texts, the likeliest first.

        Raises:
            OSError: if there is none; of the last look-up, or of each address.
        """
        found = self._order.order(await self._look_up_all(addresses))
        stream = await _PeerAttempt(found, self._order).run()
        with contextlib.suppress(OSError, AttributeError):  # not on every system
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
        return stream

    def worked(self) -> None:
        """The peer was met where `connect` led; else other addresses are tried before that one."""
        self._order.worked()

    async def _look_up_all(self, addresses: Sequence[str]) -> list[SocketAddress]:
        """All that the addresses stand for; an error only if that is nothing."""
        found: list[SocketAddress] = []
        errors: list[OSError] = []
        for address in addresses:
            host, port = split_address(address)
            try:
                found += as_numbers(host, port) or await self._look_up(host, port)
            except (OSError, UnicodeError) as error:
                errors.append(OSError(f"the name {host!r} cannot be looked up: {error}"))
        if not found:
            raise errors[-1]
        return found

    async def _look_up(self, host: str, port: int) -> list[SocketAddress]:
        return await trio.to_thread.run_sync(
            look_up, host, port, abandon_on_cancel=True, limiter=self._one_look_up
        )


class _PeerAttempt:
    """One dial of several addresses; those that take no connection in time have failed."""

    def __init__(self, addresses: Sequence[SocketAddress], order: DialOrder) -> None:
        self._addresses, self._order = addresses, order
        self._errors: list[OSError] = []
        self._made: list[trio.SocketStream] = []

    async def run(self) -> trio.SocketStream:
        """The first connection; an error if there is none."""
        try:
            async with trio.open_nursery() as nursery:
                for address in self._addresses:
                    over = trio.Event()
                    nursery.start_soon(self._try, address, over, nursery.cancel_scope)
                    with trio.move_on_after(PAUSE_SECONDS):
                        await over.wait()
        except BaseException:
            for stream in self._made:
                stream.socket.close()
            raise
        if not self._made:
            raise OSError("; ".join(dict.fromkeys(str(error) for error in self._errors)))
        return self._made[0]

    async def _try(
        self, address: SocketAddress, over: trio.Event, others: trio.CancelScope
    ) -> None:
        try:
            stream = await _connected(address)
        except OSError as error:
            self._errors.append(error)
            self._order.failed(address)
        except trio.Cancelled:
            if not self._made:  # its time is up
                self._order.failed(address)
            raise
        else:
            if self._made:
                stream.socket.close()
                return
            self._made.append(stream)
            self._order.connected(address)
            others.cancel()
        finally:
            over.set()


async def _connected(address: SocketAddress) -> trio.SocketStream:
    made = trio.socket.socket(address.family, socket.SOCK_STREAM)
    try:
        await made.connect(address.address)
        return trio.SocketStream(made)
    except BaseException:
        made.close()
        raise
