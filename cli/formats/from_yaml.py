"""YAML 1.2 with its core schema, and merge keys (``<<``); see docs/import.md for each rule.

A file is read twice: ruamel.yaml keeps what is written and says where, yaml12 reads by the letter of
the specification. What they find must be alike, so that no mistake of one of them is ever frozen.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import yaml12
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ...registry.errors import BadRequest
from ..written import Written, Wrong
from . import yaml_agreement, yaml_nodes
from .yaml_nodes import BINARY, BOOL, FLOAT, INT, MAP, MERGE, NULL, SEQ, STR, TIMESTAMP


def read(text: str) -> list[Any]:
    """The values of the documents of a YAML stream; a document with nothing in it counts for none."""
    if not text.endswith("\n"):
        text += "\n"  # readers differ on a block scalar whose last line has no end
    try:
        nodes = yaml_nodes.compose(text)
        # only behind the bound on aliases, which this reader replaces by what they stand for
        strict = yaml12.parse_yaml(text, multi=True)
    except (YAMLError, ValueError, RecursionError) as error:
        raise BadRequest(f"not YAML 1.2: {_reason(error)}") from error
    yaml_agreement.check(nodes, strict)
    return [_value(node) for node in nodes if not _is_nothing(node)]


def _reason(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
    return str(getattr(error, "problem", None) or error)


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and _tag(node) == NULL and not node.value


def _value(node: Node) -> Any:
    tag = _tag(node)
    if isinstance(node, MappingNode) and tag == MAP:
        return dict(_entries(node))
    if isinstance(node, SequenceNode) and tag == SEQ:
        return [_value(part) for part in node.value]
    if isinstance(node, ScalarNode) and tag in SCALARS:
        return SCALARS[tag](node)
    return Wrong(f"line {_line(node)}: the tag {_shown(tag)} means nothing here")


def _entries(node: MappingNode) -> Iterator[tuple[Any, Any]]:
    """The names and values of a table: first what is merged into it, then its own, which count."""
    for name, value in node.value:
        if _tag(name) == MERGE:
            yield from _merged(value)
    for name, value in node.value:
        if _tag(name) != MERGE:
            yield _name(name), _value(value)


def _merged(node: Node) -> Iterator[tuple[Any, Any]]:
    """What a merge key puts in; of several tables the earlier counts, so it comes later."""
    tables = reversed(node.value) if isinstance(node, SequenceNode) else [node]
    for table in tables:
        if not isinstance(table, MappingNode):
            raise BadRequest(f"line {_line(node)}: << takes a table, or a list of tables")
        yield from _entries(table)


def _name(node: Node) -> Any:
    """The name of an entry: text, or another scalar as it is written."""
    if isinstance(node, ScalarNode):
        name = _value(node)
        if isinstance(name, str | Written | Wrong):
            return name
    kind = _shown(_tag(node))
    return Wrong(f"line {_line(node)}: a {kind} cannot name anything; write the name as text")


def _binary(node: ScalarNode) -> bytes | Wrong:
    try:
        return base64.b64decode("".join(node.value.split()), validate=True)
    except (binascii.Error, ValueError):
        return Wrong(f"line {_line(node)}: what follows !!binary is not base64")


def _scalar(make: Callable[[str], Any], tag: str) -> Callable[[ScalarNode], Any]:
    """Keeps the text of a scalar that its tag fits."""

    def keep(node: ScalarNode) -> Any:
        if yaml_nodes.fits(node.value, tag):
            return make(node.value)
        return Wrong(f"line {_line(node)}: {node.value!r} is no {_shown(tag)}")

    return keep


SCALARS: dict[str, Callable[[ScalarNode], Any]] = {
    STR: lambda node: node.value,
    MERGE: lambda node: node.value,  # as a value it is plain text
    NULL: _scalar(lambda _: None, NULL),
    BOOL: _scalar(Written.of, BOOL),
    INT: _scalar(Written.of, INT),
    FLOAT: _scalar(Written.of, FLOAT),
    TIMESTAMP: lambda node: Written.of_time(node.value),
    BINARY: _binary,
}


def _tag(node: Node) -> str:
    return yaml_nodes.tag_of(node)


def _line(node: Node) -> int:
    return yaml_nodes.line_of(node)


def _shown(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
