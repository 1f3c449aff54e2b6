"""Mistakes in locks: leases, the lease check, keep-alives, and the validity at the holder.

Storms over locks judge them by true time. The model checker has no time, so it catches none of them.
"""

from .bug import Bug, Change

_TESTS = 1_000
"""The budget of all written-out tests, which run in the order of their files."""


def _bug(
    name: str,
    module: str,
    old: str,
    new: str,
    lock_storms: int | None = 400,
    tests: int | None = None,
    give_up_storms: int | None = None,
) -> Bug:
    change = Change(f"registry.{module}", old, new)
    return Bug(
        name,
        (change,),
        lock_storms=lock_storms,
        give_up_storms=give_up_storms,
        tests=tests,
    )


LEASE_CHECK = (
    _bug("lease check left out", "replica.consensus.acceptor", "if refusal_ms > 0:", "if False:"),
    _bug(
        "lease check on the promise only",
        "replica.consensus.acceptor",
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
        "lease forgotten at a restart without the wait",
        "replica.replica",
        "self.parts.leases.started_ms = step.now_ms",
        "self.parts.leases.started_ms = -1e9",
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
        "        self._leases.setdefault(lease.lease_id.lock, {})[lease.lease_id] = lease",
        "        self._leases[lease.lease_id.lock] = {lease.lease_id: lease}",
        None,  # storms have not met it: it takes three links that break and mend in one order
        tests=_TESTS,
    ),
    _bug(
        "accepting a term starts no lease",
        "replica.consensus.acceptor",
        "        self._leases.start(",
        "        None and self._leases.start(",
    ),
)
ENDINGS = (
    Bug(
        "a loser's release is taken for the holder's",
        (
            Change(
                "registry.replica.locks.renewals",
                "if not isinstance(found, Decree) or found.claim_id != held.claim_id:\n"
                "                message",
                "if not isinstance(found, Decree):\n                message",
            ),
            Change(  # the holder of that term has another secret
                "registry.replica.locks.renewals",
                "if releases and not _is_opened(found, held, request.secret):",
                "if False:",
            ),
        ),
        lock_storms=400,
    ),
    _bug(
        "an expired term is recorded as released",
        "replica.locks.lock_queues",
        "ending or Ending(How.EXPIRED)",
        "ending or Ending(How.RELEASED)",
    ),
)
KEEPING = (
    _bug(
        "keep-alive accepted after n+1",
        "replica.locks.renewals",
        "kept = _is_open(following) and",
        "kept =",
    ),
    _bug(
        "keep-alive renews nothing",
        "locks.leases",
        "        self._put(Lease(lease_id, now_ms + ttl_ms, None, secret_hash))\n        return True",
        "        return True",
    ),
    _bug(
        "a term is kept without a quorum",
        "replica.locks.renewals",
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
        None,  # the lease check and asking first nearly always prevent its effect
        tests=_TESTS,
    ),
    _bug(
        "a claim confirms itself though too few had accepted",
        "replica.locks.granting",
        "is_counted and 2 * quorums.accept > len(quorums.members)",
        "is_counted",
        None,  # the same
        tests=_TESTS,
    ),
)
FORGETTING = (
    Bug(
        "token reused: a forgotten term is taken for an empty one",
        (
            Change(
                "storage.store",
                "gone = self._floors.forgotten_of(keys)",
                "gone = self._floors.forgotten_of(())",
            ),
        ),
        tests=_TESTS,  # storms over locks are too short to forget anything
    ),
)
GIVING_UP = (
    _bug(
        "a give-up is taken and not remembered",
        "locks.giveups",
        "        self._until_ms[claim_id] = shown\n",
        "        self._until_ms[claim_id] = {}\n",
        None,  # in storms whose nodes die, leases run out in any case
        give_up_storms=50,
    ),
    Bug(
        "a term granted before the give-up of its claim continues",
        (
            Change(
                "registry.locks.leases",
                "if (lease.lease_id.claim_id, lease.secret_hash) == (claim_id, secret_hash):",
                "if False:",
            ),
            Change(
                "registry.replica.locks.giving_up",
                "            self._leases.end_if_decreed_to_given_up(step.now_ms, latest)\n",
                "",
            ),
            Change(  # a node that asks about it would find out
                "registry.replica.locks.renewals",
                "        self._leases.end_if_given_up(step.now_ms, held, message.ttl_ms, "
                "message.secret_hash)\n",
                "",
            ),
        ),
        give_up_storms=50,
    ),
    _bug(
        "a give-up needs no secret",
        "locks.giveups",
        "return secret_hash in self._until_ms.get(claim_id, ())",
        "return claim_id in self._until_ms",
    ),
    _bug(
        "a release needs no secret",
        "replica.locks.renewals",
        "if releases and not _is_opened(found, held, request.secret):",
        "if False:",
    ),
    _bug(
        "a keep-alive needs no secret",
        "replica.locks.renewals",
        "if not isinstance(found, Decree) or not _is_opened(found, held, request.secret):",
        "if not isinstance(found, Decree) or found.claim_id != held.claim_id:",
        None,  # a stranger's keep-alive delays the next holder, without an overlap
        tests=_TESTS,
    ),
    _bug(
        "a term that is accepted after the give-up is kept",
        "locks.leases",
        'None:\n        """Start a lease: the node accepts a term for this holder."""\n'
        "        self._put(Lease(lease_id, now_ms + ttl_ms, self.ending(lease_id), secret_hash))\n"
        "        self.end_if_given_up(now_ms, lease_id, ttl_ms, secret_hash)",
        "None:\n"
        "        self._put(Lease(lease_id, now_ms + ttl_ms, self.ending(lease_id), secret_hash))",
        None,  # the term is ended when it is learned or asked about, so no wait is long
        tests=_TESTS,
    ),
    _bug(
        "a term that was accepted before the give-up is kept",
        "locks.leases",
        "if (lease.lease_id.claim_id, lease.secret_hash) == (claim_id, secret_hash):",
        "if False:",
        None,  # the same
        tests=_TESTS,
    ),
    _bug(
        "a give-up is confirmed without a quorum",
        "replica.locks.giving_up",
        "if self._node.quorums.prepared(passing.taken):",
        "if passing.taken:",
        None,
        tests=_TESTS,
    ),
    _bug(
        "a claim that was given up is sent once more",
        "replica.locks.giving_up",
        "        given_up = self._leases.given_up.has(claim.claim_id, claim.secret_hash)\n",
        "        given_up = False\n",
        None,
        tests=_TESTS,
    ),
    _bug(
        "the waiters of a given-up claim stay in the queue",
        "replica.locks.giving_up",
        "if request.claim.secret_hash == message.secret_hash:",
        "if False:",
        None,  # it leads to a term that is over at once
        tests=_TESTS,
    ),
    _bug(
        "give-ups are never forgotten",
        "locks.leases",
        "        self.given_up.prune(now_ms)\n",
        "",
    ),
)
BUGS = LEASE_CHECK + ENDINGS + KEEPING + HOLDING + FORGETTING + GIVING_UP
