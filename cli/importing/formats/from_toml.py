"""TOML 1.1, parsed twice: tomli is strict and locates mistakes, tomlkit keeps the text of scalars.

Their results must agree, so that no mistake of one parser is ever frozen.
"""

from datetime import date, time
from typing import Any

import tomli
import tomlkit

from ....registry.errors import BadRequest
from ...config.toml_faults import toml_fault
from ..verbatim import Verbatim, is_list, is_table


def read(text: str) -> list[Any]:
    """The tables of a TOML document, as its only document."""
    try:
        strict = tomli.loads(text)
        document: Any = tomlkit.parse(text)
        tables = _as_written(document)
    except (ValueError, RecursionError) as error:
        line, fault = toml_fault(error, text)
        raise BadRequest(f"{f'line {line}: ' if line else ''}not TOML 1.1: {fault}") from error
    if not _alike(tables, strict):
        raise BadRequest("two readers of TOML differ on what it means: write it more plainly")
    return [tables]


def _as_written(value: Any) -> Any:
    if is_table(value):
        return {str(name): _as_written(part) for name, part in value.items()}
    if is_list(value):
        return [_as_written(part) for part in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return Verbatim.of("true" if value else "false")
    source: str = value.as_string()
    return Verbatim.of_time(source) if isinstance(value, date | time) else Verbatim.of(source)


def _alike(found: object, strict: object) -> bool:
    """Whether both have the same names, lists and strings; of other scalars the text counts."""
    if is_table(found):
        return (
            is_table(strict)
            and found.keys() == strict.keys()
            and all(_alike(part, strict[name]) for name, part in found.items())
        )
    if is_list(found):
        return (
            is_list(strict)
            and len(found) == len(strict)
            and all(_alike(*pair) for pair in zip(found, strict, strict=True))
        )
    return found == strict if isinstance(found, str) else not isinstance(strict, str | list | dict)
