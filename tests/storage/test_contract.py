"""The contract of every storage, on disk and in memory alike."""

import pytest

from decreed.registry.disk import (
    CursorRecord,
    FeedEntry,
    FormationRecord,
    InstanceRecord,
    PeerRecord,
    Record,
    Storage,
)
from decreed.registry.errors import IdentityRefused
from decreed.registry.keys import matches, sort_key
from decreed.registry.locks.restored import Restoration
from decreed.registry.locks.terms import lock_path, term_key
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.types import Key, NodeId
from decreed.registry.unserved import ForgottenInstance
from decreed.registry.wire.handshake import Incarnation
from decreed.storage.store import READ_AT_ONCE

from .conftest import NODE, Disk
from .samples import BALLOT, accepted, decree, feed_record, learned, promised

MANY = 10**9

KEYS = ["p", "p-x", "p+x", "p/a", "p/a/b", "p/b", "p0", "p@1", "p@2", "p@10", "pq", "p/é", "q"]


def keys_under(storage: Storage, prefix: str, limit: int = 3) -> list[str]:
    """All keys of all pages of a scan."""
    found: list[str] = []
    after = ""
    while True:
        page = storage.scan(prefix, after, limit, MANY)
        assert len(page.instances) <= limit
        found += [key for key, _ in page.instances]
        if page.complete:
            return found
        after = found[-1]


INSTANCES = [
    promised("k"),
    accepted("k", b"\x00\xff" * 1000),
    learned("k"),
    InstanceRecord(Key("k"), Instance(learned=decree("k"), disputed=decree("k", b"other"))),
    learned("ключ/值@12", b""),
]


@pytest.mark.parametrize("record", INSTANCES)
def test_R13_R14_an_instance_is_read_back_as_it_was_written(
    disk: Disk, record: InstanceRecord
) -> None:
    disk.open().write([record])
    assert disk.open().load([record.key]) == {record.key: record.instance}


def test_a_key_never_seen_has_the_empty_instance(disk: Disk) -> None:
    assert disk.open().load([Key("never"), Key("ever")]) == {"never": EMPTY, "ever": EMPTY}


def test_no_keys_no_instances(disk: Disk) -> None:
    assert disk.open().load([]) == {}


def test_the_last_record_for_a_key_in_a_batch_counts(disk: Disk) -> None:
    storage = disk.open()
    storage.write([promised("k"), accepted("k"), learned("k")])
    assert storage.load([Key("k")]) == {"k": learned("k").instance}
    assert disk.open().recovered().unlearned == ()


def test_a_write_of_nothing_does_nothing(disk: Disk) -> None:
    disk.open().write([])


def test_an_unsynced_write_is_visible_immediately_and_outlives_the_process(disk: Disk) -> None:
    storage = disk.open()
    storage.write([learned("s@1"), feed_record(0, "s@1")], sync=False)
    storage.write([accepted("k")], sync=False)
    assert storage.load([Key("k")]) == {"k": accepted("k").instance}
    assert keys_under(storage, "") == ["k", "s@1"]
    assert (storage.last_slot("s"), storage.feed(0, 9)[1]) == (1, 1)
    storage.sync()
    storage = disk.open()
    assert keys_under(storage, "") == ["k", "s@1"]
    assert (storage.recovered().unlearned, storage.recovered().feed_end) == (("k",), 1)


def test_R01_a_restart_keeps_peers_cursors_feed_and_formation(disk: Disk) -> None:
    peers = [PeerRecord(NodeId(name), b"d" * 16, 7, b"n" * 16) for name in "bc"]
    cursors = [CursorRecord(NodeId("b"), b"d" * 16, 2**62)]
    records: list[Record] = [*peers, *cursors, FormationRecord(b"f" * 16), feed_record(0, "k")]
    disk.open().write(records)
    recovered = disk.open().recovered()
    assert recovered.peers == tuple(peers)
    assert recovered.cursors == tuple(cursors)
    assert recovered.identity.formation == b"f" * 16
    assert recovered.feed_end == 1


def test_a_peer_has_one_record_and_the_newest_counts(disk: Disk) -> None:
    storage = disk.open()
    for incarnation in (1, 2):
        storage.write([PeerRecord(NodeId("b"), b"d" * 16, incarnation, b"n" * 16)])
    assert [peer.incarnation for peer in disk.open().recovered().peers] == [2]


def test_R05_the_incarnation_grows_at_each_opening_and_the_disk_id_stays(disk: Disk) -> None:
    identities = [disk.open().recovered().identity for _ in range(4)]
    assert [identity.incarnation for identity in identities] == [1, 2, 3, 4]
    assert len({identity.disk_id for identity in identities}) == 1
    assert {identity.node for identity in identities} == {NODE}


