"""Frames: a length in four bytes, big end first, then that many bytes of CBOR.

Cutting and joining alone; no I/O. A length over the limit is an error at once, before a byte of
the body is kept, so that a stranger's first four bytes cannot make us wait for a gigabyte.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ..errors import ProtocolError
from .codec import array_header

HEADER_BYTES = 4
TARGET_BYTES = 256 * 1024
TARGET_MESSAGES = 4_096


T = TypeVar("T")


def portions(
    items: Iterable[T], size_of: Callable[[T], int], max_size: int, max_count: int
) -> Iterator[list[T]]:
    """All items in their order, as many together as may be; one that is larger comes alone.

    Args:
        items: what is to travel.
        size_of: the bytes of one.
        max_size: how many bytes may be together.
        max_count: how many items may be.
    """
    together: list[T] = []
    size = 0
    for item in items:
        bytes_more = size_of(item)
        size += bytes_more
        if together and (size > max_size or len(together) == max_count):
            yield together
            together, size = [], bytes_more
        together.append(item)
    if together:
        yield together


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

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; returns the payloads that are now whole.

        Raises:
            ProtocolError: if a length is over the limit.
        """
        if not self._buffer:
            return self._cut(data)
        self._buffer += data
        if self._end(self._buffer, 0) > len(self._buffer):
            return []  # nothing is copied until there is a whole frame
        joined = bytes(self._buffer)
        self._buffer.clear()
        return self._cut(joined)

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    @property
    def expected(self) -> int:
        """How many bytes the unfinished frame will have, as far as its length is known."""
        return self._end(self._buffer, 0)

    def clear(self) -> None:
        """Forget the unfinished frame."""
        self._buffer = bytearray()

    def _cut(self, data: bytes) -> list[bytes]:
        """All whole payloads in `data`; the rest is kept."""
        payloads: list[bytes] = []
        start = 0
        while (end := self._end(data, start)) <= len(data):
            payloads.append(data[start + HEADER_BYTES : end])
            start = end
        self._buffer += data[start:]
        return payloads

    def _end(self, data: bytes | bytearray, start: int) -> int:
        """Where the frame that begins at `start` ends, as far as its length is known."""
        body = start + HEADER_BYTES
        if len(data) < body:
            return body
        size = int.from_bytes(data[start:body], "big")
        if size > self.max_bytes:
            raise ProtocolError(f"a frame of {size} bytes; the limit is {self.max_bytes}")
        return body + size


def pack(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Join encoded messages into frames of about `TARGET_BYTES`, each a CBOR array of messages.

    Messages are encoded one by one, so that one that goes to several receivers is encoded once. One
    larger than the target travels in a frame of its own.
    """
    batch: list[bytes] = []
    size = 0
    for message in encoded:
        if batch and (size + len(message) > TARGET_BYTES or len(batch) == TARGET_MESSAGES):
            yield join(batch, len(batch))
            batch, size = [], 0
        batch.append(message)
        size += len(message)
    if batch:
        yield join(batch, len(batch))


def join(encoded: Iterable[bytes], count: int) -> bytes:
    """One frame of `count` messages that were encoded one by one or several at a time."""
    return frame(b"".join((array_header(count), *encoded)))
