"""A decree is encoded once for all messages that carry it, and every message is what the codec makes."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given

from decreed.registry.paxos.messages import AcceptMany
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire import decrees as wire_decrees
from decreed.registry.wire.codec import encode
from decreed.registry.wire.decrees import SHORT_BYTES, encode_message
from decreed.registry.wire.requests import Decreed
from tests.fuzz.strategies import messages

BALLOT = Ballot.standing(Process(NodeId("n1"), 1))


def decree(name: str, size: int = 3) -> Decree:
    return Decree(Key(name), b"v" * size, "text/plain", "me", b"id", "", 5, BALLOT)


@dataclass
class Counter:
    """Stands before the codec and notes what it is asked to encode."""

    asked: list[object] = field(default_factory=list[object])

    def encode(self, value: object) -> bytes:
        self.asked.append(value)
        return encode(value)

    def decrees(self) -> list[Decree]:
        return [value for value in self.asked if isinstance(value, Decree)]


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(wire_decrees, "encode", counter.encode)
    wire_decrees._kept.cache_clear()  # pyright: ignore[reportPrivateUsage]
    return counter


@given(messages())
def test_every_message_is_encoded_as_the_codec_does_it(message: Any) -> None:
    assert encode_message(message) == encode(message)
    assert encode_message(message) == encode(message), "also what was kept"


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 512])
def test_a_flight_of_any_size_is_encoded_as_the_codec_does_it(count: int) -> None:
    flight = AcceptMany(BALLOT, 1 << 40, tuple(decree(f"k{at}") for at in range(count)))
    assert encode_message(flight) == encode(flight)


@pytest.mark.parametrize("size", [0, SHORT_BYTES, SHORT_BYTES + 1, 1 << 17])
def test_a_value_of_any_size_is_encoded_as_the_codec_does_it(size: int) -> None:
    answer = Decreed(7, decree("k", size))
    assert encode_message(answer) == encode(answer)


def test_what_was_proposed_is_not_encoded_again_for_those_who_claimed_or_read_it(
    codec: Counter,
) -> None:
    both = (decree("a"), decree("b"))
    encode_message(AcceptMany(BALLOT, 1, both))
    for reader in range(5):
        encode_message(Decreed(reader, both[0]))
    assert codec.decrees() == [*both]


def test_decrees_that_differ_in_anything_are_told_apart(codec: Counter) -> None:
    other = Decree(Key("a"), b"vvv", "text/plain", "me", b"id", "", 6, BALLOT)
    assert encode_message(Decreed(1, decree("a"))) != encode_message(Decreed(1, other))
    assert codec.decrees() == [decree("a"), other]


def test_large_values_are_not_kept(codec: Counter) -> None:
    large = decree("k", SHORT_BYTES + 1)
    encode_message(Decreed(1, large))
    encode_message(Decreed(2, large))
    assert codec.decrees() == [large, large]
