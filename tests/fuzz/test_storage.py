"""Records on disk are read as they were written, or raise an error; stored keys map back to keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.disk import (
    CursorRecord,
    DirectoryIdentity,
    EpochRecord,
    FeedRecord,
    ForgetRecord,
    InstanceRecord,
    PeerRecord,
    WithheldRecord,
)
from decreed.registry.errors import Damaged, Refused
from decreed.registry.keys import parse_key, sort_key
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key
from decreed.storage import layout
from decreed.storage.records import VERSION, pack, seal, unpack

from . import targets
from .strategies import instances, values_of
from .texts import keys, paths

KINDS = (
    *(
        Instance,
        DirectoryIdentity,
        InstanceRecord,
        FeedRecord,
        PeerRecord,
        CursorRecord,
        ForgetRecord,
    ),
    *(EpochRecord, WithheldRecord),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_record_is_read_as_it_was_written(kind: type[object], data: st.DataObject) -> None:
    value, key = data.draw(values_of(kind)), data.draw(keys())
    stored = layout.instance_key(key)
    assert unpack(stored, pack(stored, value), kind, "here") == value


@given(instances(), keys(), st.integers(0, 2**32))
def test_any_flipped_bit_is_found(instance: Instance, key: Key, at: int) -> None:
    stored = layout.instance_key(key)
    data = bytearray(pack(stored, instance))
    place, bit = divmod(at % (8 * len(data)), 8)
    data[place] ^= 1 << bit
    with pytest.raises(Damaged):
        unpack(stored, bytes(data), Instance, "here")


@given(instances(), keys(), keys())
def test_a_record_at_another_key_is_damaged(instance: Instance, key: Key, other: Key) -> None:
    if key == other:
        return
    data = pack(layout.instance_key(key), instance)
    with pytest.raises(Damaged):
        unpack(layout.instance_key(other), data, Instance, "here")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_damaged(data: bytes) -> None:
    targets.record(data)


@given(st.integers(0, 255), st.binary(max_size=100))
def test_a_sealed_payload_of_any_version_is_refused_or_read(version: int, data: bytes) -> None:
    stored = layout.instance_key("k")
    try:
        unpack(stored, seal(stored, version, data), Instance, "here")
        assert version == VERSION
    except Damaged:
        assert version == VERSION
    except Refused:
        assert version != VERSION


@given(keys())
def test_a_stored_key_leads_back_to_its_key(key: Key) -> None:
    assert layout.key_of(layout.instance_key(key)) == key


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_feed_keys_are_in_order_of_their_index(one: int, other: int) -> None:
    assert layout.feed_index(layout.feed_key(one)) == one
    assert (layout.feed_key(one) < layout.feed_key(other)) == (one < other)


@given(
    st.lists(keys(), max_size=12),
    paths() | st.just(""),
    keys() | st.just(""),
    keys() | st.just(""),
)
def test_scan_ranges_hold_exactly_what_is_under_a_prefix_and_between_two_keys(
    some: list[Key], prefix: str, after: str, until: str
) -> None:
    tails = ["", "/x", "@1", "@10", "-x", "0", ".x", "A", "~", "(", "\u00e9"]
    near = [Key(prefix + tail) for tail in tails if prefix]
    ranges = layout.scan_ranges(prefix, after, until)
    for key in {*some, *near, *(parse_key(bound) for bound in (after, until) if bound)}:
        stored = layout.instance_key(key)
        inside = sum(start <= stored < end for start, end in ranges)
        path = key.partition("@")[0]
        under = not prefix or (path + "/").startswith(prefix + "/")
        behind = not after or sort_key(key) > sort_key(after)
        before = not until or sort_key(key) <= sort_key(until)
        assert inside == (under and behind and before), key


@given(keys(), st.integers(1, 10**15))
def test_the_slots_of_a_series_lie_in_one_range(key: Key, slot: int) -> None:
    series = key.partition("@")[0]
    start, end = layout.slots_range(series)
    assert start <= layout.instance_key(f"{series}@{slot}") < end
    assert not start <= layout.instance_key(series) < end
    assert not start <= layout.instance_key(series + "/x") < end
