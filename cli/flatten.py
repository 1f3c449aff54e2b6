"""From nested tables to keys and values.

A table becomes a path segment and its names the segments below it; a scalar becomes text, as it is
written in the file; a list becomes one value in JSON, so that it is frozen whole. A null says
nothing and is reported, not frozen.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ..registry.errors import BadRequest
from ..registry.types import MAX_KEY_BYTES
from .sources import JSON_TYPE, Item
from .written import meaning, scalar_text

Table = Mapping[Any, Any]
MOST_ITEMS = 1_000_000
LARGEST_LIST = 64 * 1024 * 1024

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), default=meaning
)


def flatten(prefix: str, tables: Any) -> list[Item]:
    """The items of nested tables, in order of key.

    Raises:
        BadRequest: if the outermost value is no table, a key is there twice, or it is too much.
    """
    if not _is_table(tables):
        raise BadRequest("the outermost value is no table: there is nothing to name keys by")
    items: dict[str, Item] = {}
    for item in _walk(prefix, tables):
        if item.key in items:
            raise BadRequest(f"two of its entries make the key {item.key!r}")
        items[item.key] = item
        if len(items) > MOST_ITEMS:
            raise BadRequest(f"it has more than {MOST_ITEMS} entries")
    return [items[key] for key in sorted(items)]


def _walk(prefix: str, tables: Table) -> Iterator[Item]:
    for name, value in tables.items():
        key = f"{prefix}/{name}" if prefix else str(name)
        if _is_table(value) and len(key) <= MAX_KEY_BYTES:
            yield from _walk(key, value)
        else:
            yield _item(key, value)


def _item(key: str, value: Any) -> Item:
    try:
        text = scalar_text(value)
        if text is not None:
            return Item(key, text)
        if _is_list(value):
            return Item(key, list_json(value), content_type=JSON_TYPE)
        raise BadRequest(_why_not(value))
    except BadRequest as error:
        return Item(key, error=error)


def list_json(value: list[Any]) -> str:
    """A list as compact JSON with sorted names.

    Raises:
        BadRequest: if JSON cannot hold it, or it grows beyond any value.
    """
    parts: list[str] = []
    size = 0
    try:
        for part in _ENCODER.iterencode(value):
            parts.append(part)
            size += len(part)
            if size > LARGEST_LIST:
                raise BadRequest(f"the list is more than {LARGEST_LIST} characters of JSON")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"the list cannot be written as JSON: {error}") from error
    return "".join(parts)


def _why_not(value: object) -> str:
    if value is None:
        return 'it has no value (null); leave it out, or write "" for an empty one'
    if _is_table(value):
        return f"its path is longer than {MAX_KEY_BYTES} bytes"
    return f"a {type(value).__name__} cannot be frozen; write it as text"


def _is_table(value: object) -> TypeGuard[Table]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
