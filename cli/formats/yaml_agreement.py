"""Whether two readers of YAML found the same: nodes with their text, and values by the strict one.

Of ruamel.yaml it is known from the suite of the specification that it reads some texts wrongly and
takes others that are no YAML; yaml12 passes the suite, and keeps no text. So both must agree.
"""

from collections.abc import Sequence
from typing import Any

import yaml12
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ...registry.errors import BadRequest
from .yaml_nodes import BOOL, FLOAT, INT, NULL, STR, line_of, tag_of


def check(nodes: Sequence[Node], strict: Sequence[Any]) -> None:
    """Compare all documents of a stream.

    Raises:
        BadRequest: naming the line of what the readers differ on.
    """
    if len(nodes) != len(strict):
        raise BadRequest("not YAML 1.2: two readers differ on where its documents end")
    for node, value in zip(nodes, strict, strict=True):
        _check(node, value)


def _check(node: Node, value: Any) -> None:
    if isinstance(value, yaml12.Yaml):  # of a tag of its own, or a name that is a table or a list
        if value.tag == "!" and isinstance(node, ScalarNode) and tag_of(node) != STR:
            raise _difference(node)
        value = value.value
    if isinstance(node, MappingNode) and isinstance(value, dict):
        _check_parts(node, [part for pair in node.value for part in pair], _flat(value))
    elif isinstance(node, SequenceNode) and isinstance(value, list):
        _check_parts(node, node.value, value)
    elif not (isinstance(node, ScalarNode) and _same_scalar(node, value)):
        raise _difference(node)


def _check_parts(node: Node, parts: Sequence[Node], values: Sequence[Any]) -> None:
    if len(parts) != len(values):
        raise _difference(node)
    for part, value in zip(parts, values, strict=True):
        _check(part, value)


def _flat(table: dict[Any, Any]) -> list[Any]:
    return [part for pair in table.items() for part in pair]


def _same_scalar(node: ScalarNode, value: Any) -> bool:
    """Whether a scalar is of one kind for both; of a string the content too."""
    match tag_of(node):
        case t if t == NULL:
            return value is None
        case t if t == BOOL:
            return value is (node.value.lower() == "true")
        case t if t == INT or t == FLOAT:
            # what is too large for a machine's number comes as another kind of number, or as text
            return isinstance(value, int | float | str) and not isinstance(value, bool)
        case _:
            return bool(value == node.value)


def _difference(node: Node) -> BadRequest:
    return BadRequest(
        f"not YAML 1.2: two readers differ on what begins in line {line_of(node)}: write it more"
        " plainly, with quotes or on lines of its own"
    )
