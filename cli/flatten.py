"""From nested tables to keys and values.

A table becomes a path segment and its names the segments below it; a scalar becomes text, as it is
written in the file; a list becomes one value in JSON, so that it is frozen whole, its numbers as
they are written. A null or an empty table says nothing and is reported, not frozen; so is a list
with something that JSON would write in another way.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from ..registry.errors import BadRequest
from ..registry.types import MAX_KEY_BYTES
from .sources import JSON_TYPE, Item, in_order
from .written import Table, Written, is_list, is_table, scalar_text

MOST_ITEMS = 1_000_000
LARGEST_LIST = 64 * 1024 * 1024


def flatten(prefix: str, tables: Any) -> list[Item]:
    """The items of nested tables, in order of key.

    Raises:
        BadRequest: if the outermost value is no table, a key is there twice, or it is too much.
    """
    if not is_table(tables):
        raise BadRequest("the outermost value is no table: there is nothing to name keys by")
    items: dict[str, Item] = {}
    for item in _walk(prefix, tables):
        if item.key in items:
            raise BadRequest(f"two of its entries make the key {item.key!r}")
        items[item.key] = item
        if len(items) > MOST_ITEMS:
            raise BadRequest(f"it has more than {MOST_ITEMS} entries")
    return in_order(items.values())


def _walk(prefix: str, tables: Table) -> Iterator[Item]:
    for name, value in tables.items():
        key = f"{prefix}/{name}" if prefix else str(name)
        if not isinstance(name, str | Written):
            yield Item(key, error=BadRequest(_why_no_name(name)))
        elif is_table(value) and value and len(key) <= MAX_KEY_BYTES:
            yield from _walk(key, value)
        else:
            yield _item(key, value)


def _item(key: str, value: Any) -> Item:
    try:
        text = scalar_text(value)
        if text is not None:
            return Item(key, text)
        if is_list(value):
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
        for part in _json(value):
            parts.append(part)
            size += len(part)
            if size > LARGEST_LIST:
                raise BadRequest(f"the list is more than {LARGEST_LIST} characters of JSON")
    except (UnicodeError, RecursionError) as error:
        raise BadRequest(f"the list cannot be written as JSON: {error}") from error
    return "".join(parts)


def _json(value: object) -> Iterator[str]:
    """Compact JSON in pieces; scalars of the file as they are written there."""
    if is_table(value):
        for mark, name in _with_commas("{", sorted(value, key=_name)):
            yield mark + json.dumps(_name(name), ensure_ascii=False) + ":"
            yield from _json(value[name])
        yield "}" if value else "{}"
    elif is_list(value):
        for mark, part in _with_commas("[", value):
            yield mark
            yield from _json(part)
        yield "]" if value else "[]"
    else:
        yield _json_scalar(value)


def _with_commas(opening: str, parts: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return zip(chain([opening], repeat(",")), parts, strict=False)


def _json_scalar(value: object) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, Written):
        raise BadRequest(f"a list with a {type(value).__name__} cannot be frozen; write it as text")
    if value.json is None:
        raise BadRequest(f"{value.text} in a list is nothing that JSON knows; write it as text")
    return value.json


def _name(name: object) -> str:
    if not isinstance(name, str | Written):
        raise BadRequest(_why_no_name(name))
    return str(name)


def _why_no_name(name: object) -> str:
    return f"a {type(name).__name__} cannot name anything; write the name as text"


def _why_not(value: object) -> str:
    if value is None:
        return 'it has no value (null); leave it out, or write "" for an empty one'
    if is_table(value) and not value:
        return "it is an empty table, of which nothing would be frozen; leave it out"
    if is_table(value):
        return f"its path is longer than {MAX_KEY_BYTES} bytes"
    return f"a {type(value).__name__} cannot be frozen; write it as text"
