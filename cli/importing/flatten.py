"""From nested tables to keys and values.

A table becomes a path segment and its names the segments below it. A scalar becomes text, as written
in the file. A list becomes one value in JSON, so that it is frozen as a whole, its numbers as written.
A null or an empty table is reported and not frozen; so is a list with content that JSON would change.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from ...registry.errors import BadRequest
from ...registry.types import MAX_KEY_BYTES
from .items import JSON_TYPE, Item, key_below
from .verbatim import Table, Verbatim, Wrong, is_list, is_table, scalar_text

MOST_ITEMS = 1_000_000
LARGEST_LIST = 64 * 1024 * 1024


def flatten(prefix: str, tables: Any) -> list[Item]:
    """The items of nested tables; two of them may have the same key.

    Raises:
        BadRequest: if the outermost value is not a table, or there are too many items.
    """
    if isinstance(tables, Wrong):
        raise BadRequest(tables.why)
    if not is_table(tables):
        raise BadRequest("the outermost value is no table: there is nothing to name keys by")
    items: list[Item] = []
    for item in _walk(prefix, None, tables):
        items.append(item)
        if len(items) > MOST_ITEMS:
            raise BadRequest(f"it has more than {MOST_ITEMS} entries")
    return items


def whole(key: str, value: Any) -> Item:
    """A whole file as one value in JSON.

    Raises:
        BadRequest: if JSON would change it.
    """
    if value is None:
        raise BadRequest(_why_not(value))
    return Item(key, list_json(value), content_type=JSON_TYPE)


def _walk(prefix: str, path: str | None, tables: Table) -> Iterator[Item]:
    """The items below the table at `path`; None is the outermost."""
    for name, value in tables.items():
        below = _shown(name) if path is None else f"{path}/{_shown(name)}"
        if not isinstance(name, str | Verbatim):
            yield _unnamed(prefix, below, _why_no_name(name))
        elif len(below) > MAX_KEY_BYTES:
            yield _unnamed(prefix, below, f"its path is longer than {MAX_KEY_BYTES} bytes")
        elif is_table(value) and value:
            yield from _walk(prefix, below, value)
        else:
            yield _item(prefix, below, value)


def _item(prefix: str, name: str, value: Any) -> Item:
    item = Item(key_below(prefix, name), name=name)
    try:
        text = scalar_text(value)
        if text is not None:
            return replace(item, value=text)
        if isinstance(value, bytes):
            return replace(item, value=value)
        if is_list(value):
            return replace(item, value=list_json(value), content_type=JSON_TYPE)
    except BadRequest as error:
        return replace(item, error=error)
    return item.failing(_why_not(value))


def _unnamed(prefix: str, name: str, why: str) -> Item:
    return replace(Item(key_below(prefix, name), name=name).failing(why), bad_name=True)


def list_json(value: Any) -> str:
    """A list, or any other value of a file, as compact JSON with sorted names.

    Raises:
        BadRequest: if JSON cannot hold it, or it gets larger than a value may be.
    """
    parts: list[str] = []
    size = 0
    try:
        for part in _json(value):
            parts.append(part)
            size += len(part)
            if size > LARGEST_LIST:
                raise BadRequest(f"it is more than {LARGEST_LIST} characters of JSON")
    except (UnicodeError, RecursionError) as error:
        raise BadRequest(f"it cannot be written as JSON: {error}") from error
    return "".join(parts)


def _json(value: object) -> Iterator[str]:
    """Compact JSON in pieces; scalars of the file are unchanged."""
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
    if isinstance(value, Wrong):
        raise BadRequest(value.why)
    if not isinstance(value, Verbatim):
        raise BadRequest(f"a list with {_kind(value)} cannot be frozen; write it as text")
    if value.json is None:
        raise BadRequest(f"{value.text} in a list is nothing that JSON knows; write it as text")
    return value.json


def _name(name: object) -> str:
    if not isinstance(name, str | Verbatim):
        raise BadRequest(_why_no_name(name))
    return str(name)


def _shown(name: object) -> str:
    return str(name) if isinstance(name, str | Verbatim) else "?"


def _why_no_name(name: object) -> str:
    if isinstance(name, Wrong):
        return name.why
    return f"{_kind(name)} cannot name anything; write the name as text"


def _why_not(value: object) -> str:
    if isinstance(value, Wrong):
        return value.why
    if value is None:
        return 'it has no value (null); leave it out, or write "" for an empty one'
    if is_table(value):
        return "it is an empty table, of which nothing would be frozen; leave it out"
    return f"{_kind(value)} cannot be frozen; write it as text"


def _kind(value: object) -> str:
    return "bytes" if isinstance(value, bytes) else f"a {type(value).__name__}"
