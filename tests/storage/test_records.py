"""The record codec: a record is read as it was written, or raises an error that names it."""

import pytest

from decreed.registry.errors import Damaged, Refused
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key
from decreed.storage import layout
from decreed.storage.records import VERSION, pack, seal, unpack

from .samples import accepted, learned

STORED = layout.instance_key("a/b@7")


def test_every_flipped_bit_of_a_record_is_found() -> None:
    data = pack(STORED, accepted("a/b@7").instance)
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(Damaged, match="key 'a/b@7' in here"):
                unpack(STORED, bytes(flipped), Instance, "here")


def test_every_shortened_record_is_found() -> None:
    data = pack(STORED, accepted("a/b@7").instance)
    for length in range(len(data)):
        with pytest.raises(Damaged):
            unpack(STORED, data[:length], Instance, "here")


def test_a_record_at_another_key_is_damaged() -> None:
    data = pack(STORED, learned("a/b@7").instance)
    with pytest.raises(Damaged, match="key 'a/b@8'"):
        unpack(layout.instance_key("a/b@8"), data, Instance, "here")


@pytest.mark.parametrize(("version", "age"), [(VERSION + 1, "newer"), (VERSION - 1, "older")])
def test_a_record_of_another_version_is_refused_with_the_way_out(version: int, age: str) -> None:
    data = seal(STORED, version, b"whatever comes")
    with pytest.raises(Refused, match=f"start the node with the {age} decreed") as caught:
        unpack(STORED, data, Instance, "here")
    assert not isinstance(caught.value, Damaged)


def test_a_malformed_record_with_a_valid_checksum_is_damaged() -> None:
    with pytest.raises(Damaged, match="makes no sense"):
        unpack(STORED, seal(STORED, VERSION, b"\x01"), Instance, "here")


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (layout.instance_key("k@3"), "the record of key 'k@3'"),
        (layout.journal_key(7), "page 7 of the notes about what is not learned"),
        (layout.feed_key(7), "the feed from entry 7 on"),
        (layout.peer_key("b"), "the record of peer 'b'"),
        (layout.cursor_key("b"), "the cursor into the feed of 'b'"),
        (layout.IDENTITY_KEY, "the identity of the node"),
        (layout.EPOCH_KEY, "the seat of the node"),
        (layout.incarnations_key(3), "page 3 of the directory's incarnations"),
    ],
)
def test_a_message_names_the_record_and_its_place(stored: bytes, words: str) -> None:
    assert layout.describe(stored) == words


@pytest.mark.parametrize("key", ["a", "a/b", "é@1", "a@1234567890123456", "a/b/c@10"])
def test_a_stored_key_leads_back_to_the_key(key: str) -> None:
    assert layout.key_of(layout.instance_key(key)) == Key(key)
