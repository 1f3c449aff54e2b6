"""Mistakes with answers that several requests share, one of which leaves or came too late."""

from .bug import Bug, Change


def _bug(name: str, held_by: str, *changes: tuple[str, str, str]) -> Bug:
    made = tuple(Change(module, old, new) for module, old, new in changes)
    return Bug(name, made, held_by=held_by)


_SHARED_TESTS = "replica/requests/test_shared_questions.py"
SHARED = (
    _bug(
        "a queue ends with the first request that leaves it",
        _SHARED_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        if not queue.waiters:\n            self._close(step, queue)\n        elif waited",
            "        if not queue.waiters or not waited:\n"
            "            self._close(step, queue)\n"
            "        elif waited",
        ),
    ),
    _bug(
        "an attempt ends with the first request that leaves it",
        _SHARED_TESTS,
        (
            "registry.replica.consensus.attempt",
            "        for candidate in self.claims:\n            if candidate.pending.done:",
            "        if any(one.pending.done for one in (*self.claims, *self.followers)):\n"
            "            self.claims, self.followers = [], []\n"
            "        for candidate in self.claims:\n            if candidate.pending.done:",
        ),
    ),
    _bug(
        "an attempt that only reads wait for counts as unwanted",
        _SHARED_TESTS,
        (
            "registry.replica.consensus.attempt",
            "return bool(self.claims or self.followers)",
            "return bool(self.claims)",
        ),
    ),
    _bug(
        "all reads leave an attempt with the first",
        _SHARED_TESTS,
        (
            "registry.replica.consensus.attempt",
            "self.followers = [f for f in self.followers if not f.pending.done]",
            "self.followers = [] if any(f.pending.done for f in self.followers) else self.followers",
        ),
    ),
    _bug(
        "waits for a key are forgotten with the first that ends",
        _SHARED_TESTS,
        (
            "registry.replica.requests.reads",
            "            if remaining:\n                self._waits[key] = remaining\n",
            ("            if len(remaining) == len(waits):\n                pass\n"),
        ),
    ),
    _bug(
        "a read that is over ends all reads of its key",
        _SHARED_TESTS,
        (
            "registry.replica.requests.read_groups",
            "        if read in others:\n            others.remove(read)\n",
            "        others.clear()\n",
        ),
    ),
    _bug(
        "no waiter follows a candidate that is gone",
        _SHARED_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        elif waited and queue.candidate is None:\n"
            "            self.latest.find(step, queue)\n",
            "",
        ),
    ),
    _bug(
        "a cancelled request leaves its queue as it was",
        _SHARED_TESTS,
        (
            "registry.replica.client_requests",
            "            self._leave(step, cancelled)\n",
            "            self._parts.lists.leave(step, cancelled)\n",
        ),
    ),
    _bug(
        "a question about a term is dropped with the first request that leaves",
        _SHARED_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "            self._forget_claim(pending)\n",
            "            self._forget_claim(pending)\n            self.ask = None\n",
        ),
    ),
    _bug(
        "a queue waits forever for a request that finished the next term",
        _SHARED_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        self._coordinator.follow(step, lease_id(ask.decree).next_key, pending, then)\n"
            "        self._pause(step, queue, MAX_PAUSE_MS)\n",
            "        self._coordinator.follow(step, lease_id(ask.decree).next_key, pending, then)\n",
        ),
    ),
)

_FRESH_TESTS = "replica/locks/test_held_is_fresh.py"
FRESH = (
    _bug(
        "held is answered to requests from after the question",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        for pending in ask.serves:\n"
            "            if not queues(pending) and not pending.indefinite:",
            "        for pending in list(queue.waiters):\n"
            "            if not queues(pending) and not pending.indefinite:",
        ),
    ),
    _bug(
        "a question serves requests from after it",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lease_queries",
            "Ask(self._node.tokens.ask(self), decree, list(queue.waiters), epoch)",
            "Ask(self._node.tokens.ask(self), decree, queue.waiters, epoch)",
        ),
    ),
    _bug(
        "free is answered to requests from after the question",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        for pending in ask.serves:\n            if not wants_it(pending):",
            "        for pending in list(queue.waiters):\n            if not wants_it(pending):",
        ),
    ),
    _bug(
        "a quorum counts as having answered requests from after the question",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        ask.mark_undecided()\n        for pending",
            "        for pending in queue.waiters:\n"
            "            pending.undecided = True\n"
            "        for pending",
        ),
    ),
    _bug(
        "an earlier answer serves the next request",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "elif queue.ask is None or queue.ask.told:",
            "elif queue.ask is None:",
        ),
    ),
    _bug(
        "held is answered at the end though no quorum answered",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "if pending.undecided and not pending.indefinite and decree and queue:",
            "if not pending.indefinite and decree and queue:",
        ),
    ),
    _bug(
        "held is answered at the end to a claim that was proposed",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "if pending.undecided and not pending.indefinite and decree and queue:",
            "if pending.undecided and decree and queue:",
        ),
    ),
    _bug(
        "one answer to an overtaken question proves a quorum",
        _FRESH_TESTS,
        (
            "registry.replica.locks.lease_queries",
            "            if ask.answered(self._node.quorums):\n"
            "                ask.mark_undecided()",
            "            if ask.answers:\n                ask.mark_undecided()",
        ),
    ),
)

BUGS = SHARED + FRESH
