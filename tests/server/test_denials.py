"""S83: of one caller and path the first denial is told, and then a count each ten seconds."""

from collections.abc import Sequence

import pytest
import trio

from decreed.registry.audit import (
    AuditRecord,
    Speaker,
    certificate_refused,
    denial,
    line,
    started,
)
from decreed.registry.server.denials import (
    EVERY_S,
    MOST_CALLERS,
    MOST_PATHS,
    Denials,
    Line,
    tell_counts,
)

ALICE = Speaker("client/alice", "10.0.0.1:50000")


def denied(path: str, connection: int = 7, policy: int = 5) -> AuditRecord:
    return denial(connection, "claim", path, policy)


def counts(lines: Sequence[Line]) -> list[tuple[str, str, int | None]]:
    return [(speaker.identity, record.path, record.count) for record, speaker in lines]


def test_the_first_is_told_and_the_others_are_counted() -> None:
    denials = Denials()
    told = [line for _ in range(500) for line in denials.sift([denied("prod/db")], [ALICE])]
    assert counts(told) == [("client/alice", "prod/db", None)]
    assert counts(denials.due()) == [("client/alice", "prod/db", 499)]
    assert counts(denials.due()) == [], "nothing came since"
    assert len(denials) == 0
    assert counts(denials.sift([denied("prod/db")], [ALICE])) == [("client/alice", "prod/db", None)]


def test_while_it_goes_on_there_is_only_the_count() -> None:
    denials = Denials()
    denials.sift([denied("a")] * 2, [ALICE] * 2)
    for _ in range(5):
        assert counts(denials.due()) == [("client/alice", "a", 1)]
        assert denials.sift([denied("a")], [ALICE]) == []


def test_others_and_other_paths_are_told_for_themselves() -> None:
    bob = Speaker("client/bob", "10.0.0.1:1")
    told = Denials().sift([denied("a"), denied("b"), denied("a")], [ALICE, ALICE, bob])
    assert len(told) == 3


def test_who_asks_for_many_paths_has_few_lines_and_all_are_counted() -> None:
    denials = Denials()
    records = [denied(f"k/{number}", number % 3) for number in range(10_000)]
    told = denials.sift(records, [ALICE] * len(records))
    assert len(told) <= MOST_PATHS + 1 and len(denials) == len(told)
    [(record, speaker)] = denials.due()
    assert record.count == 10_000 - len(told) and speaker == ALICE
    assert (record.path, record.connection, record.policy) == ("", None, 5), "what all have"
    assert len(denials) == 1


def test_many_callers_have_few_lines_and_all_are_counted() -> None:
    denials = Denials()
    speakers = [Speaker("anonymous", f"10.{n % 7}.{n // 250}.{n % 250}:1") for n in range(20_000)]
    told = denials.sift([denied("k")] * len(speakers), speakers)
    assert len(told) <= MOST_CALLERS + 5
    counted = sum(record.count or 0 for record, _ in denials.due())
    assert len(told) + counted == len(speakers)


def test_the_anonymous_are_counted_by_address_and_certificates_too() -> None:
    denials = Denials()
    ports = [Speaker("anonymous", f"10.0.0.1:{port}") for port in range(100)]
    assert len(denials.sift([denied("k")] * 100, ports)) == 1
    network = [Speaker("anonymous", f"[2001:db8::{number:x}]:1") for number in range(100)]
    assert len(denials.sift([denied("k")] * 100, network)) == 1, "one machine may have all of it"
    strangers = [Speaker(address=f"10.0.0.2:{port}") for port in range(100)]
    assert len(denials.sift([certificate_refused("client/eve")] * 100, strangers)) == 1
    assert sorted(record.count or 0 for record, _ in denials.due()) == [99, 99, 99]


def test_nothing_else_is_left_out() -> None:
    records = [started(1, None)] * 5
    assert len(Denials().sift(records, [ALICE] * 5)) == 5


def test_the_line_of_a_count_has_it() -> None:
    denials = Denials()
    denials.sift([denied("a")] * 3, [ALICE] * 3)
    [(record, speaker)] = denials.due()
    assert '"count": 2' in line(record, speaker, "n1", 0)
    assert '"count"' not in line(denied("a"), ALICE, "n1", 0)


@pytest.mark.trio
async def test_counts_are_written_each_ten_seconds_and_at_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    denials, written = Denials(), list[tuple[float, int | None]]()
    began = trio.current_time()

    def write(lines: Sequence[Line]) -> None:
        written.extend((trio.current_time() - began, record.count) for record, _ in lines)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_counts, denials, write)
        denials.sift([denied("a")] * 4, [ALICE] * 4)
        await trio.sleep(1.5 * EVERY_S)
        denials.sift([denied("a")] * 2, [ALICE] * 2)
        nursery.cancel_scope.cancel()
    assert written == [(EVERY_S, 3), (1.5 * EVERY_S, 2)]
