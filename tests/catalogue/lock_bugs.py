"""Mistakes in locks: leases, the guard, keep-alives, and what a holder makes of the answers.

Storms over locks judge them on true time. None is in the model checker, which knows no time.
"""

from .bug import Bug, Change


def _bug(
    name: str,
    module: str,
    old: str,
    new: str,
    lock_storms: int | None = 400,
    tests: int | None = None,
) -> Bug:
    change = Change(f"registry.{module}", old, new)
    return Bug(name, (change,), lock_storms=lock_storms, tests=tests)


GUARD = (
    _bug("guard left out", "replica.acceptors", "if refusal_ms > 0:", "if False:"),
    _bug(
        "guard on the promise only",
        "replica.acceptors",
        "if refusal_ms > 0:",
        "if refusal_ms > 0 and instance.promised != message.ballot:",
    ),
    _bug(
        "start + ttl is not waited for after a restart",
        "locks.leases",
        "self.started_ms + ttl_ms - now_ms)",
        "0.0)",
    ),
    _bug(
        "lease forgotten at a restart that nobody noted",
        "replica.replica",
        "self._leases.started_ms = turn.now_ms",
        "self._leases.started_ms = -1e9",
    ),
    _bug(
        "a lease that has not run out is taken for expired",
        "locks.leases",
        "previous is None or previous.ending.how in _PASSES",
        "previous is None or previous.ending.how in (*_PASSES, How.EXPIRED)",
    ),
    _bug(
        "a broken term is not waited for",
        "locks.leases",
        "frozenset({How.RELEASED, How.FORCED})",
        "frozenset({How.RELEASED, How.FORCED, How.BROKEN})",
    ),
    _bug(
        "learning a term ends its own lease",
        "locks.leases",
        "if held.term < term]:",
        "if held.term <= term]:",
    ),
    _bug(
        "a loser's late acceptance ends the holder's lease",
        "locks.leases",
        "        self._leases.setdefault(lease.tenure.lock, {})[lease.tenure] = lease",
        "        self._leases[lease.tenure.lock] = {lease.tenure: lease}",
        None,  # storms have not met it: it takes three links that break and mend in one order
        tests=600,
    ),
    _bug(
        "accepting a term starts no lease",
        "replica.acceptors",
        "        self._leases.start(",
        "        None and self._leases.start(",
    ),
)
ENDINGS = (
    _bug(
        "a loser's release is taken for the holder's",
        "replica.renewals",
        "if found is None or found.claim_id != request.tenure.claim_id:\n                message",
        "if found is None:\n                message",
    ),
    _bug(
        "what has expired is said to be released",
        "replica.contests",
        "ending or Ending(How.EXPIRED)",
        "ending or Ending(How.RELEASED)",
    ),
)
KEEPING = (
    _bug(
        "keep-alive accepted after n+1",
        "replica.renewals",
        "kept = _is_open(following) and",
        "kept =",
    ),
    _bug(
        "keep-alive renews nothing",
        "locks.leases",
        "        self._put(Lease(tenure, now_ms + ttl_ms))\n        return True",
        "        return True",
    ),
    _bug(
        "a term is kept without a quorum",
        "replica.renewals",
        "if quorums.prepared(renewal.kept):",
        "if renewal.kept:",
    ),
)
HOLDING = (
    _bug(
        "validity from the last sending of a repeated claim",
        "locks.holding",
        "if not leased or len(sent_ms) != 1 or now_ms >= sent_ms[0] + validity_ms(ttl_ms):\n"
        "            return held\n        return held.confirmed(sent_ms[0], now_ms)",
        "return held.confirmed(sent_ms[-1], now_ms)",
    ),
    _bug(
        "validity counted from the answer",
        "locks.holding",
        "until_ms = sent_ms + validity_ms",
        "until_ms = now_ms + validity_ms",
    ),
    _bug(
        "margin left out",
        "locks.holding",
        "return ttl_ms * (1 - 2 * MAX_CLOCK_DRIFT)",
        "return ttl_ms",
        600,
    ),
    _bug(
        "a lapsed validity is revived",
        "locks.holding",
        "if self.until_ms is not None and not self.valid(now_ms):",
        "if False:",
        None,  # what it allows, the guard and the asking nearly always prevent
        tests=600,
    ),
    _bug(
        "a claim confirms itself though too few had accepted",
        "replica.granting",
        "leased = 2 * quorums.accept > len(quorums.members)",
        "leased = True",
        None,  # the same
        tests=600,
    ),
)
FORGETTING = (
    Bug(
        "token reused: what was forgotten is taken for empty",
        (
            Change(
                "storage.store",
                "gone = self._floors.forgotten_of(keys)",
                "gone = self._floors.forgotten_of(())",
            ),
        ),
        tests=600,  # storms over locks are too short to forget anything
    ),
)
BUGS = GUARD + ENDINGS + KEEPING + HOLDING + FORGETTING
