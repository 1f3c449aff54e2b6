"""Making a `Claim` from a caller's arguments, and checking them before anything is sent. No I/O."""

import json
import os
import socket
from functools import cache
from typing import Any

from msgspec import Struct

from ...registry.errors import BadRequest
from ...registry.types import MAX_CLAIMANT_CHARS, MAX_CONTENT_TYPE_CHARS, MAX_NOTE_CHARS, Claim, Key
from . import arguments
from .arguments import utf8, wrong

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
JSON = "application/json"


class Json(Struct, frozen=True):
    """A value to be stored as JSON: compact, with sorted keys, so that equal data are equal bytes.

    Args:
        data: anything that the standard ``json`` module can write.
    """

    data: Any


Claimable = bytes | str | Json
"""What may be claimed: bytes as they are, text as UTF-8, or JSON."""


def make_claim(
    key: Key,
    value: object,
    claimant: str,
    *,
    content_type: str | None = None,
    note: str = "",
    claim_id: bytes | str | None = None,
) -> Claim:
    """The claim of `key` for `value`, with a fresh random id unless `claim_id` is given.

    Raises:
        BadRequest: if a part is of the wrong type or over its bound; definite.
    """
    data, usual_type = _as_bytes(value)
    words = checked_words(content_type, claimant, note)
    return Claim(
        key,
        data,
        usual_type if words[0] is None else words[0],
        words[1],
        os.urandom(16) if claim_id is None else arguments.claim_id(claim_id),
        words[2],
    )


def checked_words(
    content_type: str | None, claimant: str, note: str
) -> tuple[str | None, str, str]:
    """The content type, claimant and note of a claim.

    Raises:
        BadRequest: if a part is of the wrong type or over its bound; definite.
    """
    return (
        None
        if content_type is None
        else arguments.text("content_type", content_type, MAX_CONTENT_TYPE_CHARS),
        arguments.text("claimant", claimant, MAX_CLAIMANT_CHARS),
        arguments.text("note", note, MAX_NOTE_CHARS),
    )


def checked_claimant(name: str | None) -> str:
    """The name that a client's claims carry; None for ``user@host``.

    Raises:
        BadRequest: if it is no text, or over its bound.
    """
    name = default_claimant() if name is None else name
    return arguments.text("claimant", name, MAX_CLAIMANT_CHARS)


@cache
def default_claimant() -> str:
    """``user@host`` of this process: the same after a restart, so that claims can be repeated."""
    import getpass  # loaded only for a claim that names no claimant

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # an account without a name, as in many containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"[:MAX_CLAIMANT_CHARS]


def _as_bytes(value: object) -> tuple[bytes, str]:
    if isinstance(value, str):
        return utf8("value", value), TEXT
    if isinstance(value, Json):
        return _as_json(value.data), JSON
    if isinstance(value, bytes):
        return bytes(value), BINARY
    raise wrong("value", "bytes, a str or Json(…)", value)


def _as_json(data: Any) -> bytes:
    try:
        text = json.dumps(
            data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"value cannot be written as JSON: {error}") from error
    return utf8("value", text)
