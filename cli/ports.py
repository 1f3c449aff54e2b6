"""Ports that nobody else gets before a server of ours listens on them.

A port that was only found free may be taken before the server that it was found for binds it. So a
socket that never listens stays bound to it. Linux gives such a port to nobody who asks for any port,
be it to listen or to connect; a server that names the port, and sets SO_REUSEADDR as ours and most
others do, is let in beside it. On other systems it is not: there, a port is given up once it is found.
"""

import socket
import sys
from contextlib import ExitStack

LOCALHOST = "127.0.0.1"
HELD = sys.platform == "linux"
"""Whether a port can be held."""


def bound(host: str = LOCALHOST, port: int = 0) -> socket.socket:
    """A socket that had its port alone when it was bound, and now lets a server in beside it.

    Args:
        host: the address.
        port: the port; any if it is 0.

    Raises:
        OSError: if somebody has the port.
    """
    holder = socket.socket()
    try:
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


def held_ports(stack: ExitStack, count: int) -> tuple[int, ...]:
    """So many ports of this machine, held until `stack` is closed."""
    with ExitStack() as found:
        holders = [found.enter_context(bound()) for _ in range(count)]
        if HELD:
            stack.push(found.pop_all())
        return tuple(holder.getsockname()[1] for holder in holders)
