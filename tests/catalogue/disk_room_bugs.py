"""Mistakes in what a node does when its disk fills, and in what it tells of itself."""

from .bug import Bug, Change

_ROOM = "replica/test_room.py"
_ADMIN = "server/test_admin.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(f"registry.{module}", old, new),), held_by=held_by)


BUGS = (
    _bug(
        "below the hard mark a node accepts batches",
        _ROOM,
        "replica.consensus.acceptor",
        "if self._node.is_full or ballot.round >> EPOCH_BITS != self._node.vote_epoch:",
        "if ballot.round >> EPOCH_BITS != self._node.vote_epoch:",
    ),
    _bug(
        "below the hard mark a node accepts single proposals",
        _ROOM,
        "replica.consensus.acceptor",
        "if (epoch != self._node.vote_epoch or self._node.is_full) and instance.learned is None:",
        "if epoch != self._node.vote_epoch and instance.learned is None:",
    ),
    _bug(
        "below the soft mark a node coordinates claims itself",
        _ROOM,
        "replica.requests.claims",
        "if self._node.room:",
        "if self._node.is_full:",
    ),
    _bug(
        "below the hard mark a node pulls what it lacks",
        _ROOM,
        "replica.feed.catchup",
        "self._node.sources if not self._node.is_full else ()",
        "self._node.sources",
    ),
    _bug(
        "below the hard mark a read does not find what others have frozen",
        _ROOM,
        "replica.feed.learner",
        "if not self._node.is_full or self._awaits(message.key):",
        "if not self._node.is_full:",
    ),
    _bug(
        "below the hard mark the outcome of what was accepted above it is not taken",
        _ROOM,
        "replica.parts",
        "return tried or self.acceptors.doubts(key) or self.reads.awaits(key)",
        "return tried or self.reads.awaits(key)",
    ),
    _bug(
        "below the hard mark a wait hears of no batch",
        _ROOM,
        "replica.feed.learner",
        "            self._look_again(step, keys)\n",
        "            pass\n",
    ),
    _bug(
        "the hard mark is never left",
        _ROOM,
        "space",
        "full = full_bytes * (CLEARS if before is RoomLeft.FULL else 1.0)",
        "full = full_bytes * (1e9 if before is RoomLeft.FULL else 1.0)",
    ),
    _bug(
        "a mark is left at its own bytes",
        _ROOM,
        "space",
        "low = low_bytes * (CLEARS if before is not RoomLeft.ENOUGH else 1.0)",
        "low = low_bytes * 1.0",
    ),
    _bug(
        "a node that does not vote says that it is ready",
        _ADMIN,
        "server.admin.sources",
        "if not node.accepts:",
        "if node.failed:",
    ),
    _bug(
        "the admin listener answers to every name",
        _ADMIN,
        "server.admin.askers",
        'return name == "localhost" or is_loopback(name)',
        "return bool(name)",
    ),
    _bug(
        "beyond this machine the admin listener speaks without TLS",
        _ADMIN,
        "server.admin.listener",
        "if not self.is_near and self._securing.credentials is None:",
        "if self.places is None:",
    ),
    _bug(
        "the admin listener tells strangers all",
        "tls/test_admin.py",
        "server.admin.listener",
        "return ANONYMOUS if path == OPEN else self._askers.check(request, shown)",
        "return ANONYMOUS",
    ),
    _bug(
        "the admin listener judges a certificate without the policy",
        "tls/test_admin.py",
        "server.admin.askers",
        "reason = shown.fault or self._securing.admitted.refused(shown.identity, shown.marks)",
        "reason = shown.fault",
    ),
    _bug(
        "a disk has the marks of a large one whatever its size",
        _ROOM,
        "config",
        "low = min(self.low_bytes, size_bytes * self.low_percent // 100)",
        "low = self.low_bytes",
    ),
)
