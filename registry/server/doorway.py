"""Where connections come in: each is secured and greets in time, or is told why it may not come in.

What a stranger can cause is bounded: how many connections are silent at a time, and how many lines of
the log and the audit log there are for those that are turned away.
"""

from collections.abc import Callable

import trio

from ..audit import AuditRecord, certificate_refused, token_refused
from ..errors import DecreedError, ProtocolError, Refused, TokenRefused, Unreachable
from ..wire.handshake import ClientHello, Refusal
from . import log
from .admitted import RefusedByPolicy
from .connections import Connection
from .greeting import Greeter, PeerGreeting
from .securing import Securing, WrongCertificate


class Doorway:
    """Lets connections in.

    Args:
        securing: shakes hands, and says who may come in.
        greeter: takes greetings.
        max_clients: how many connections of clients there may be.
        tell: tells the audit log of somebody who was turned away, with his address.

    Attributes:
        connections: how many are open, greeted or not.
    """

    def __init__(
        self,
        securing: Securing,
        greeter: Greeter,
        max_clients: int,
        tell: Callable[[AuditRecord, str], None],
    ) -> None:
        self._securing, self._greeter = securing, greeter
        self._max_clients, self._tell = max_clients, tell
        self._silent: dict[Connection, trio.CancelScope] = {}
        self.connections = 0

    async def greeting(self, connection: Connection) -> ClientHello | PeerGreeting | None:
        """The greeting of a connection; None if the connection is ended since it sent no greeting.

        With more than twice as many connections as clients are allowed, the one that has been silent
        longest is ended, so that silent connections never lock out others.

        Raises:
            DecreedError: if it may not come in; `turn_away` tells it.
        """
        if self.connections > 2 * self._max_clients and self._silent:
            self._silent.pop(next(iter(self._silent))).cancel()
        with trio.CancelScope() as scope:
            self._silent[connection] = scope
            try:
                await self._securing.accept(connection)
                return await self._greeter.answer(connection)
            finally:
                self._silent.pop(connection, None)
        log.unproven("too many connections; a silent one was ended", connection.peer_name)
        return None

    async def turn_away(self, connection: Connection, name: str, reason: DecreedError) -> None:
        """Tell somebody why he may not come in, and the logs; he is at the address `name`.

        Raises:
            DecreedError: the reason, if it is none of those for which somebody is turned away.
        """
        match reason:
            case WrongCertificate():
                self._say(connection, name, reason)
                # not `Refused`, which may pass: a client is not to come again and again
                await connection.send(Refusal(ProtocolError.code, str(reason)))
            case RefusedByPolicy():  # the greeter has told him
                self._say(connection, name, reason)
            case TokenRefused():
                log.unproven("a token is not accepted", name, reason=str(reason))
                self._tell(token_refused(), name)
                await connection.send(Refusal(reason.code, str(reason)))
            case Refused() | Unreachable():
                await connection.send(Refusal(reason.code, str(reason)))
            case _:
                raise reason

    def _say(self, connection: Connection, name: str, reason: DecreedError) -> None:
        log.unproven("a connection is refused", name, reason=str(reason))
        self._tell(certificate_refused(str(connection.certified or "")), name)
