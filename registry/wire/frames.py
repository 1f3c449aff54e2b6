"""Frames: a length in four bytes, big end first, then that many bytes of CBOR.

Cutting and joining alone; no I/O. A length over the limit is an error at once, before a byte of
the body is kept, so that a stranger's first four bytes cannot make us wait for a gigabyte.
"""

from collections.abc import Iterable, Iterator

from ..errors import ProtocolError

HEADER_BYTES = 4
TARGET_BYTES = 256 * 1024
TARGET_MESSAGES = 4_096


def frame(payload: bytes) -> bytes:
    """`payload` with its length before it."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


class FrameCutter:
    """Cuts a stream of bytes into payloads.

    Args:
        max_bytes: the largest payload allowed; may be changed between frames.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more bytes and yield the payloads that are now whole.

        Raises:
            ProtocolError: if a length is over the limit.
        """
        self._buffer += data
        while (payload := self._next()) is not None:
            yield payload

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    def _next(self) -> bytes | None:
        if len(self._buffer) < HEADER_BYTES:
            return None
        size = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
        if size > self.max_bytes:
            raise ProtocolError(f"a frame of {size} bytes; the limit is {self.max_bytes}")
        end = HEADER_BYTES + size
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return payload


def pack(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Join encoded messages into frames of about `TARGET_BYTES`, each a CBOR array of messages.

    Messages are encoded one by one, so that one that goes to several receivers is encoded once. One
    larger than the target travels in a frame of its own.
    """
    batch: list[bytes] = []
    size = 0
    for message in encoded:
        if batch and (size + len(message) > TARGET_BYTES or len(batch) == TARGET_MESSAGES):
            yield _join(batch)
            batch, size = [], 0
        batch.append(message)
        size += len(message)
    if batch:
        yield _join(batch)


def _join(batch: list[bytes]) -> bytes:
    return frame(b"".join((_array_header(len(batch)), *batch)))


def _array_header(count: int) -> bytes:
    """The head of a CBOR array of `count` items (RFC 8949, section 3)."""
    if count < 24:
        return bytes([0x80 | count])
    if count < 1 << 8:
        return bytes([0x98, count])
    if count < 1 << 16:
        return b"\x99" + count.to_bytes(2, "big")
    return b"\x9a" + count.to_bytes(4, "big")
