"""The nodes of a YAML stream, composed by ruamel.yaml and tagged by the core schema of YAML 1.2.

Bounded before anything is made of them: how deep they nest, and how much their aliases stand for.
"""

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

EXPANDED_FACTOR = 4
EXPANDED_EXTRA = 1_000_000
"""The aliases of a file may make so many times its own length, and so many characters more."""
DEEPEST = 100
"""How many tables and lists may lie in one another."""

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


class _CoreSchema(VersionedResolver):
    """Tags a plain scalar by the core schema, where a lone ``<<`` is a merge key."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag of a node that has none of its own."""
        if kind is not ScalarNode:
            return Tag(suffix=SEQ if kind is SequenceNode else MAP)
        return Tag(suffix=_plain_tag(value) if implicit[0] else STR)


def compose(text: str) -> list[Node]:
    """The outermost node of each document.

    Raises:
        YAMLError: if it is not YAML, a name is there twice, or it is too deep or too much.
    """
    other = _VERSION.search(text)
    if other:
        raise MarkedYAMLError(problem=f"it says that it is YAML {other[1]}, and is read as YAML 1.2")
    reader: Any = YAML(typ="safe", pure=True)
    reader.Resolver = _CoreSchema
    reader.max_depth = DEEPEST
    reader.composer.warn_double_anchors = False  # an anchor may be set anew
    try:
        nodes = list(reader.compose_all(text))
    except AssertionError as error:  # how it refuses a version that it does not know
        raise MarkedYAMLError(problem=str(error)) from error
    _check_size(text, nodes)
    return nodes


def fits(value: str, tag: str) -> bool:
    """Whether a scalar of the core schema is written as its tag says."""
    return CORE_SCHEMA[tag].fullmatch(value) is not None


def tag_of(node: Node) -> str:
    """The whole tag of a node."""
    return str(node.tag)


def line_of(node: Node) -> int:
    """The line that a node begins in."""
    return int(node.start_mark.line) + 1


def _plain_tag(value: str) -> str:
    if value == "<<":
        return MERGE
    return next((tag for tag, shape in CORE_SCHEMA.items() if shape.fullmatch(value)), STR)


def _check_size(text: str, nodes: list[Node]) -> None:
    """Look how much the aliases make of a stream, and for names that are there twice."""
    sizes: dict[Node, int] = {}
    size = sum(_expanded(node, sizes) for node in nodes)
    if size > EXPANDED_FACTOR * len(text) + EXPANDED_EXTRA:
        raise MarkedYAMLError(problem=f"its aliases make {size} characters of it")


def _expanded(node: Node, sizes: dict[Node, int]) -> int:
    """How many characters `node` has when each alias is replaced; each node is looked at once."""
    if node not in sizes:
        sizes[node] = -1
        _check_names(node)
        sizes[node] = 1 + sum(_expanded(part, sizes) for part in _parts(node)) + _length(node)
    if sizes[node] < 0:
        raise MarkedYAMLError(problem="an alias inside itself", problem_mark=node.start_mark)
    return sizes[node]


def _check_names(node: Node) -> None:
    names: set[str] = set()
    for name in _names(node):
        if name.value in names:
            raise MarkedYAMLError(problem=f"{name.value!r} twice", problem_mark=name.start_mark)
        names.add(name.value)


def _names(node: Node) -> Iterator[ScalarNode]:
    """The names in a table; several merge keys are as good as one."""
    for name, _ in node.value if isinstance(node, MappingNode) else ():
        if isinstance(name, ScalarNode) and tag_of(name) != MERGE:
            yield name


def _parts(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _length(node: Node) -> int:
    return len(node.value) if isinstance(node, ScalarNode) else 0
