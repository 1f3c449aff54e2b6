"""Strategies for every value that is on the wire or on disk, derived from the types.

A field's strategy follows its annotation and its bounds, so a new message or field is fuzzed without
further work.
"""

from functools import lru_cache
from typing import Any, get_args

from hypothesis import strategies as st
from msgspec import inspect
from msgspec.structs import replace

from decreed.registry.paxos.decrees import Decrees
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import DIGEST_BYTES, Decree, Proposal
from decreed.registry.wire.gateways import ClientMessage
from decreed.registry.wire.handshake import Greeting, PeerReception, Reception
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Answer

UNIONS: dict[str, Any] = {
    "greeting": Greeting,
    "reception": Reception,
    "peer reception": PeerReception,
    "request": ClientMessage,
    "answer": Answer,
    "peer": PeerMessage,
}
MESSAGES: dict[str, tuple[Any, type[Any]]] = {
    f"{name} {kind.__name__}": (union, kind)
    for name, union in UNIONS.items()
    for kind in get_args(union)
}

# the characters of a text field: all of Unicode that UTF-8 can encode
CHARACTERS = st.characters(exclude_categories=["Cs"])
LONGEST = 20
MOST = 3


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, or of any member of a union."""
    return _values(inspect.type_info(kind))


def messages() -> st.SearchStrategy[Any]:
    """Any message of the protocol."""
    return st.one_of([values_of(kind) for _, kind in MESSAGES.values()])


def instances() -> st.SearchStrategy[Instance]:
    """The instances that a node may hold for a key."""
    return values_of(Instance)


def plain_values() -> st.SearchStrategy[Any]:
    """All values of CBOR without tags, whether they are messages or not."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**64), 2**64 - 1),
        st.floats(),
        st.binary(max_size=LONGEST),
        st.text(CHARACTERS, max_size=LONGEST),
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=6)
            | st.dictionaries(st.text(CHARACTERS, max_size=5) | st.integers(), inner, max_size=4)
        ),
        max_leaves=12,
    )


def _values(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return _numbers(info)
        case inspect.StrType(min_length=low, max_length=high):
            return st.text(CHARACTERS, min_size=low or 0, max_size=min(high or LONGEST, LONGEST))
        case inspect.EnumType(cls=kind):
            return st.sampled_from(kind)
        case inspect.BytesType(min_length=low, max_length=high):
            longest = max(low or 0, min(high or LONGEST, LONGEST))
            return st.binary(min_size=low or 0, max_size=longest)
        case inspect.VarTupleType(item_type=item, min_length=low):
            return st.lists(_values(item), min_size=low or 0, max_size=MOST).map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_values, items))
        case inspect.UnionType(types=types):
            return st.one_of([_values(each) for each in types])
        case inspect.CustomType(cls=cls) if cls is Decrees:
            return st.lists(_structs(Decree), max_size=MOST).map(Decrees)
        case inspect.StructType(cls=cls):
            return _structs(cls)
    raise TypeError(f"no strategy for {info!r}: add one here")


def _numbers(info: inspect.IntType) -> st.SearchStrategy[int]:
    low = -(2**63) if info.ge is None else info.ge
    high = 2**63 - 1 if info.le is None else info.le
    return st.integers(low, high) | st.sampled_from([low, high])


@lru_cache
def _structs(cls: type[Any]) -> st.SearchStrategy[Any]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    fields = {field.name: _values(field.type) for field in info.fields}
    return st.fixed_dictionaries(fields).map(
        lambda drawn: cls(**_with_its_digests(_about_one_key(drawn)))
    )


def _with_its_digests(fields: dict[str, Any]) -> dict[str, Any]:
    """Give a page of a feed a digest for each of its keys."""
    if "digests" not in fields:
        return fields
    wanted = len(fields["keys"]) * DIGEST_BYTES
    return fields | {"digests": fields["digests"].ljust(wanted, b"d")[:wanted]}


def _about_one_key(fields: dict[str, Any]) -> dict[str, Any]:
    """Give a message about a key only decrees of that key."""
    if "key" not in fields:
        return fields
    return {name: _for_key(value, fields["key"]) for name, value in fields.items()}


def _for_key(value: Any, key: str) -> Any:
    match value:
        case Decree():
            return replace(value, key=key)
        case Proposal(decree=decree):
            return replace(value, decree=replace(decree, key=key))
    return value
