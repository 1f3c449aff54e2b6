"""Mistakes in reads of undecided keys that are asked about together."""

from .bug import Bug, Change

_TESTS = "replica/requests/test_read_groups.py"
_GROUPS = "registry.replica.requests.read_groups"
_READS = "registry.replica.requests.reads"


def _bug(name: str, module: str, old: str, new: str, held_by: str = _TESTS) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


BUGS = (
    _bug(
        "a read joins a question that has left",
        _GROUPS,
        "        group, self.gathering = self.gathering, None\n",
        "        group = self.gathering\n",
    ),
    _bug(
        "a key that somebody has accepted stays in its group and is counted",
        _GROUPS,
        "accepted = self._take_out(group, answer.accepted)",
        "accepted = ()",
    ),
    _bug(
        "an answer counts for the keys that it leaves out",
        _GROUPS,
        "            self._set_apart(step, group, sender, answer.left_out)\n",
        "",
    ),
    _bug(
        "who leaves a key out is counted when the key is asked about alone",
        _GROUPS,
        "apart.answered |= group.answered",
        "apart.answered |= {*group.answered, sender}",
    ),
    _bug(
        "a node without a vote answers questions of readers",
        _READS,
        "if self._node.voting and len(left_out)",
        "if len(left_out)",
        "replica/consensus/test_lease_checks.py",
    ),
    _bug(
        "a question that is asked again is answered from an older state",
        _READS,
        "            answer = QueryAnswer(query.id, tuple(accepted), tuple(left_out))\n",
        "            answer = QueryAnswer(query.id, tuple(accepted), tuple(left_out))\n"
        "            answer = vars(self).setdefault('_told', {}).setdefault(query.id, answer)\n",
    ),
    _bug(
        "an acceptance of the node that reads does not count",
        _READS,
        "elif asks and instance.accepted is None and",
        "elif asks and",
    ),
    _bug(
        "gets of a frame that find no quorum have no end",
        _GROUPS,
        "            return\n        self._unfold(step, group)\n        for read in group.all():\n",
        "            return\n        for read in group.all():\n",
    ),
    _bug(
        "the gets of a frame are not found when their client is gone",
        _READS,
        "        requests.unfold = self.groups.unfold\n",
        "",
    ),
)
