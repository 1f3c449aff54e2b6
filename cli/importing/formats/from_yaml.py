"""YAML 1.2 with its core schema, and merge keys (``<<``); see docs/import.md for each rule.

A file is parsed twice: ruamel.yaml keeps the text and the lines, yaml12 follows the specification
exactly. Their results must agree, so that no mistake of one parser is ever frozen.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import yaml12
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ....registry.errors import BadRequest
from ..verbatim import Verbatim, Wrong
from . import yaml_agreement, yaml_nodes
from .yaml_nodes import (
    BINARY,
    BOOL,
    FLOAT,
    INT,
    MAP,
    MERGE,
    NULL,
    SEQ,
    STR,
    TIMESTAMP,
    Entries,
    Items,
    Scalar,
    YamlNode,
)


def read(text: str) -> list[Any]:
    """The values of the documents of a YAML stream; a document with nothing in it counts for none."""
    if not text.endswith("\n"):
        text += "\n"  # the parsers differ on a block scalar whose last line has no newline
    try:
        nodes = yaml_nodes.compose(text)
        # only after the bound on aliases was checked, since this parser expands them
        strict = yaml12.parse_yaml(text, multi=True)
    except (YAMLError, ValueError, RecursionError) as error:
        raise BadRequest(f"not YAML 1.2: {_reason(error)}") from error
    yaml_agreement.check(nodes, strict)
    return [_value(node) for node in nodes if not _is_nothing(node)]


def _reason(error: Any) -> str:
    """A parser's message, with the place if it has one."""
    if not isinstance(error, MarkedYAMLError):
        return " ".join(str(error).split())
    said: Any = error
    mark = said.problem_mark
    return (
        f"{said.problem} in line {mark.line + 1}, column {mark.column + 1}"
        if mark
        else said.problem
    )


def _is_nothing(node: YamlNode) -> bool:
    return isinstance(node, Scalar) and node.tag == NULL and not node.text


def _value(node: YamlNode) -> Any:
    match node:
        case Entries(tag=tag) if tag == MAP:
            return dict(_entries(node))
        case Items(tag=tag) if tag == SEQ:
            return [_value(part) for part in node.parts]
        case Scalar(tag=tag) if tag in SCALARS:
            return SCALARS[tag](node)
        case _:
            return _wrong(node, f"the tag {_shown(node.tag)} means nothing here")


def _entries(node: Entries) -> Iterator[tuple[Any, Any]]:
    """The names and values of a table: first what is merged into it, then its own, which count."""
    for name, value in node.pairs:
        if name.tag == MERGE:
            yield from _merged(value)
    for name, value in node.pairs:
        if name.tag != MERGE:
            yield _name(name), _value(value)


def _merged(node: YamlNode) -> Iterator[tuple[Any, Any]]:
    """The entries of a merge key; of several tables the earlier one counts, so it comes later."""
    for table in reversed(node.parts) if isinstance(node, Items) else [node]:
        if not isinstance(table, Entries):
            raise BadRequest(f"line {node.line}: << takes a table, or a list of tables")
        yield from _entries(table)


def _name(node: YamlNode) -> Any:
    """The name of an entry: text, or another scalar as it is written."""
    name = _value(node) if isinstance(node, Scalar) else None
    if isinstance(name, str | Verbatim | Wrong):
        return name
    return _wrong(node, f"a {_shown(node.tag)} cannot name anything; write the name as text")


def _binary(node: Scalar) -> bytes | Wrong:
    try:
        return base64.b64decode("".join(node.text.split()), validate=True)
    except (binascii.Error, ValueError):
        return _wrong(node, "what follows !!binary is not base64")


def _number(node: Scalar) -> Verbatim | Wrong:
    """A number with its text; one in quotes that a tag calls a number may be none."""
    if yaml_nodes.fits(node.text, node.tag):
        return Verbatim.of(node.text)
    return _wrong(node, f"{node.text!r} is no {_shown(node.tag)}")


SCALARS: dict[str, Callable[[Scalar], Any]] = {
    STR: lambda node: node.text,
    MERGE: lambda node: node.text,  # as a value it is plain text
    NULL: lambda node: None,
    BOOL: lambda node: Verbatim.of(node.text),
    INT: _number,
    FLOAT: _number,
    TIMESTAMP: lambda node: Verbatim.of_time(node.text),
    BINARY: _binary,
}


def _wrong(node: YamlNode, why: str) -> Wrong:
    return Wrong(f"line {node.line}: {why}")


def _shown(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
