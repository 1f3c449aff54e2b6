"""Where TLS records end. OpenSSL shows half a record in none of its counts, and a peer may leave it so.

A record is five bytes of header, the last two of which are its length, and its body (RFC 8446, 5.1).
"""

HEADER_BYTES = 5
HANDSHAKE, ALERT = 0x16, 0x15
"""The first byte of a record of each kind. Without TLS it is a zero, since a greeting is short."""


def begins_tls(data: bytes) -> bool:
    """Whether the first bytes of a connection are those of a side that speaks TLS."""
    return data[0] in (HANDSHAKE, ALERT)


class RecordEdge:
    """Follows a stream of records."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    @property
    def inside(self) -> bool:
        """Whether the stream stops within a record."""
        return bool(self._left or self._head)

    def feed(self, data: bytes) -> None:
        """Take more bytes of the stream."""
        at, size = 0, len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
            elif not self._head and at + HEADER_BYTES <= size:  # as nearly always
                step = HEADER_BYTES
                self._left = data[at + 3] << 8 | data[at + 4]
            else:
                step = self._take_head(data[at : at + HEADER_BYTES - len(self._head)])
            at += step

    def _take_head(self, data: bytes) -> int:
        self._head += data
        if len(self._head) == HEADER_BYTES:
            self._left = int.from_bytes(self._head[3:], "big")
            self._head = b""
        return len(data)
