"""R22: every key that is accepted and not learned is on a page, after any history of the pages."""

import random

from decreed.registry.disk import InstanceRecord, Record
from decreed.registry.paxos.instance import Instance
from decreed.registry.types import Key
from decreed.storage import layout
from decreed.storage.layout import Table
from decreed.storage.memory import MemoryDisk, MemoryStorage, open_memory
from decreed.storage.pending_journal import JournalPage, PendingJournal

from .conftest import NODE, make_config
from .samples import accepted, forget, learned, promised

OPEN = accepted("k").instance
DONE = learned("k").instance


def opened(disk: MemoryDisk) -> MemoryStorage:
    return open_memory(disk, make_config(), NODE, lambda count: b"m" * count)


def keys(text: str) -> tuple[Key, ...]:
    return tuple(map(Key, text))


def changes(text: str, instance: Instance) -> dict[Key, Instance]:
    return dict.fromkeys(keys(text), instance)


def test_a_batch_takes_one_page_for_all_that_it_accepts() -> None:
    notes = PendingJournal({}, ())
    assert notes.changed(changes("abc", OPEN)) == (0, list("abc"))
    assert notes.changed(changes("de", OPEN)) == (1, list("de"))


def test_a_key_that_is_noted_already_or_only_promised_takes_no_page() -> None:
    notes = PendingJournal({}, ())
    notes.changed(changes("a", OPEN))
    assert notes.changed(changes("a", OPEN) | changes("p", promised("p").instance)) is None
    assert notes.changed(changes("b", DONE)) is None


def test_a_page_is_reused_only_when_all_its_keys_are_learned() -> None:
    notes = PendingJournal({}, ())
    notes.changed(changes("ab", OPEN))
    notes.changed(changes("a", DONE))
    assert notes.changed(changes("c", OPEN)) == (1, list("c"))
    notes.changed(changes("b", DONE))
    assert notes.changed(changes("d", OPEN)) == (2, list("d")), "that may still be lost"
    notes.synced()
    assert notes.changed(changes("e", OPEN)) == (0, list("e"))


def test_a_forgotten_key_holds_no_page() -> None:
    notes = PendingJournal({}, ())
    notes.changed(changes("a", OPEN))
    notes.forgotten(keys("ax"))
    notes.synced()
    assert notes.changed(changes("b", OPEN)) == (0, list("b"))


def test_after_a_start_pages_with_unsettled_keys_are_kept() -> None:
    pages = {0: JournalPage(keys("ab")), 2: JournalPage(keys("cd")), 3: JournalPage(keys("a"))}
    notes = PendingJournal(pages, keys("bc"))
    assert notes.changed(changes("e", OPEN)) == (3, list("e"))
    assert notes.changed(changes("f", OPEN)) == (4, list("f"))
    notes.changed(changes("b", DONE))
    notes.synced()
    assert notes.changed(changes("g", OPEN)) == (0, list("g"))


def pages_on(disk: MemoryDisk) -> list[bytes]:
    return [key for key in disk.values if key.startswith(Table.PENDING_JOURNAL.value)]


def test_forgotten_terms_with_unknown_outcomes_leave_no_page() -> None:
    disk = MemoryDisk()
    storage = opened(disk)
    for number in range(1, 50):
        term = InstanceRecord(Key(f"$locks/l@{number}"), OPEN)
        storage.write([term])
        storage.write(forget("$locks/l", number + 1, number))
    assert len(pages_on(disk)) == 1


def test_a_sync_alone_makes_pages_free() -> None:
    disk = MemoryDisk()
    storage = opened(disk)
    for number in range(50):
        storage.write([accepted(f"k{number}")], sync=False)
        storage.write([learned(f"k{number}")], sync=False)
        storage.sync()
    assert len(pages_on(disk)) == 1


def test_there_are_as_many_pages_as_batches_were_unsettled_at_once() -> None:
    disk = MemoryDisk()
    storage = opened(disk)
    for number in range(500):
        storage.write([accepted(f"k{number}")])
        if number >= 3:
            storage.write([learned(f"k{number - 3}")], sync=False)
    assert pages_on(disk) == [layout.journal_key(page) for page in range(5)]
    assert opened_again(storage, disk).recovered().unlearned == ("k497", "k498", "k499")


def opened_again(storage: MemoryStorage, disk: MemoryDisk) -> MemoryStorage:
    storage.close()
    return opened(disk)


def test_R22_after_any_crash_all_unsettled_keys_are_found() -> None:
    chance = random.Random(5)
    disk = MemoryDisk()
    storage = opened(disk)
    names = [f"k{number}" for number in range(60)]
    for _ in range(300):
        some = chance.sample(names, chance.randint(0, 5))
        records: list[Record] = [chance.choice([promised, accepted, learned])(n) for n in some]
        storage.write(records, sync=chance.random() < 0.5)
        if chance.random() < 0.2:
            disk.crash(chance.randint(0, disk.unsynced))
            storage = opened(disk)
            found = storage.load([Key(name) for name in names])
            in_doubt = {
                key
                for key, one in found.items()
                if isinstance(one, Instance) and one.accepted and not one.learned
            }
            assert in_doubt == set(storage.recovered().unlearned)


def test_an_unreadable_key_counts_as_unsettled() -> None:
    disk = MemoryDisk()
    storage = opened(disk)
    storage.write([promised("a"), accepted("b")])
    storage.write([accepted("a")])
    storage.close()
    disk.flip(layout.instance_key("a"), 20)
    assert opened(disk).recovered().unlearned == ("a", "b")
