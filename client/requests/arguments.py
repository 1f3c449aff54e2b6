"""Checks of the callers' arguments, one for each noun, before anything is sent. No I/O.

A parameter has the same name and the same meaning in every public method, and one check here. An
argument of the wrong type or out of bounds raises a `BadRequest` that names the parameter. The message
shows numbers; of other values it shows only the type, since a value may be large or confidential.

Checks return exactly what messages are made of: plain `str`, `bytes`, `int` and `float`, never a
subclass of them, and text that can be encoded as UTF-8. So nothing malformed can be sent.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Literal, TypeGuard, cast, get_args

from ...registry.errors import BadRequest
from ...registry.keys import MAX_SLOT, parse_key, parse_prefix, parse_series
from ...registry.locks.terms import MAX_TTL_MS, MIN_TTL_MS, parse_lock
from ...registry.types import MAX_CLAIM_ID_BYTES, Key

Seconds = float | timedelta
"""A length of time: seconds as a number, or a `datetime.timedelta`."""

Prefer = Literal["home", "nearest"]
Endpoints = str | Iterable[str]
"""Servers as ``host:port``: one, several separated by commas, or any number of such texts."""


def seconds(name: str, value: object) -> float:
    """A length of time, in seconds.

    Raises:
        BadRequest: unless it is a number or a `timedelta`, and neither negative nor NaN.
    """
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError as error:
            raise wrong(name, "a number of seconds or a timedelta", value) from error
    else:
        raise wrong(name, "a number of seconds or a timedelta", value)
    if not number >= 0:
        raise BadRequest(f"{name} is a number of seconds from 0 on, not {number}")
    return number


def seconds_or_none(name: str, value: object) -> float | None:
    """A length of time in seconds, or None.

    Raises:
        BadRequest: as `seconds` does.
    """
    return None if value is None else seconds(name, value)


def ttl_ms(value: object) -> int:
    """How long a lease runs, in milliseconds, from seconds or a `timedelta`.

    Raises:
        BadRequest: unless it is such a length of time, and within the bounds.
    """
    ttl = seconds("ttl", value)
    if not MIN_TTL_MS <= ttl * 1000 <= MAX_TTL_MS:
        least, most = MIN_TTL_MS / 1000, MAX_TTL_MS / 1000
        raise BadRequest(f"ttl is {least:g} to {most:g} seconds, not {ttl:g}")
    return ceil(ttl * 1000)


def text(name: str, value: object, most: int | None = None) -> str:
    """Text that can be written as UTF-8.

    Raises:
        BadRequest: unless it is such a text, of at most `most` characters.
    """
    if not isinstance(value, str):
        raise wrong(name, "a str", value)
    plain = value if type(value) is str else str.__str__(value)
    if most is not None and len(plain) > most:
        raise BadRequest(f"{name} is longer than {most} characters")
    utf8(name, plain)
    return plain


def utf8(name: str, value: str) -> bytes:
    """The bytes of a text.

    Raises:
        BadRequest: if it cannot be written as UTF-8.
    """
    try:
        return str.encode(value)
    except UnicodeEncodeError as error:
        raise BadRequest(f"{name} cannot be written as UTF-8: {error.reason}") from error


def data(name: str, value: object, most: int) -> bytes:
    """Bytes.

    Raises:
        BadRequest: unless it is bytes, at most `most` of them.
    """
    if not isinstance(value, bytes):
        raise wrong(name, "bytes", value)
    if len(value) > most:
        raise BadRequest(f"{name} is longer than {most} bytes")
    return bytes(value)


def claim_id(value: object) -> bytes:
    """The id of a claim, given as bytes or text.

    Raises:
        BadRequest: unless it is one of these, and within the bounds.
    """
    if isinstance(value, str):
        value = utf8("claim_id", value)
    if not isinstance(value, bytes):
        raise wrong("claim_id", "bytes or a str", value)
    if not 1 <= len(value) <= MAX_CLAIM_ID_BYTES:
        raise BadRequest(f"claim_id has 1 to {MAX_CLAIM_ID_BYTES} bytes, not {len(value)}")
    return bytes(value)


def flag(name: str, value: object) -> bool:
    """True or False.

    Raises:
        BadRequest: if it is neither.
    """
    if not isinstance(value, bool):
        raise wrong(name, "True or False", value)
    return value


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """A whole number.

    Raises:
        BadRequest: unless it is one from `least` to `most`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise wrong(name, f"a whole number from {least} to {most}", value)
    return int(value)


