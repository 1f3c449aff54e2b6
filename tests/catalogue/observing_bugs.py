"""Mistakes around observers, guests that come and go, and clients that follow the members."""

from .bug import Bug, Change

_MOVED_TESTS = "client/transport/test_moved.py"
_NEAREST_TESTS = "client/requests/test_nearest.py"
_FORMED_TESTS = "storage/test_formed_members.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


FOLLOWING = (
    _bug(
        "a node that slept brings back members that are gone",
        _MOVED_TESTS,
        "client.requests.pool",
        "if not (is_ours and welcome.epoch < self.epoch):",
        "if True:",
    ),
    _bug(
        "what waits at a removed node stays there",
        _MOVED_TESTS,
        "client.requests.attempt",
        "if link.silent or link.retired:",
        "if link.silent:",
    ),
    _bug(
        "a list is asked of an observer",
        _NEAREST_TESTS,
        "client.requests.pool",
        "best = self._nearest() if anywhere else None",
        "best = self._nearest()",
    ),
    _bug(
        "the refusal of an observer ends reading from it",
        _NEAREST_TESTS,
        "client.requests.attempt",
        "if isinstance(error, NotMember) and not self._pool.may_observe(link):",
        "if isinstance(error, NotMember):",
    ),
)

NODES = (
    _bug(
        "a guest counts as gone when one of its two links ends",
        "replica/members/test_joining.py",
        "registry.replica.membership",
        "        if not links:\n            self._guests",
        "        if True:\n            self._guests",
    ),
    _bug(
        "a formed directory takes the quorum sizes of a later file",
        _FORMED_TESTS,
        "registry.formed",
        "config, addresses=addresses, quorums=Quorums(nodes, formed.prepare, formed.accept)",
        "config, addresses=addresses, quorums=Quorums(nodes, len(nodes), len(nodes))",
    ),
    _bug(
        "a directory that has not formed takes the members of another file",
        _FORMED_TESTS,
        "storage.identity",
        "if found.formation is not None and found.members is not None:",
        "if found.members is not None:",
    ),
    _bug(
        "a node without a link pings nobody, all the time",
        "server/test_idle.py",
        "registry.server.liveness",
        "            if not self._linked:\n",
        "            if False:\n",
    ),
)

BUGS = FOLLOWING + NODES
