"""The bounds on memory count the bytes of the values in messages."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import astuple

from decreed.registry.server.weights import weight
from decreed.registry.types import Claim, Decree
from decreed.registry.wire.packed import PackedPage
from decreed.registry.wire.peers import LockMessage
from decreed.registry.wire.requests import Granted, HeldBy, LockRequest
from tests.fuzz.strategies import MESSAGES, values_of

OF_TERMS = LockMessage | LockRequest | Granted | HeldBy
"""Messages about terms are short, and counted by number."""


def values(message: Any) -> Iterator[bytes]:
    """The values of all claims and decrees in a message."""
    if isinstance(message, Claim | Decree):
        yield message.value
    elif isinstance(message, PackedPage):
        yield message.body
    elif isinstance(message, Struct):
        for field in astuple(message):
            yield from values(field)
    elif isinstance(message, tuple):
        for item in message:
            yield from values(item)


@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=15)
@given(data=st.data())
def test_a_message_weighs_what_its_values_do(name: str, data: st.DataObject) -> None:
    _, kind = MESSAGES[name]
    message = data.draw(values_of(kind))
    carried = 0 if isinstance(message, OF_TERMS) else sum(map(len, values(message)))
    assert weight(message) == carried
