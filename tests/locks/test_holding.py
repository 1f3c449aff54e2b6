"""Holding: how long a holder may count itself the holder."""

from decreed.registry.locks.holding import MAX_CLOCK_DRIFT, Holding, validity_ms
from decreed.registry.locks.terms import LeaseId

TTL_MS = 1_000
NEW = Holding(LeaseId("l", 1, b"a"), TTL_MS)


def test_before_anything_is_confirmed_nobody_holds() -> None:
    assert not NEW.valid(0)
    assert NEW.remaining_ms(0) == 0


def test_validity_counts_from_the_sending_less_the_margin() -> None:
    held = NEW.confirmed(sent_ms=100, now_ms=300)
    end_ms = 100 + TTL_MS * (1 - 2 * MAX_CLOCK_DRIFT)
    assert held.valid(end_ms - 1)
    assert not held.valid(end_ms)
    assert held.remaining_ms(300) == end_ms - 300


def test_a_lapsed_validity_is_never_revived() -> None:
    held = NEW.confirmed(100, 100)
    late = held.confirmed(sent_ms=1_000, now_ms=1_200)
    assert late == held
    assert not late.valid(1_200)


def test_an_older_answer_does_not_shorten_validity() -> None:
    held = NEW.confirmed(500, 600)
    assert held.confirmed(400, 700) == held


def test_a_grant_that_came_too_late_gives_no_validity() -> None:
    assert not NEW.confirmed(sent_ms=0, now_ms=2_000).valid(2_000)


def test_two_clocks_at_the_bounds_of_their_rates_still_leave_no_overlap() -> None:
    """The holder's clock is slow, the node's is fast; both started at the same moment."""
    slow, fast = 1 - MAX_CLOCK_DRIFT, 1 + MAX_CLOCK_DRIFT
    holder_ends = validity_ms(TTL_MS) / slow
    lease_ends = TTL_MS / fast
    assert holder_ends <= lease_ends


def test_validity_counts_from_the_claim_only_if_it_was_sent_once_and_leased() -> None:
    def begins(leased: bool, *sent_ms: float) -> bool:
        return Holding.granted(NEW.lease_id, TTL_MS, leased, sent_ms, now_ms=500).valid(500)

    assert begins(True, 100)
    assert not begins(False, 100), "an accept quorum that meets not every other one"
    assert not begins(True, 100, 300), "sent twice"
    assert not begins(True), "never sent by us"


def test_a_claim_that_waited_in_the_queue_begins_with_its_first_keep_alive() -> None:
    queued = Holding.granted(NEW.lease_id, TTL_MS, True, [0], now_ms=5_000)
    assert not queued.valid(5_000)
    assert queued.confirmed(sent_ms=5_001, now_ms=5_002).valid(5_002)