def preference(name: str, value: object) -> bool:
    """Whether the client reads from the nearest node.

    Raises:
        BadRequest: unless it is one of `Prefer`.
    """
    if value not in get_args(Prefer):
        raise wrong(name, " or ".join(map(repr, get_args(Prefer))), value)
    return value == "nearest"


def slot(name: str, value: object) -> int:
    """The number of a slot in a series, or of a term, which is a fencing token.

    Raises:
        BadRequest: if it cannot be one.
    """
    return whole_number(name, value, 1, MAX_SLOT)


def function(name: str, value: object) -> None:
    """A callable.

    Raises:
        BadRequest: if it is not callable.
    """
    if not callable(value):
        raise wrong(name, "something to be called", value)


def path(name: str, value: object) -> str:
    """The path of a file or a directory.

    Raises:
        BadRequest: if it is not a path, or holds zero characters.
    """
    if not isinstance(value, str | os.PathLike):
        raise wrong(name, "a path", value)
    where = os.fspath(cast("str | os.PathLike[str]", value))
    if not isinstance(cast(object, where), str) or "\0" in where:
        raise BadRequest(f"{name} is a path of text, without zero characters")
    return where


def key(value: object) -> Key:
    """The name of a key.

    Raises:
        BadRequest: if it is malformed.
    """
    return parse_key(value if type(value) is str else text("key", value))


def keys(values: object) -> list[Key]:
    """The names of any number of keys.

    Raises:
        BadRequest: if `values` is no collection of texts, or a key is malformed.
    """
    if not _is_collection(values):
        raise wrong("keys", "a collection of keys", values)
    return [parse_key(text("each of keys", one)) for one in values]


def prefix(value: object) -> str:
    """Whole segments of a path, or nothing.

    Raises:
        BadRequest: if it is malformed.
    """
    return parse_prefix(text("prefix", value))


def series(value: object) -> str:
    """The name of a series.

    Raises:
        BadRequest: if it is malformed.
    """
    return parse_series(text("series", value))


def lock_name(value: object) -> str:
    """The name of a lock.

    Raises:
        BadRequest: if it is malformed.
    """
    return parse_lock(text("name", value))


def pairs(items: object) -> list[tuple[object, object]]:
    """Pairs of a key and a value; neither is checked yet.

    Raises:
        BadRequest: if `items` is neither a mapping nor a collection of pairs.
    """
    if isinstance(items, Mapping):
        return list(cast("Mapping[object, object]", items).items())
    if not _is_collection(items):
        raise wrong("items", "a mapping, or a collection of pairs", items)
    return [_pair(one) for one in items]


def headers(values: object) -> list[tuple[bytes, bytes]]:
    """The headers of a request, as ASGI gives them.

    Raises:
        BadRequest: unless they are pairs of bytes.
    """
    found: list[tuple[bytes, bytes]] = []
    for one in values if _is_collection(values) else [values]:
        match one:
            case (bytes() as name, bytes() as content):
                found.append((name, content))
            case _:
                raise wrong("headers", "pairs of bytes, as ASGI gives them", one)
    return found


def endpoints(values: Iterable[object]) -> list[str]:
    """The texts in `values`, each of which is a text or a collection of texts.

    Raises:
        BadRequest: if it holds anything else.
    """
    found: list[object] = []
    for one in values:
        found += one if _is_collection(one) else [one]
    return [text("each of endpoints", one) for one in found]


def wrong(name: str, what: str, value: object) -> BadRequest:
    """The error for an argument `name`, which must be `what` and is `value`."""
    return BadRequest(f"{name} is {what}, not {_shown(value)}")


def _is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Whether it is an iterable other than text, which would be split into characters."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray)


def _pair(value: object) -> tuple[object, object]:
    if _is_row(value) and len(value) == 2:
        return value[0], value[1]
    raise wrong("each of items", "a pair of a key and a value", value)


def _is_row(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, tuple | list)


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        # Python refuses to format very long numbers
        return str(value) if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"
    return type(value).__name__


def identity(value: object) -> str:
    """The identity for whom a gateway acts: that of a client or a token.

    Raises:
        BadRequest: unless it is one.
    """
    # only gateways need it
    from ...registry.policy.names import parse_identity

    named = parse_identity(text("identity", value))
    if named.kind in ("node", "anonymous"):
        raise BadRequest(f"identity is that of a client or a token, not {str(named)!a}")
    return str(named)
