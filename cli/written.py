"""Settings files as nested tables whose numbers, dates and booleans keep the text of the file.

What is frozen is frozen for ever, so ``1.10`` must not become ``1.1`` on the way, nor ``0xff`` or
``0644`` another number. Of a string its content counts; anything else is a `Written` scalar: the
text as it stands in the file, and how JSON writes it, which is needed where it is part of a list.
Names that are there twice are refused, and so is a file whose aliases would make far more of it
than it has.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from io import StringIO
from typing import Any, TypeGuard, cast

import tomlkit
import yaml
from dotenv.parser import parse_stream

from ..registry.errors import BadRequest

EXPANDED_FACTOR = 4
EXPANDED_EXTRA = 1_000_000
"""A YAML file may make so many times its own length, and so many characters more."""

Table = Mapping[Any, Any]
_JSON_SCALAR = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false", re.ASCII)


@dataclass(frozen=True)
class Written:
    """A scalar that is not a string.

    Args:
        text: how it stands in the file.
        json: the same in JSON; None if JSON cannot say it in the same way.
    """

    text: str
    json: str | None

    @classmethod
    def of(cls, text: str) -> "Written":
        """A number or a truth value; ``0xff``, ``1_000`` and ``yes`` are none in JSON."""
        return cls(text, text if _JSON_SCALAR.fullmatch(text) else None)

    @classmethod
    def of_time(cls, text: str) -> "Written":
        """A date or a time, which JSON writes as a string."""
        return cls(text, json.dumps(text, ensure_ascii=False))

    def __str__(self) -> str:
        return self.text


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document."""
    try:
        tomllib.loads(text)  # which is stricter, and says where a mistake is
        document: Any = tomlkit.parse(text)
        return {str(name): _of_toml(value) for name, value in document.items()}
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"not TOML: {error}") from error


def _of_toml(value: Any) -> Any:
    if is_table(value):
        return {str(name): _of_toml(part) for name, part in value.items()}
    if is_list(value):
        return [_of_toml(part) for part in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return Written.of("true" if value else "false")
    source: str = value.as_string()
    return Written.of_time(source) if isinstance(value, date | time) else Written.of(source)


def read_json(text: str) -> Any:
    """The value of a JSON document."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_once_each,
            parse_float=Written.of,
            parse_int=Written.of,
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
    if isinstance(value, bool):  # of JSON
        return "true" if value else "false"
    return str(value) if isinstance(value, str | Written) else None


def is_table(value: object) -> TypeGuard[Table]:
    """Whether `value` has names and something below them."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether `value` is a list."""
    return isinstance(value, list)


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

    def construct_document(self, node: yaml.Node) -> Any:
        """Look first how much the aliases would make of the document."""
        size = _expanded(node, {})
        if size > EXPANDED_FACTOR * node.end_mark.index + EXPANDED_EXTRA:
            raise yaml.MarkedYAMLError(problem=f"its aliases make {size} characters of it")
        return cast(Any, super()).construct_document(node)

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


def _expanded(node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """How many characters `node` has when each alias is replaced; each node is looked at once."""
    if node not in sizes:
        sizes[node] = -1
        sizes[node] = 1 + sum(_expanded(part, sizes) for part in _parts(node)) + _length(node)
    if sizes[node] < 0:
        raise yaml.MarkedYAMLError(problem="an alias inside itself", problem_mark=node.start_mark)
    return sizes[node]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _length(node: yaml.Node) -> int:
    return len(node.value) if isinstance(node, yaml.ScalarNode) else 0


def _as_written(make: Callable[[str], Written]) -> Callable[[Any, Any], Written]:
    """A constructor that keeps a scalar's text, whatever YAML would make of it."""
    return lambda loader, node: make(loader.construct_scalar(node))


for _kind in ("int", "float", "bool"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_written(Written.of))
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_written(Written.of_time))
