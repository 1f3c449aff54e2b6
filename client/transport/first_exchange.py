"""The first exchange on a connection: TLS if there is any, our hello, the node's welcome. No I/O."""

from typing import TYPE_CHECKING

from ...registry.errors import ProtocolError, Unreachable
from ...registry.wire.handshake import ClientWelcome
from .framing import Greeting, hello
from .securing import ClientSecurity, check_welcome
from .strangers import recognise

if TYPE_CHECKING:
    from ...registry.tls.subject import Subject

_FIRST_OF_TLS = (0x15, 0x16)


class FirstExchange:
    """The bytes of one new connection, until it is welcomed.

    Args:
        host: the host that was dialled.
        software: the client's name for the logs.
        security: for TLS; None for a connection without.

    Attributes:
        session: the TLS of the connection, if it has any.
    """

    def __init__(self, host: str, software: str, security: ClientSecurity | None) -> None:
        self._software, self._security = software, security
        self._greeting = Greeting()
        self._met = False
        self.session = security.session(host) if security is not None else None
        self._subject: Subject | None = None
        self._owed = b""

    def begin(self) -> bytes:
        """The first bytes to send."""
        if self.session is None:
            return hello(self._software)
        self.session.handshake()
        return self.session.owed()

    def owed(self) -> bytes:
        """Further bytes to send, perhaps none; to be asked for after each `feed`, also if it raised."""
        owed, self._owed = self._owed, b""
        return owed if self.session is None else owed + self.session.owed()

    def feed(self, data: bytes) -> ClientWelcome | None:
        """Take received bytes; returns the welcome once it is complete.

        Raises:
            ProtocolError: if TLS fails, or it is no welcome in our version of the protocol.
            ConfigError: if the token cannot be read.
            DecreedError: the error with which the node refused us.
        """
        if self.session is None or self._security is None:
            return self._greeting.feed(data)
        self._check_first(data)
        if not self.session.shaken:
            if not self.session.handshake(data):
                return None
            self._subject = self._security.check_node(self.session)
            # the token is read now, and kept by nobody here
            self._owed += self.session.seal(hello(self._software, self._security.token()))
            data = b""
        welcome = self._greeting.feed(self.session.open(data))
        if welcome is not None:
            check_welcome(self._subject, welcome)
        elif self.session.ended:
            raise Unreachable("the connection broke at the handshake: the node closed it")
        return welcome

    def _check_first(self, data: bytes) -> None:
        if not self._met and data[0] not in _FIRST_OF_TLS:
            name = recognise(data)
            answers = f"{name} answers there" if name else "who answers there does so"
            raise ProtocolError(
                f"{answers} without TLS: leave out --ca and tls, if that cluster has none"
            )
        self._met = True
