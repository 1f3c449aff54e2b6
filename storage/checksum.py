"""CRC-32C, with the types that its library leaves out."""

from collections.abc import Callable

import google_crc32c

extend: Callable[[int, bytes], int] = google_crc32c.extend  # pyright: ignore
"""The checksum of what the first argument is the checksum of, followed by the second."""


def checksum(data: bytes) -> int:
    """The checksum of `data`."""
    return extend(0, data)
