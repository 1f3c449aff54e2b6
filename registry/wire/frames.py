"""Frames: a length in four bytes, big-endian, then that many bytes of CBOR.

Only cutting and joining; no I/O. A length over the limit raises an error before a byte of the body is
kept, so that the first four bytes of a stranger cannot make us wait for a gigabyte.
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
    """All items in order, in groups as large as the bounds allow; an item over the bound comes alone.

    Args:
        items: what is to be sent.
        size_of: the size of one item, in bytes.
        max_size: the most bytes in a group.
        max_count: the most items in a group.
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
    """`payload` with its length in front."""
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
        """Take more bytes; returns the payloads that are now complete.

        Raises:
            ProtocolError: if a length is over the limit.
        """
        if not self._buffer:
            if len(data) > HEADER_BYTES and self._end(data, 0) == len(data):
                return [data[HEADER_BYTES:]]  # one frame and no more, as most often
            return self._cut(data)
        self._buffer += data
        if self._end(self._buffer, 0) > len(self._buffer):
            return []  # nothing is copied until a frame is complete
        joined = bytes(self._buffer)
        self._buffer.clear()
        return self._cut(joined)

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    @property
    def expected(self) -> int:
        """How many bytes the unfinished frame will have; those of its length until that is known."""
        return self._end(self._buffer, 0)

    def clear(self) -> None:
        """Drop the unfinished frame."""
        self._buffer = bytearray()

    def _cut(self, data: bytes) -> list[bytes]:
        """All complete payloads in `data`; the rest is kept."""
        payloads: list[bytes] = []
        start = 0
        while (end := self._end(data, start)) <= len(data):
            payloads.append(data[start + HEADER_BYTES : end])
            start = end
        self._buffer += data[start:]
        return payloads

    def _end(self, data: bytes | bytearray, start: int) -> int:
        """Where the frame that begins at `start` ends; where its length ends until that is known."""
        body = start + HEADER_BYTES
        if len(data) < body:
            return body
        size = int.from_bytes(data[start:body], "big")
        if size > self.max_bytes:
            raise ProtocolError(f"a frame of {size} bytes; the limit is {self.max_bytes}")
        return body + size


def pack(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Join encoded messages into frames of about `TARGET_BYTES`, each a CBOR array of messages.

    Messages are encoded one by one, so that a message to several receivers is encoded once. A message
    larger than the target gets a frame of its own.
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
    """One frame of `count` messages; an item of `encoded` may hold several of them."""
    return frame(b"".join((array_header(count), *encoded)))
