"""The lives of a directory as they are stored: their nonces, a page of them to a record.

Owns what an opening adds, and how all of it is read back. A page takes 4 KiB, so that an opening
writes little and a directory that was opened a million times is read in a moment.

Invariant: R13: the lives on disk are as many as the incarnation counts, one nonce each. A directory
that has lost some of them could not show where it comes from, and is refused as damaged.
"""

from collections.abc import Iterable

from ..registry.errors import Damaged
from ..registry.lineage import NONCE_BYTES, Lineage
from .bytestore import ByteStore, Unreadable
from .layout import lives_key
from .records import damaged, pack, unpack

LIVES_A_PAGE = 256


def added(data: ByteStore, incarnation: int, nonce: bytes) -> dict[bytes, bytes]:
    """What to write when life `incarnation` begins, with its nonce behind those of all earlier ones.

    Raises:
        Damaged: if the lives before it are not all there.
    """
    number, place = divmod(incarnation - 1, LIVES_A_PAGE)
    stored = lives_key(number)
    before = _page(data, stored) if place else b""
    _check(before, place, data.where)
    return {stored: pack(stored, before + nonce)}


def joined(pages: Iterable[bytes], incarnation: int, where: str) -> Lineage:
    """The lineage in all pages, in order, of a directory in its life `incarnation`.

    Raises:
        Damaged: if lives are missing.
    """
    nonces = b"".join(pages)
    _check(nonces, incarnation, where)
    return Lineage(nonces)


def _page(data: ByteStore, stored: bytes) -> bytes:
    try:
        found = data.get(stored)
    except Unreadable as error:
        raise damaged(stored, data.where, str(error)) from error
    return b"" if found is None else unpack(stored, found, bytes, data.where)


def _check(nonces: bytes, lives: int, where: str) -> None:
    if len(nonces) != lives * NONCE_BYTES:
        raise Damaged(f"{where} has lost some of the lives that it has had; leave its node stopped")
