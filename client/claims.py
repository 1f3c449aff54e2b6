"""Making a `Claim` from what a caller gives, and checking it before anything is sent. No I/O."""

import json
import os
import socket
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..registry.errors import BadRequest
from ..registry.types import (
    MAX_CLAIM_ID_BYTES,
    MAX_CLAIMANT_CHARS,
    MAX_CONTENT_TYPE_CHARS,
    MAX_NOTE_CHARS,
    Claim,
    Key,
)

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Json:
    """A value to be stored as JSON: compact, with sorted keys, so that equal data are equal bytes.

    Args:
        data: anything that the standard ``json`` module can write.
    """

    data: Any


Claimable = bytes | str | Json
"""What may be claimed: bytes as they are, text as UTF-8, or JSON."""


def make_claim(
    key: Key,
    value: Claimable,
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
    claim = Claim(
        key,
        data,
        usual_type if content_type is None else content_type,
        claimant,
        _as_id(claim_id),
        note,
    )
    _check(claim)
    return claim


@cache
def default_claimant() -> str:
    """``user@host`` of this process: the same after a restart, so that claims can be repeated."""
    import getpass  # for a claim that names no claimant, and no other call

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # an account without a name, as in many containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"[:MAX_CLAIMANT_CHARS]


def _as_bytes(value: object) -> tuple[bytes, str]:
    if isinstance(value, str):
        return utf8(value, "value"), TEXT
    if isinstance(value, Json):
        return _as_json(value.data), JSON
    if isinstance(value, bytes):
        return value, BINARY
    raise BadRequest(f"a value is bytes, str or Json(…), not {type(value).__name__}")


def _as_json(data: Any) -> bytes:
    try:
        text = json.dumps(
            data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"the value cannot be written as JSON: {error}") from error
    return utf8(text, "value")


def _as_id(claim_id: bytes | str | None) -> bytes:
    if claim_id is None:
        return os.urandom(16)
    return utf8(claim_id, "claim id") if isinstance(claim_id, str) else claim_id


def utf8(text: str, what: str) -> bytes:
    """The bytes of `text`, which came from outside as the `what` of a request.

    Raises:
        BadRequest: if it cannot be written as UTF-8; definite.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"the {what} cannot be written as UTF-8: {error}") from error


def _check(claim: Claim) -> None:
    if not 1 <= len(claim.claim_id) <= MAX_CLAIM_ID_BYTES:
        raise BadRequest(f"a claim id has 1 to {MAX_CLAIM_ID_BYTES} bytes")
    for what, text, most in (
        ("note", claim.note, MAX_NOTE_CHARS),
        ("claimant", claim.claimant, MAX_CLAIMANT_CHARS),
        ("content type", claim.content_type, MAX_CONTENT_TYPE_CHARS),
    ):
        utf8(text, what)
        if len(text) > most:
            raise BadRequest(f"the {what} is longer than {most} characters")
