"""The signing key of a directory: an Ed25519 key, made with the directory, in a file of its own.

Owns the file ``signing-key``. The public key is also in the directory's identity, and each peer records
it at forming with the disk id. So a start needs no cryptography: it compares texts. The library that
makes keys is imported once in the life of a directory.

Invariants:

* The file can be read by its owner alone, and is durable before the identity names its public key.
* A directory never gets a second key: peers would refuse it. A file that is gone or changed is refused.
"""

import os
import re
from pathlib import Path

from ..registry.errors import Damaged, MissingExtra
from .checksum import checksum
from .durable import sync_names

NAME = "signing-key"
_MODE = 0o600
_FORM = re.compile(
    r"(decreed signing key, Ed25519, secret\nprivate ([0-9a-f]{64})\npublic ([0-9a-f]{64})\n)"
    r"checksum ([0-9a-f]{8})\n"
)
_WAY_OUT = (
    "The other nodes know this directory by its key: put the file back from a copy of this very"
    " directory. Otherwise move the directory away, start the node with an empty one and --join, and"
    " give it the vote with 'decreed member replace NODE'."
)


def signing_key(directory: Path, known: bytes | None) -> bytes:
    """The public key of a directory; the key is made if there is none yet.

    Args:
        directory: the data directory.
        known: the public key in its identity; None if the identity names none yet.

    Raises:
        Damaged: if the file is gone, damaged, or has another key than the identity names.
        MissingExtra: if the library that makes keys is not installed.
        OSError: if the file cannot be read or written.
    """
    path = directory / NAME
    if not path.exists():
        if known is not None:
            raise Damaged(f"{path}, the signing key of the node, is missing. {_WAY_OUT}")
        _write(path, _made())
    found = _FORM.fullmatch(path.read_text(errors="replace"))
    if not found or checksum(found[1].encode()) != int(found[4], 16):
        raise Damaged(f"{path}, the signing key of the node, is damaged. {_WAY_OUT}")
    public = bytes.fromhex(found[3])
    if known is not None and public != known:
        raise Damaged(f"{path} is the signing key of another directory. {_WAY_OUT}")
    if path.stat().st_mode & 0o077:
        path.chmod(_MODE)  # a copy may have been made readable for others
    return public


def _made() -> str:
    """The text of a file with a new key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "a node needs cryptography to make its signing key, and it is not installed:"
            " pip install 'decreed[server]'"
        ) from error
    private = Ed25519PrivateKey.generate()
    texts = (private.private_bytes_raw().hex(), private.public_key().public_bytes_raw().hex())
    body = "decreed signing key, Ed25519, secret\nprivate {}\npublic {}\n".format(*texts)
    return f"{body}checksum {checksum(body.encode()):08x}\n"


def _write(path: Path, text: str) -> None:
    """Make the file, durably and readable by its owner alone from its first byte on."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_names(path.parent)
