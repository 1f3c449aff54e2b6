"""Where a node listens: the sockets for the addresses that it was given.

A name may stand for several addresses, such as ``localhost`` for 127.0.0.1 and ::1. A machine without
IPv6 has no ::1, though its file of hosts may name it. So a name needs one address that works; an
address that was written as numbers must work itself.
"""

import errno
import socket
from collections.abc import Sequence

import trio

from ..addresses import is_loopback, join_address, split_address
from ..errors import ConfigError, Refused
from . import log

BACKLOG = 1_024
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""The machine does not have this address, or no address of this kind."""


async def open_listeners(
    addresses: Sequence[str], *, guarded: bool = True
) -> list[trio.SocketListener]:
    """Open the listeners for all of ``host:port``; on IPv6 they take IPv6 connections alone.

    Args:
        addresses: where to listen.
        guarded: whether other machines may reach them: there is TLS alone, or the operator wants none.

    Raises:
        Refused: if one of the addresses cannot be used; none is open then.
        ConfigError: if one is beyond loopback and must not be (S01); none is open then.
    """
    opened: list[trio.SocketListener] = []
    try:
        for address in addresses:
            opened += await _open_all(address, guarded=guarded)
    except BaseException:
        for listener in opened:
            listener.socket.close()
        raise
    return opened


async def _open_all(address: str, *, guarded: bool) -> list[trio.SocketListener]:
    """The listeners for all that the host of one address stands for, as far as it is here."""
    host, port = split_address(address)
    opened: list[trio.SocketListener] = []
    absent: OSError | None = None
    try:
        for each in await _addresses_of(host, port):
            if not (guarded or is_loopback(each)):
                raise _too_open(address, each)
            try:
                opened += await trio.open_tcp_listeners(port, host=each, backlog=BACKLOG)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                absent = error
                log.debug("an address is not here", host=host, address=each)
        if not opened and absent is not None:
            raise absent
    except (OSError, ConfigError) as error:
        for listener in opened:
            listener.socket.close()
        if isinstance(error, ConfigError):
            raise
        raise Refused(f"cannot listen on {join_address(host, port)}: {_reason(error)}") from error
    return opened


async def _addresses_of(host: str, port: int) -> list[str]:
    """The addresses that `host` stands for, each once."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _too_open(address: str, found: str) -> ConfigError:
    host, port = split_address(address)
    shown = join_address(found, port)
    meant = address if found == host else f"{address} ({shown})"
    return ConfigError(
        f"it would listen at {meant}, where other machines reach it, without TLS, so that anybody there"
        " reads and freezes keys: give it a certificate, a key and a CA (--cert, --key, --ca, or [tls]"
        " in cluster.toml, without accept_plain), or write insecure = true into cluster.toml"
    )


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be looked up: {error.strerror}"
    return error.strerror or str(error)
