"""TLS of one connection: what was received goes in, plaintext and what is to be sent come out. No I/O.

Invariants kept here (S02):

* Bytes to be sent leave in the order in which OpenSSL made them: there is one buffer for them.
* After `open` nothing that can be read is left inside OpenSSL. Half a record may be; `inside` tells so.
* A connection is `ended` only by a ``close_notify``. Without one it broke, whatever the socket says.
"""

import ssl
from contextlib import suppress
from typing import Literal

from ..errors import ProtocolError
from .faults import said
from .records import RecordEdge
from .subject import Certificate, marks_of

PROTOCOL = "decreed"
"""The name in ALPN, required on both sides: no other protocol's bytes are taken for ours."""
READ_BYTES = 16 * 1024
"""The most in one record; a larger buffer would be allocated at each read."""
MOST_OWED_BYTES = 512 * 1024
"""A peer that makes us owe more than this (it repeats key updates, and reads nothing) is cut off."""


class Session:
    """One side of a TLS connection.

    Args:
        context: with what it shakes hands.
        side: whether it accepted the connection or dialled.
        host: whom the certificate of the other side must name; None if that is judged by its URI.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        side: Literal["accepts", "dials"],
        host: str | None = None,
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=side == "accepts", server_hostname=host
        )
        self._edge = RecordEdge()
        self._certificate: Certificate | None = None
        self.shaken = False
        self.ended = False

    @property
    def inside(self) -> bool:
        """Whether a record has begun to come, and has not come whole."""
        return self._edge.inside

    @property
    def certificate(self) -> Certificate | None:
        """The other side's certificate, which was verified; None if it showed none.

        It is taken apart once: nobody can show another one after the handshake.
        """
        if self._certificate is None or not self.shaken:
            self._certificate = self._object.getpeercert()
        return self._certificate

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of the other side's certificate; none if it showed none."""
        certificate, der = self.certificate, self._object.getpeercert(binary_form=True)
        return marks_of(certificate, der) if certificate and der else ()

    def handshake(self, data: bytes = b"") -> bool:
        """Take received bytes; returns whether the handshake is over.

        Each time `owed` is to be sent, also if this raises.

        Raises:
            ProtocolError: if it failed; says why.
        """
        self._take(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise ProtocolError(said(error)) from error
        if self._object.selected_alpn_protocol() != PROTOCOL:
            raise ProtocolError(f"it speaks TLS, but not for {PROTOCOL} (ALPN)")
        self.shaken = True
        return True

    def open(self, data: bytes = b"") -> bytes:
        """Take received bytes; returns all the plaintext that can be read now.

        Raises:
            ProtocolError: if they are no records of this session, or the other side sends an alert.
        """
        self._take(data)
        parts: list[bytes] = []
        try:
            while not self.ended:
                part = self._object.read(READ_BYTES)
                self.ended = not part
                parts.append(part)
                if not (self._incoming.pending or self._object.pending()):
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise ProtocolError(said(error)) from error
        self._check_owed()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def seal(self, data: bytes | memoryview) -> bytes:
        """All that is to be sent now, with `data` at its end.

        Raises:
            ProtocolError: if the session has failed.
        """
        rest = data
        try:
            while rest:
                sent = self._object.write(rest)
                rest = memoryview(rest)[sent:] if sent < len(rest) else b""
        except ssl.SSLError as error:
            raise ProtocolError(said(error)) from error
        return self._outgoing.read()

    @property
    def owes(self) -> bool:
        """Whether TLS itself has something to send."""
        return bool(self._outgoing.pending)

    def owed(self) -> bytes:
        """What TLS itself has to send: parts of the handshake, answers to key updates, alerts."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """The end of what we send, to be sent last; it is not waited for the other side's."""
        if self.shaken:
            # it wants the other side's end too, or the session has failed: there is nothing to add
            with suppress(ssl.SSLError):
                self._object.unwrap()
        return self._outgoing.read()

    def _take(self, data: bytes) -> None:
        if data:
            self._edge.feed(data)
            self._incoming.write(data)

    def _check_owed(self) -> None:
        if self._outgoing.pending > MOST_OWED_BYTES:
            raise ProtocolError("it makes TLS owe more than it reads")
