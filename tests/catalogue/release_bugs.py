"""Mistakes in how nodes hear of releases: by the accept of the next term, or by themselves, soon."""

from .bug import Bug, Change

_TESTS = "replica/locks/test_untold_releases.py"
_COSTS = "replica/locks/test_hand_over_costs.py"


def _bug(
    name: str,
    module: str,
    old: str,
    new: str,
    lock_storms: int | None = None,
    held_by: str = _TESTS,
) -> Bug:
    change = Change(f"registry.{module}", old, new)
    return Bug(name, (change,), lock_storms=lock_storms, held_by=held_by)


BUGS = (
    _bug(
        "an accept after an expired or broken term is taken for a release",
        "locks.leases",
        "if previous is not None and previous.ending.how is How.RELEASED:",
        "if previous is not None:",
    ),
    _bug(
        "whatever an accept says, the term before it is over",
        "locks.leases",
        "        if previous is not None and previous.ending.how is How.RELEASED:\n"
        "            lock, term = lock_and_term(key)\n"
        "            before = LeaseId(lock, term - 1, previous.claim_id)\n"
        "            self.end(now_ms, before, previous.ttl_ms, previous.ending)",
        "        if previous is not None:\n"
        "            lock, term = lock_and_term(key)\n"
        "            before = LeaseId(lock, term - 1, previous.claim_id)\n"
        "            self.end(now_ms, before, previous.ttl_ms, _RELEASED)",
        lock_storms=400,
    ),
    _bug(
        "an accept ends every lease on the term before it",
        "locks.leases",
        "            before = LeaseId(lock, term - 1, previous.claim_id)\n"
        "            self.end(now_ms, before, previous.ttl_ms, previous.ending)",
        "            for before in list(self._leases.get(lock, ())):\n"
        "                self.end(now_ms, before, previous.ttl_ms, previous.ending)",
    ),
    _bug(
        "a release in an accept is heard of by those who vote for it alone",
        "replica.consensus.acceptor",
        "        if instance.learned is None:\n"
        "            self._leases.end_if_released(step.now_ms, message.key, term.previous)\n"
        "        changed, answer = acceptor.on_accept(instance, message, home_ballot)\n",
        "        changed, answer = acceptor.on_accept(instance, message, home_ballot)\n"
        "        if isinstance(answer, Accepted):\n"
        "            self._leases.end_if_released(step.now_ms, message.key, term.previous)\n",
    ),
    _bug(
        "a late accept brings back what is known of a term that is over",
        "replica.consensus.acceptor",
        "        if instance.learned is None:\n            self._leases.end_if_released(",
        "        if True:\n            self._leases.end_if_released(",
    ),
    _bug(
        "a release counts as told once its own term is learned again",
        "replica.locks.untold",
        "if lease_id.lock == lock and lease_id.term < term:",
        "if lease_id.lock == lock and lease_id.term <= term:",
    ),
    _bug(
        "a release is dropped when a term of any lock is learned",
        "replica.locks.untold",
        "if lease_id.lock == lock and lease_id.term < term:",
        "if lease_id.term < term:",
    ),
    _bug(
        "a release waits for as long as the next term is proposed",
        "replica.locks.untold",
        "            untold.patient = False\n",
        "",
    ),
    _bug(
        "a release that no accept tells is told to nobody",
        "replica.locks.untold",
        "            step.broadcast(self._node.others, untold.over)\n",
        "",
    ),
    _bug(
        "a break waits as a release does",
        "replica.locks.renewals",
        "            if releases:\n                self.untold.add(step, over)",
        "            if True:\n                self.untold.add(step, over)",
    ),
    _bug(
        "a node stops before its releases are told",
        "replica.parts",
        "return working + len(self.renewals.untold)",
        "return working",
    ),
    _bug(
        "the commit of a term leaves alone",
        "server.deferrable",
        "        return DEFERRABLE_MS[CommitMany]\n",
        "        return DEFERRABLE_MS[Commit] / 4\n",
        held_by=_COSTS,
    ),
    _bug(
        "a release is told by itself too, even after the next term is decided",
        "replica.locks.routing",
        "            self._renewals.untold.on_learned(decree)\n",
        "",
        held_by=_COSTS,
    ),
)