def test_forming_keeps_the_incarnation(disk: Disk) -> None:
    disk.open()
    storage = disk.open()
    storage.write([FormationRecord(b"f" * 16)])
    nonce = storage.recovered().identity.nonce
    recovered = disk.open().recovered()
    assert recovered.identity.incarnation == 3
    assert recovered.history.incarnation(2) == Incarnation(2, nonce)


def test_M19_a_formation_is_joined_with_how_it_was_restored(disk: Disk) -> None:
    restoration = Restoration(bytes(16), 1_790_000_000_000, 1_000, bytes(16), bytes(16))
    last = restoration.floor
    keys = [term_key("l", slot) for slot in (1, last, last + 1)]

    def check(storage: Storage) -> None:
        found = storage.load(keys)
        assert isinstance(found[keys[0]], ForgottenInstance) and found[keys[2]] == EMPTY
        assert found[keys[1]] == Instance(learned=restoration.unknown_term("l"))
        assert storage.last_slot(lock_path("l")) == last

    storage = disk.open()
    assert storage.load(keys) == dict.fromkeys(keys, EMPTY)  # now its cache says so
    storage.write([FormationRecord(b"f" * 16, restoration)])
    check(storage)
    storage = disk.open()
    check(storage)
    assert storage.recovered().restoration == restoration


@pytest.mark.parametrize("times", [1, 2, 5])
def test_every_incarnation_is_recorded_with_its_nonce(disk: Disk, times: int) -> None:
    incarnations: list[Incarnation] = []
    for _ in range(times):
        identity = disk.open().recovered().identity
        incarnations.append(Incarnation(identity.incarnation, identity.nonce))
    history = disk.open().recovered().history
    assert [history.incarnation(number) for number in range(1, times + 1)] == incarnations
    assert history.incarnations == times + 1
    assert history.incarnation(0) is history.incarnation(times + 2) is None
    assert len({incarnation.nonce for incarnation in incarnations}) == times


def test_a_fresh_node_has_nothing_to_recover(disk: Disk) -> None:
    recovered = disk.open().recovered()
    assert (recovered.peers, recovered.cursors, recovered.unlearned) == ((), (), ())
    assert (recovered.feed_end, recovered.identity.formation) == (0, None)


def test_R22_what_is_accepted_and_not_learned_is_found_at_start(disk: Disk) -> None:
    disk.open().write(
        [promised("p"), accepted("a@10"), accepted("a@9"), learned("l"), accepted("b")]
    )
    storage = disk.open()
    assert storage.recovered().unlearned == ("a@9", "a@10", "b")
    storage.write([learned("a@9"), accepted("c")])
    assert disk.open().recovered().unlearned == ("a@10", "b", "c")


@pytest.mark.parametrize("prefix", ["", "p", "p/a", "p-x", "q", "none", "p/é"])
@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_scan_gives_whole_segments_in_key_order(disk: Disk, prefix: str, limit: int) -> None:
    storage = disk.open()
    storage.write([learned(key) for key in KEYS])
    expected = sorted((key for key in KEYS if matches(prefix, Key(key))), key=sort_key)
    assert keys_under(storage, prefix, limit) == expected


@pytest.mark.parametrize("after", ["a", "p", "p/a", "p/zz", "p@1", "p@3", "p0", "z"])
def test_a_scan_begins_after_a_key_whether_it_exists_or_not(disk: Disk, after: str) -> None:
    storage = disk.open()
    storage.write([learned(key) for key in KEYS])
    found = [key for key, _ in storage.scan("p", after, 1000, MANY).instances]
    behind = [key for key in KEYS if matches("p", Key(key)) and sort_key(key) > sort_key(after)]
    assert found == sorted(behind, key=sort_key)


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("within", [("p-x", "p/a", "q"), ("p", "p-x"), ("none",), ("p/a", "p/é")])
def test_s64_a_scan_reads_what_is_under_some_prefixes_in_key_order(
    disk: Disk, within: tuple[str, ...], limit: int
) -> None:
    storage = disk.open()
    storage.write([learned(key) for key in KEYS])
    wanted = [key for key in KEYS if any(matches(each, Key(key)) for each in within)]
    for after, until in (("", ""), ("p-x", "p@1"), ("p/a", ""), ("", "p/a")):
        found: list[str] = []
        page = storage.scan("", after, limit, MANY, until, within)
        while not page.complete:
            found += [key for key, _ in page.instances]
            page = storage.scan("", found[-1], limit, MANY, until, within)
        found += [key for key, _ in page.instances]
        inside = [key for key in wanted if sort_key(key) > sort_key(after)]
        inside = [key for key in inside if not until or sort_key(key) <= sort_key(until)]
        assert found == sorted(inside, key=sort_key)


