"""Leases: when a node refuses the next term, and when it does not."""

import pytest

from decreed.registry.locks.leases import Leases
from decreed.registry.locks.terms import Ending, How, LeaseId, Previous, term_key

TTL_MS = 1_000
FIRST = LeaseId("l", 1, b"a")
SECOND = LeaseId("l", 2, b"b")
NEXT = term_key("l", 2)


def before(how: How, claim_id: bytes = b"a") -> Previous:
    return Previous(claim_id, TTL_MS, Ending(how))


def long_running() -> Leases:
    """A node that started so long ago that no lease from before its start can still run."""
    return Leases(started_ms=-10 * TTL_MS)


def refused(leases: Leases, now_ms: float, how: How = How.EXPIRED) -> float:
    return leases.refusal_ms(now_ms, NEXT, before(how))


def test_the_first_term_follows_nothing_and_is_never_refused() -> None:
    assert Leases(started_ms=0).refusal_ms(0, term_key("l", 1), None) == 0


def test_a_lease_runs_for_the_whole_ttl_from_its_start_and_from_each_renewal() -> None:
    leases = long_running()
    leases.start(0, FIRST, TTL_MS, None)
    assert refused(leases, 400) == 600
    assert leases.renew(900, FIRST, TTL_MS, None)
    assert refused(leases, 1_899) == 1
    assert refused(leases, 1_900) == 0


def test_leases_from_before_a_restart_are_waited_for() -> None:
    leases = Leases(started_ms=100)
    assert refused(leases, 600) == 500, "whether or not this node ever knew the term"
    assert refused(leases, 1_100) == 0


@pytest.mark.parametrize("how", list(How))
def test_only_a_release_or_force_passes_a_running_lease(how: How) -> None:
    leases = Leases(started_ms=0)
    leases.start(0, FIRST, TTL_MS, None)
    assert (refused(leases, 10, how) == 0) == (how in (How.RELEASED, How.FORCED))


def test_a_lease_on_a_claim_that_was_not_chosen_delays_no_term() -> None:
    leases = long_running()
    leases.start(0, LeaseId("l", 1, b"loser"), TTL_MS, None)
    assert refused(leases, 10) == 0


def test_another_claims_release_ends_no_lease() -> None:
    leases = long_running()
    leases.start(0, FIRST, TTL_MS, None)
    leases.end(5, LeaseId("l", 1, b"loser"), TTL_MS, Ending(How.RELEASED))
    assert leases.ending(FIRST) is None


def test_a_losers_late_acceptance_does_not_end_the_holders_lease() -> None:
    leases = long_running()
    leases.renew(0, FIRST, TTL_MS, None)
    leases.start(10, LeaseId("l", 1, b"loser"), TTL_MS, None)
    assert refused(leases, 20) == TTL_MS - 20
    leases.start(30, SECOND, TTL_MS, None)
    assert refused(leases, 40) == TTL_MS - 40, "nor does an acceptance of the next term"


def test_leases_on_other_locks_do_not_matter() -> None:
    leases = long_running()
    leases.start(0, LeaseId("other", 1, b"a"), TTL_MS, None)
    assert refused(leases, 10) == 0


def test_a_release_that_this_node_was_told_of_lets_the_next_term_pass() -> None:
    leases = Leases(started_ms=0)
    leases.start(0, FIRST, TTL_MS, None)
    leases.end(10, FIRST, TTL_MS, Ending(How.RELEASED))
    assert refused(leases, 20) == 0
    assert leases.remaining_ms(20, FIRST, TTL_MS) == 0


def test_a_broken_term_is_not_renewed_and_runs_out_when_it_would_have() -> None:
    leases = long_running()
    leases.start(0, FIRST, TTL_MS, None)
    leases.end(500, FIRST, TTL_MS, Ending(How.BROKEN, "op", "why"))
    assert not leases.renew(600, FIRST, TTL_MS, None)
    assert refused(leases, 999) == 1
    assert refused(leases, 1_000) == 0


def test_a_break_of_a_lease_that_this_node_never_saw_waits_for_the_whole_ttl() -> None:
    leases = long_running()
    leases.end(500, FIRST, TTL_MS, Ending(How.BROKEN, "op", "why"))
    assert refused(leases, 500) == TTL_MS


def test_the_holders_release_takes_precedence_over_a_break_in_either_order() -> None:
    for order in ((How.BROKEN, How.RELEASED), (How.RELEASED, How.BROKEN)):
        leases = long_running()
        leases.start(0, FIRST, TTL_MS, None)
        for how in order:
            leases.end(10, FIRST, TTL_MS, Ending(how))
        ending = leases.ending(FIRST)
        assert ending is not None and ending.how is How.RELEASED


def test_no_keep_alive_brings_an_earlier_term_back() -> None:
    leases = long_running()
    leases.start(0, SECOND, TTL_MS, None)
    assert not leases.renew(1, FIRST, TTL_MS, None)
    leases.end(1, FIRST, TTL_MS, Ending(How.RELEASED))
    leases.start(1, FIRST, TTL_MS, None)
    assert leases.refusal_ms(2, term_key("l", 3), before(How.EXPIRED, b"b")) == TTL_MS - 2


def test_a_decided_term_drops_the_leases_on_earlier_terms() -> None:
    leases = long_running()
    leases.start(0, FIRST, TTL_MS, None)
    leases.superseded("l", 1)
    assert len(leases) == 1
    leases.superseded("l", 2)
    assert len(leases) == 0


def test_pruning_drops_only_expired_leases() -> None:
    leases = long_running()
    leases.start(0, FIRST, TTL_MS, None)
    leases.start(0, LeaseId("m", 1, b"a"), 2 * TTL_MS, None)
    leases.prune(TTL_MS)
    assert len(leases) == 1
    leases.prune(2 * TTL_MS)
    assert len(leases) == 0


def test_how_a_term_ended_is_kept_until_the_next_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decreed.registry.locks.leases.MAX_ENDED", 2)
    leases = long_running()
    broken = Ending(How.BROKEN, "op", "why")
    for lock in ("k", "l", "m"):
        leases.end(0, LeaseId(lock, 1, b"a"), TTL_MS, broken)
    leases.prune(TTL_MS)
    assert leases.ending(LeaseId("k", 1, b"a")) is None, "only so many"
    assert leases.ending(FIRST) == broken
    assert refused(leases, TTL_MS) == 0
    leases.superseded("l", 2)
    leases.superseded("m", 2)
    assert len(leases) == 0
