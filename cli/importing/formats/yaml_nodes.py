"""The nodes of a YAML stream, composed by ruamel.yaml and tagged by the core schema of YAML 1.2.

Their depth and the size of their expanded aliases are bounded before they are used. An alias is the
same node as its anchor.
"""

import re
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

EXPANDED_FACTOR = 4
EXPANDED_EXTRA = 1_000_000
"""The bound on the size with aliases expanded: a factor of the file's length, and extra characters."""
DEEPEST = 100
"""How deep tables and lists may be nested."""

_PREFIX = "tag:yaml.org,2002:"
STR, MAP, SEQ = f"{_PREFIX}str", f"{_PREFIX}map", f"{_PREFIX}seq"
NULL, BOOL, INT, FLOAT = (f"{_PREFIX}{kind}" for kind in ("null", "bool", "int", "float"))
MERGE, BINARY, TIMESTAMP = (f"{_PREFIX}{kind}" for kind in ("merge", "binary", "timestamp"))

# section 10.3.2 of the specification, "Tag Resolution"
CORE_SCHEMA = {
    NULL: re.compile(r"null|Null|NULL|~|"),
    BOOL: re.compile(r"true|True|TRUE|false|False|FALSE"),
    INT: re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    FLOAT: re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
    ),
}
_VERSION = re.compile(r"^%YAML[ \t]+(?!1\.2(?:[ \t\n]|$))(\S*)", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class YamlNode:
    """A node.

    Args:
        tag: its whole tag.
        line: where it begins, from 1.
        size: its characters, when each alias is replaced by what it stands for.
        depth: how many tables and lists lie in one another in it, itself one of them.
    """

    tag: str
    line: int
    size: int
    depth: int


@dataclass(frozen=True, eq=False)
class Scalar(YamlNode):
    """A scalar, with its content as text."""

    text: str


@dataclass(frozen=True, eq=False)
class Items(YamlNode):
    """A list, with its parts."""

    parts: tuple[YamlNode, ...]


@dataclass(frozen=True, eq=False)
class Entries(YamlNode):
    """A table, with its names and values as they come."""

    pairs: tuple[tuple[YamlNode, YamlNode], ...]


class _CoreSchema(VersionedResolver):
    """Tags a plain scalar by the core schema, where a lone ``<<`` is a merge key."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag of a node that has none of its own."""
        if kind is not ScalarNode:
            return Tag(suffix=SEQ if kind is SequenceNode else MAP)
        return Tag(suffix=_plain_tag(value) if implicit[0] else STR)


def compose(text: str) -> list[YamlNode]:
    """The outermost node of each document.

    Raises:
        YAMLError: if it is not YAML, a name is there twice, or it is too deep or too much.
    """
    other = _VERSION.search(text)
    if other:
        raise MarkedYAMLError(
            problem=f"it says that it is YAML {other[1]}, and is read as YAML 1.2"
        )
    reader: Any = YAML(typ="safe", pure=True)
    reader.Resolver = _CoreSchema
    reader.max_depth = DEEPEST
    reader.composer.warn_double_anchors = False  # an anchor may be set again
    try:
        found = list(reader.compose_all(text))
    except AssertionError as error:  # how it refuses a version that it does not know
        raise MarkedYAMLError(problem=str(error)) from error
    made: dict[int, YamlNode | None] = {}
    nodes = [_node(each, made) for each in found]
    _check_bounds(text, nodes)
    return nodes


def fits(text: str, tag: str) -> bool:
    """Whether a scalar of the core schema is written as its tag says."""
    return CORE_SCHEMA[tag].fullmatch(text) is not None


def _plain_tag(text: str) -> str:
    if text == "<<":
        return MERGE
    return next((tag for tag, shape in CORE_SCHEMA.items() if shape.fullmatch(text)), STR)


def _check_bounds(text: str, nodes: list[YamlNode]) -> None:
    size = sum(node.size for node in nodes)
    if size > EXPANDED_FACTOR * len(text) + EXPANDED_EXTRA:
        raise MarkedYAMLError(problem=f"its aliases make {size} characters of it")
    if any(node.depth > DEEPEST for node in nodes):
        raise MarkedYAMLError(problem=f"its aliases make it nest more than {DEEPEST} deep")


def _node(found: Any, made: dict[int, YamlNode | None]) -> YamlNode:
    """A node of the library as one of ours; each is made once, None while it is being made."""
    place = id(found)
    if place not in made:
        made[place] = None
        made[place] = _made(found, made)
    node = made[place]
    if node is None:
        raise MarkedYAMLError(problem="an alias inside itself", problem_mark=found.start_mark)
    return node


def _made(found: Any, made: dict[int, YamlNode | None]) -> YamlNode:
    tag, line = str(found.tag), int(found.start_mark.line) + 1
    if found.id == "scalar":
        text = str(found.value)
        return Scalar(tag, line, 1 + len(text), 0, text)
    if found.id == "sequence":
        parts = tuple(_node(part, made) for part in found.value)
        return Items(tag, line, *_measure(parts), parts)
    _check_names(found)
    pairs = tuple((_node(name, made), _node(value, made)) for name, value in found.value)
    return Entries(tag, line, *_measure(tuple(part for pair in pairs for part in pair)), pairs)


def _measure(parts: tuple[YamlNode, ...]) -> tuple[int, int]:
    """The size and the depth of what consists of `parts`."""
    size = 1 + sum(part.size for part in parts)
    return size, 1 + max((part.depth for part in parts), default=0)


def _check_names(table: Any) -> None:
    """Look for names that are there twice; several merge keys are as good as one."""
    names: set[str] = set()
    for name, _ in table.value:
        if name.id == "scalar" and str(name.tag) != MERGE:
            text = str(name.value)
            if text in names:
                raise MarkedYAMLError(problem=f"{text!r} twice", problem_mark=name.start_mark)
            names.add(text)
