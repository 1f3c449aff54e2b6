"""TLS between a connection and its socket: what is received is opened, what is sent is sealed.

Invariants kept here (S02):

* What the system does not take of a sealed piece is kept and sent first, never sealed again. Until all
  of it is sent the piece counts as not taken, so the bounds of the queue above hold: it calls again
  with the rest, which begins with the same bytes.
* A piece has `PIECE_BYTES` at most: a connection holds this much sealed, however large a value is that
  many clients wait for.
* What TLS itself owes leaves in its place among the pieces.
"""

import os
from contextlib import suppress

import trio

from ..errors import ProtocolError
from ..tls.records import begins_tls
from ..tls.session import Session
from ..tls.subject import Certificate
from .handshakes import MOST_BYTES

PIECE_BYTES = 64 * 1024
CHUNK_BYTES = 16 * 1024
_NOTHING = memoryview(b"")


class NoTls(ProtocolError):
    """The side that was dialled answers without TLS."""


class HandshakeCut(ProtocolError):
    """The other side has closed the connection within the handshake."""


class Secured:
    """The session of one connection.

    Args:
        session: its TLS.
        stream: its socket.
    """

    def __init__(self, session: Session, stream: trio.SocketStream) -> None:
        self._session, self._stream = session, stream
        self._sealed = _NOTHING
        self._of = 0
        self._sending = False

    @property
    def ended(self) -> bool:
        """Whether the other side has said that it sends nothing more."""
        return self._session.ended

    @property
    def inside(self) -> bool:
        """Whether a record has begun to come, and has not come whole."""
        return self._session.inside

    @property
    def certificate(self) -> Certificate | None:
        """The other side's certificate; None if it showed none."""
        return self._session.certificate

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of that certificate."""
        return self._session.marks

    async def shake_hands(self, first: bytes = b"") -> None:
        """Do the handshake; `first` was received already.

        Raises:
            NoTls: if the other side answers without TLS.
            HandshakeCut: if it closes the connection.
            ProtocolError: if it fails, or is too large.
        """
        taken, data = len(first), first
        try:
            while not self._session.handshake(data):
                await self._send_all_owed()
                data = bytes(await self._stream.receive_some(CHUNK_BYTES))
                if not data:
                    raise HandshakeCut("it closed the connection within the handshake")
                if not taken and not begins_tls(data):
                    raise NoTls("it answers without TLS")
                taken += len(data)
                if taken > MOST_BYTES:
                    raise ProtocolError(f"its handshake is larger than {MOST_BYTES} bytes")
        finally:
            # the last part of the handshake, or the alert that says what was wrong with it
            await self._send_all_owed()

    async def _send_all_owed(self) -> None:
        if self._session.owes:
            await self._stream.send_all(self._session.owed())

    def open(self, data: bytes) -> bytes:
        """The plaintext that can be read, with what was received now.

        Raises:
            ProtocolError: if what was received is not what the other side has sealed.
        """
        try:
            return self._session.open(data)
        finally:
            self._send_owed()

    def send_some(self, data: bytes | memoryview) -> int:
        """Pass `data` to the system, as much as it takes without waiting; returns how much it took."""
        taken, size = 0, len(data)
        try:
            while taken < size or self._sealed:
                if not self._sealed:
                    self._seal(data, taken)
                if not self._write():
                    break
                taken += self._take_off()
        except (OSError, ProtocolError):
            pass  # full or broken; the task that waits for it finds out
        return taken

    async def send_all(self, data: bytes | memoryview) -> None:
        """Pass all of `data` to the system.

        Raises:
            ProtocolError: if the session has failed.
        """
        self._sending, taken = True, 0
        try:
            while True:
                if self._sealed:
                    await self._stream.send_all(self._sealed)
                    self._sealed = _NOTHING
                taken += self._take_off()
                if taken == len(data):
                    return
                self._seal(data, taken)
        finally:
            self._sending = False

    def close(self) -> None:
        """Say that nothing more is sent, if the system takes that without waiting."""
        with suppress(OSError):
            if not self._sending and (not self._sealed or self._write()):
                self._sealed = memoryview(self._session.close())
                self._write()

    def _seal(self, data: bytes | memoryview, start: int) -> None:
        """Seal the next piece; what TLS owes goes before it."""
        piece = data
        if start or len(data) > PIECE_BYTES:
            piece = memoryview(data)[start : start + PIECE_BYTES]
        self._sealed, self._of = memoryview(self._session.seal(piece)), len(piece)

    def _take_off(self) -> int:
        """How many bytes were in the piece that has left; they are counted once."""
        of, self._of = self._of, 0
        return of

    def _send_owed(self) -> None:
        """Send what TLS owes, if nothing is before it; otherwise it goes with the next piece."""
        if self._session.owes and not self._sending and not self._sealed:
            self._sealed = memoryview(self._session.owed())
            with suppress(OSError):
                self._write()

    def _write(self) -> bool:
        """Pass what is sealed to the system; returns whether it took all of it."""
        sealed = self._sealed
        sent = os.write(self._stream.socket.fileno(), sealed)
        self._sealed = sealed[sent:] if sent < len(sealed) else _NOTHING
        return not self._sealed
