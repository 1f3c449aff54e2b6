"""Ports that are reserved until a server of ours listens on them.

A port that was only found free may be taken before our server binds it. So a socket that never listens
stays bound to it. Linux does not give such a port to a process that asks for any port, to listen or to
connect. A server that names the port and sets SO_REUSEADDR, as ours and most others do, can bind it
too. Other systems do not allow that: there, a port is released once it is found.
"""

import socket
import sys
from contextlib import ExitStack

LOCALHOST = "127.0.0.1"
HELD = sys.platform == "linux"
"""Whether a port can be held."""


def bound(host: str = LOCALHOST, port: int = 0) -> socket.socket:
    """A socket that was bound exclusively, and now allows a server on the same port.

    Args:
        host: the address.
        port: the port; any if it is 0.

    Raises:
        OSError: if the port is in use.
    """
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


def held_ports(stack: ExitStack, count: int) -> tuple[int, ...]:
    """`count` ports of this machine, reserved until `stack` is closed."""
    with ExitStack() as found:
        holders = [found.enter_context(bound()) for _ in range(count)]
        if HELD:
            stack.push(found.pop_all())
        return tuple(holder.getsockname()[1] for holder in holders)
