"""Whether two parsers of YAML agree: nodes with their text, and the values of the strict one.

By the test suite of the specification, ruamel.yaml misreads some texts and accepts others that are not
YAML; yaml12 passes the suite but does not keep the text. So both must agree.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

import yaml12

from ....registry.errors import BadRequest
from ..verbatim import is_list, is_table
from .yaml_nodes import BOOL, FLOAT, INT, NULL, STR, Entries, Items, Scalar, YamlNode

T = TypeVar("T")


def check(nodes: Sequence[YamlNode], strict: Sequence[Any]) -> None:
    """Compare all documents of a stream.

    Raises:
        BadRequest: naming the line of what the readers differ on.
    """
    if len(nodes) != len(strict):
        raise BadRequest("not YAML 1.2: two readers differ on where its documents end")
    for node, value in zip(nodes, strict, strict=True):
        _check(node, value)


def _check(node: YamlNode, value: Any) -> None:
    if isinstance(value, yaml12.Yaml):  # of a tag of its own, or a name that is a table or a list
        wrapped = cast(Any, value)
        if wrapped.tag == "!" and isinstance(node, Scalar) and node.tag != STR:
            raise _difference(node)
        value = wrapped.value
    if isinstance(node, Entries) and is_table(value):
        _check_parts(node, _flat(node.pairs), _flat(value.items()))
    elif isinstance(node, Items) and is_list(value):
        _check_parts(node, node.parts, value)
    elif not (isinstance(node, Scalar) and _same_scalar(node, value)):
        raise _difference(node)


def _check_parts(node: YamlNode, parts: Sequence[YamlNode], values: Sequence[Any]) -> None:
    if len(parts) != len(values):
        raise _difference(node)
    for part, value in zip(parts, values, strict=True):
        _check(part, value)


def _flat(pairs: Iterable[tuple[T, T]]) -> list[T]:
    return [part for pair in pairs for part in pair]


def _same_scalar(node: Scalar, value: Any) -> bool:
    """Whether a scalar is of one kind for both; of a string the content too."""
    if node.tag == NULL:
        return value is None
    if node.tag == BOOL:
        return value is (node.text.lower() == "true")
    if node.tag in (INT, FLOAT):
        # a number too large for a machine word comes as another kind of number, or as text
        return isinstance(value, int | float | str) and not isinstance(value, bool)
    return bool(value == node.text)


def _difference(node: YamlNode) -> BadRequest:
    return BadRequest(
        f"not YAML 1.2: two readers differ on what begins in line {node.line}: write it more"
        " plainly, with quotes or on lines of its own"
    )
