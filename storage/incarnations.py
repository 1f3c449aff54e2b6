"""The stored incarnations of a directory: their nonces, one page in a record.

Owns what an opening adds, and how the nonces are read back. A page takes 4 KiB, so that an opening
writes little, and a directory that was opened a million times is read quickly.

Invariant: R13: the disk has one nonce for each incarnation up to the present one. A directory that has
lost some of them could not prove its history, and is refused as damaged.
"""

from collections.abc import Iterable

from ..registry.errors import Damaged
from ..registry.incarnations import NONCE_BYTES, IncarnationHistory
from .bytestore import ByteStore, Unreadable
from .layout import incarnations_key
from .records import damaged, pack, unpack

NONCES_A_PAGE = 256


def added(data: ByteStore, incarnation: int, nonce: bytes) -> dict[bytes, bytes]:
    """The row to write when `incarnation` begins, with its nonce after those of all earlier ones.

    Raises:
        Damaged: if earlier incarnations are missing.
    """
    number, place = divmod(incarnation - 1, NONCES_A_PAGE)
    stored = incarnations_key(number)
    before = _page(data, stored) if place else b""
    _check(before, place, data.where)
    return {stored: pack(stored, before + nonce)}


def joined(pages: Iterable[bytes], incarnation: int, where: str) -> IncarnationHistory:
    """The history of incarnations in all pages, in order; `incarnation` is the present one.

    Raises:
        Damaged: if incarnations are missing.
    """
    nonces = b"".join(pages)
    _check(nonces, incarnation, where)
    return IncarnationHistory(nonces)


def _page(data: ByteStore, stored: bytes) -> bytes:
    try:
        found = data.get(stored)
    except Unreadable as error:
        raise damaged(stored, data.where, str(error)) from error
    return b"" if found is None else unpack(stored, found, bytes, data.where)


def _check(nonces: bytes, incarnations: int, where: str) -> None:
    if len(nonces) != incarnations * NONCE_BYTES:
        raise Damaged(f"{where} has lost some of its incarnations; leave its node stopped")
