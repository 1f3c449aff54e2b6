"""CRC-32C, with the types that its library lacks."""

from collections.abc import Callable

import google_crc32c

extend: Callable[[int, bytes], int] = google_crc32c.extend  # pyright: ignore
"""Extends a checksum: from the checksum of some data, that of the data and further bytes."""


def checksum(data: bytes) -> int:
    """The checksum of `data`."""
    return extend(0, data)
