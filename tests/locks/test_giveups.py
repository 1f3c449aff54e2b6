"""The give-ups that a node remembers, and their effect on its leases."""

from decreed.registry.locks.giveups import GiveUps
from decreed.registry.locks.leases import Leases
from decreed.registry.locks.terms import Ending, How, LeaseId

MINE, OTHER = b"m" * 32, b"o" * 32
FIRST = LeaseId("l", 1, b"a")
TTL_MS = 1_000.0


def test_a_give_up_matches_only_a_claim_with_its_id_and_its_hash() -> None:
    given_up = GiveUps()
    assert given_up.add(b"a", MINE, 5)
    assert given_up.has(b"a", MINE)
    assert not given_up.has(b"a", OTHER)
    assert not given_up.has(b"a", None)
    assert not given_up.has(b"b", MINE)


def test_no_give_up_is_dropped_to_make_room() -> None:
    given_up = GiveUps(2)
    assert given_up.add(b"a", MINE, 5) and given_up.add(b"a", OTHER, 5)
    assert not given_up.add(b"b", MINE, 5)
    assert given_up.add(b"a", MINE, 9), "said again, it takes no room"
    assert len(given_up) == 2 and given_up.has(b"a", MINE) and not given_up.has(b"b", MINE)
    given_up.prune(5)
    assert len(given_up) == 1 and given_up.has(b"a", MINE), "it was said again, later"
    given_up.prune(9)
    assert len(given_up) == 0 and not given_up.may_have(b"a")
    assert given_up.add(b"b", MINE, 5)


def test_no_lease_runs_for_a_given_up_claim_in_any_order_of_messages() -> None:
    before, after = Leases(-1e9), Leases(-1e9)
    before.give_up(0, "l", b"a", TTL_MS, MINE)
    before.start(1, FIRST, TTL_MS, MINE)
    after.start(0, FIRST, TTL_MS, MINE)
    after.give_up(1, "l", b"a", TTL_MS, MINE)
    for leases in (before, after):
        assert leases.ending(FIRST) == Ending(How.RELEASED)
        assert leases.remaining_ms(2, FIRST, TTL_MS) == 0
        assert not leases.renew(2, FIRST, TTL_MS, MINE)
        assert leases.running == 0


def test_a_give_up_ends_no_lease_of_another_secret() -> None:
    leases = Leases(-1e9)
    leases.start(0, FIRST, TTL_MS, OTHER)
    leases.give_up(1, "l", b"a", TTL_MS, MINE)
    assert leases.remaining_ms(1, FIRST, TTL_MS) == TTL_MS - 1
    assert leases.renew(2, FIRST, TTL_MS, OTHER)


def test_a_keep_alive_after_a_give_up_starts_no_lease() -> None:
    leases = Leases(-1e9)
    leases.give_up(0, "l", b"a", TTL_MS, MINE)
    assert not leases.renew(1, FIRST, TTL_MS, MINE)
    assert leases.remaining_ms(1, FIRST, TTL_MS) == 0
