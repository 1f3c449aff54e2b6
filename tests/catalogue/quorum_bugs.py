"""Mistakes in the result of the nodes' answers about a term, and in how terms end.

Most show where prepare and accept quorums differ, or where a node differs from its quorum.
"""

from .bug import Bug, Change


def _bug(name: str, held_by: str, *changes: tuple[str, str, str]) -> Bug:
    made = tuple(Change(module, old, new) for module, old, new in changes)
    return Bug(name, made, held_by=held_by)


_ANSWERS_TESTS = "replica/locks/test_lease_answers.py"
ANSWERS = (
    _bug(
        "a question that one request has left is not awaited",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "return any(not pending.done for pending in self.serves)",
            "return all(not pending.done for pending in self.serves)",
        ),
    ),
    _bug(
        "a term is kept by an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.renewals",
            "if quorums.prepared(renewal.kept):",
            "if quorums.accepted(renewal.kept):",
        ),
    ),
    _bug(
        "a term is kept by a majority",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.renewals",
            "if quorums.prepared(renewal.kept):",
            "if 2 * len(renewal.kept) > len(quorums.members):",
        ),
    ),
    _bug(
        "a term is superseded once an accept quorum cannot keep it",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.renewals",
            "elif not quorums.prepared(set(self._node.nodes) - renewal.refused):",
            "elif not quorums.accepted(set(self._node.nodes) - renewal.refused):",
        ),
    ),
    _bug(
        "the refusal of one node supersedes a term",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.renewals",
            "elif not quorums.prepared(set(self._node.nodes) - renewal.refused):",
            "elif renewal.refused:",
        ),
    ),
    _bug(
        "a question is answered by an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "return quorums.prepared(self.answers.keys())",
            "return quorums.accepted(self.answers.keys())",
        ),
    ),
    _bug(
        "a term is free by an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "return quorums.prepared([n for n, given",
            "return quorums.accepted([n for n, given",
        ),
    ),
    _bug(
        "a give-up is taken by an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.giving_up",
            "if self._node.quorums.prepared(passing.taken):",
            "if self._node.quorums.accepted(passing.taken):",
        ),
    ),
    _bug(
        "undecided is answered by an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.requests.read_groups",
            "if not self._node.quorums.prepared(group.answered):",
            "if not self._node.quorums.accepted(group.answered):",
        ),
    ),
    _bug(
        "a list is made by an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.requests.lists",
            "if not self._node.quorums.prepared(self._voters(read, read.answers.keys())):",
            "if not self._node.quorums.accepted(self._voters(read, read.answers.keys())):",
        ),
    ),
    _bug(
        "a claim confirms itself if prepare quorums are majorities",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.granting",
            "is_counted and 2 * quorums.accept > len(quorums.members)",
            "is_counted and 2 * quorums.prepare > len(quorums.members)",
        ),
    ),
    _bug(
        "remaining time is that of an accept quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "[quorums.prepare - 1]",
            "[quorums.accept - 1]",
        ),
    ),
    _bug(
        "remaining time is that of a majority",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "[quorums.prepare - 1]",
            "[len(quorums.members) // 2]",
        ),
    ),
    _bug(
        "remaining time is the shortest lease",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "[quorums.prepare - 1]",
            "[0]",
        ),
    ),
    _bug(
        "remaining time is the longest lease",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "[quorums.prepare - 1]",
            "[-1]",
        ),
    ),
    _bug(
        "remaining time is that of the node that was asked",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        wait_ms = ask.wait_ms(self._node.quorums)\n",
            "        wait_ms = self._leases.remaining_ms(step.now_ms, lease_id(ask.decree), 0)\n",
        ),
    ),
    _bug(
        "remaining time is answered before it is that of a quorum",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "                free_ms = queue.held_until_ms\n",
            "                lefts = [one.remaining_ms for one in ask.answers.values()]\n"
            "                free_ms = step.now_ms + min(lefts)\n",
        ),
    ),
    _bug(
        "remaining time is what it was when the term began",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queues",
            "        queue.held_until_ms = step.now_ms + wait_ms\n",
            "",
        ),
    ),
    _bug(
        "a term ended as the first answer says",
        _ANSWERS_TESTS,
        (
            "registry.replica.locks.lock_queue",
            "return min(endings, key=lambda one: (one.how not in AT_ONCE, one.how), default=None)",
            "return endings[0] if endings else None",
        ),
    ),
)

_BROKEN_TESTS = "locks/test_broken.py"
BROKEN = (
    _bug(
        "a repeated accept revives a broken term",
        _BROKEN_TESTS,
        (
            "registry.locks.leases",
            "self._put(Lease(lease_id, now_ms + ttl_ms, self.ending(lease_id), secret_hash))",
            "self._put(Lease(lease_id, now_ms + ttl_ms, None, secret_hash))",
        ),
    ),
    _bug(
        "a later end overwrites a release",
        _BROKEN_TESTS,
        (
            "registry.locks.leases",
            "if known is None or known.how not in _PASSES:",
            "if True:",
        ),
    ),
    _bug(
        "a release after a break is ignored",
        _BROKEN_TESTS,
        (
            "registry.locks.leases",
            "if known is None or known.how not in _PASSES:",
            "if known is None:",
        ),
    ),
    _bug(
        "a term that was ended is renewed",
        _BROKEN_TESTS,
        (
            "registry.locks.leases",
            "if later or self.ending(lease_id) is not None:",
            "if later:",
        ),
    ),
)

BUGS = ANSWERS + BROKEN
