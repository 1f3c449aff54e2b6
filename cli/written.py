"""Settings files as nested tables whose numbers, dates and booleans keep the text of the file.

What is frozen is frozen for ever, so ``1.10`` must not become ``1.1`` on the way, nor ``0644`` a
number. A `Written` scalar has both: the text as it stands in the file, and what it means, which is
needed where it is part of a list. Names that are there twice are refused.
"""

import json
import tomllib
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from io import StringIO
from typing import Any

import yaml
from dotenv.parser import parse_stream

from ..registry.errors import BadRequest


@dataclass(frozen=True)
class Written:
    """A scalar that is not a string: its text in the file, and its meaning."""

    text: str
    meaning: Hashable

    def __str__(self) -> str:
        return self.text


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document."""
    try:
        return tomllib.loads(text, parse_float=lambda number: Written(number, float(number)))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRequest(f"not TOML: {error}") from error


def read_json(text: str) -> Any:
    """The value of a JSON document."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_once_each,
            parse_float=lambda number: Written(number, float(number)),
            parse_int=lambda number: Written(number, int(number)),
            parse_constant=_no_number,
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadRequest(f"not JSON: {error}") from error


def read_yaml(text: str) -> Any:
    """The value of a YAML document."""
    try:
        # a loader of ours over SafeLoader: nothing but plain data can come out of it
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadRequest(f"not YAML: {' '.join(str(error).split())}") from error


def read_env(text: str) -> dict[str, Any]:
    """The variables of an env file; ``$NAME`` in them stays as it is."""
    pairs: list[tuple[str, Any]] = []
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            line = binding.original.string.strip()
            raise BadRequest(f"line {binding.original.line}: no NAME=VALUE: {line!r}")
        if binding.key is not None:
            pairs.append((binding.key, binding.value))
    return _once_each(pairs)


FORMATS: Mapping[str, Callable[[str], Any]] = {
    "toml": read_toml,
    "json": read_json,
    "yaml": read_yaml,
    "env": read_env,
}


def scalar_text(value: object) -> str | None:
    """The text of a scalar, or None if `value` is no scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return str(value) if isinstance(value, str | int | Written) else None


def meaning(value: object) -> object:
    """What JSON makes of a scalar that it does not know."""
    return value.meaning if isinstance(value, Written) else scalar_text(value)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(f"{name!r} is there twice")
        found[name] = value
    return found


def _no_number(text: str) -> Any:
    raise BadRequest(f"not JSON: {text} is no number")


class _Loader(yaml.SafeLoader):
    """Plain data, with scalars as they are written and names there once."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Look for names that are there twice before merges (``<<``) are put in."""
        names: set[str] = set()
        for name in _names(node):
            if name in names:
                raise yaml.MarkedYAMLError(problem=f"{name!r} twice", problem_mark=node.start_mark)
            names.add(name)
        super().flatten_mapping(node)


def _names(node: yaml.MappingNode) -> Iterator[str]:
    for name, _ in node.value:
        if isinstance(name, yaml.ScalarNode) and name.tag != "tag:yaml.org,2002:merge":
            yield name.value


def _as_written(kind: str) -> Callable[[Any, Any], Written]:
    """A constructor that keeps a scalar's text beside what YAML makes of it."""

    def construct(loader: Any, node: Any) -> Written:
        found = getattr(loader, f"construct_yaml_{kind}")(node)
        return Written(node.value, found.isoformat() if isinstance(found, date) else found)

    return construct


for _kind in ("int", "float", "bool", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_written(_kind))