def test_a_mere_promise_is_in_no_scan_and_leaves_the_page_complete(disk: Disk) -> None:
    storage = disk.open()
    storage.write([promised("a"), accepted("b"), learned("c"), promised("d")])
    page = storage.scan("", "", 2, MANY)
    assert [key for key, _ in page.instances] == ["b", "c"]
    assert page.complete


def test_a_scan_steps_over_more_promises_than_it_fetches_at_a_time(disk: Disk) -> None:
    storage = disk.open()
    storage.write([promised(f"k{number:03}") for number in range(300)] + [learned("k299x")])
    assert keys_under(storage, "") == ["k299x"]


@pytest.mark.parametrize(("max_bytes", "count"), [(0, 1), (1, 1), (1000, 2), (10**6, 5)])
def test_a_page_ends_once_its_bytes_are_met_and_is_never_empty(
    disk: Disk, max_bytes: int, count: int
) -> None:
    storage = disk.open()
    storage.write([learned(f"k{number}", b"x" * 600) for number in range(5)])
    page = storage.scan("", "", 5, max_bytes)
    assert (len(page.instances), page.complete) == (count, count == 5)


def test_the_slots_of_a_series_are_in_order_of_number(disk: Disk) -> None:
    storage = disk.open()
    storage.write([learned(f"s@{slot}") for slot in (11, 100, 9, 10, 1, 99)])
    assert keys_under(storage, "s") == [f"s@{slot}" for slot in (1, 9, 10, 11, 99, 100)]


def test_the_last_slot_is_the_highest_that_is_learned(disk: Disk) -> None:
    storage = disk.open()
    assert storage.last_slot("s") == 0
    storage.write([learned(f"s@{slot}") for slot in (9, 10, 2)])
    storage.write([accepted("s@11"), promised("s@100"), learned("s/x@50"), learned("t@60")])
    assert storage.last_slot("s") == 10
    assert storage.last_slot("s/x") == 50
    storage.write([learned("s@11")])
    assert disk.open().last_slot("s") == 11


def test_a_series_with_nothing_learned_has_no_last_slot(disk: Disk) -> None:
    storage = disk.open()
    storage.write([accepted("s@1"), learned("s"), learned("r@7")])
    assert storage.last_slot("s") == 0


def test_the_feed_is_read_from_anywhere_and_says_where_to_go_on(disk: Disk) -> None:
    disk.open().write([feed_record(index, f"k{index}") for index in range(300)])
    storage = disk.open()
    assert storage.recovered().feed_end == 300
    entries, following = storage.feed(254, 4)
    assert list(entries) == [
        FeedEntry(index, Key(f"k{index}"), index.to_bytes(16, "big")) for index in range(254, 258)
    ]
    assert following == 258
    assert storage.feed(300, 10) == ([], 300)
    assert storage.feed(298, 10)[1] == 300


def test_a_gap_in_the_feed_is_stepped_over(disk: Disk) -> None:
    storage = disk.open()
    storage.write([feed_record(index, "k") for index in (0, 1, 7, 8)])
    entries, following = storage.feed(1, 2)
    assert ([entry.index for entry in entries], following) == ([1, 7], 8)


def test_a_disk_is_opened_by_one_at_a_time(disk: Disk) -> None:
    first = disk.open()
    with pytest.raises(IdentityRefused, match="in use by another process"):
        disk.open_beside()
    first.write([learned("k")])
    assert disk.open().recovered().identity.incarnation == 2


def test_close_may_be_called_twice(disk: Disk) -> None:
    storage = disk.open()
    storage.close()
    storage.close()
    assert disk.open().recovered().identity.incarnation == 2


def test_ballots_survive_at_their_bounds(disk: Disk) -> None:
    highest = BALLOT.above(BALLOT.process)
    record = InstanceRecord(Key("k" * 512), Instance(promised=highest))
    disk.open().write([record])
    assert disk.open().load([record.key])[record.key] == record.instance


def test_with_a_bound_on_bytes_some_instances_are_left_out_and_no_other_is_changed(
    disk: Disk,
) -> None:
    records = [learned(f"k{number:03}", bytes(1_000)) for number in range(3 * READ_AT_ONCE)]
    disk.open().write(records)
    storage, keys = disk.open(), [record.key for record in records]
    some = storage.load(keys, 1_000)
    assert len(some) == READ_AT_ONCE
    assert some == {r.key: r.instance for r in records if r.key in some}
    assert len(storage.load(keys, 10**9)) == len(storage.load(keys)) == len(keys)
