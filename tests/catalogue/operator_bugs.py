"""Mistakes in changes by operators: the epoch that they saw, half-done changes, names, leaving."""

from .bug import Bug, Change

_TESTS = "replica/members/test_changing.py"
_PREFLIGHT_TESTS = "replica/members/test_preflight.py"
_LEAVING_TESTS = "replica/members/test_dismissal.py"
_CHANGING = "registry.replica.members.changing"
_PREFLIGHT = "registry.replica.members.preflight"
_LEAVING = "registry.replica.members.leaving"
_ATTEMPT = "registry.replica.consensus.attempt"
_SAME = "(is_same_change(each.claim.value, decree.value) for each in self.claims)"
_WANTED = f"wanted = any{_SAME}"
_SAW = "members_key(request.base + 1)"
_NOW = "members_key(self._node.epoch.number + 1)"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


EPOCHS = (
    Bug(
        "a change is proposed in the present epoch, and not in the one that its operator saw",
        (
            Change(_CHANGING, f"step.instances[{_SAW}]", f"step.instances[{_NOW}]"),
            Change(
                _CHANGING,
                "base = request.base if isinstance(request, ChangeRequest) else ",
                "base = ",
            ),
            Change(_CHANGING, "elif request.base != self._node.epoch.number:", "elif False:"),
            Change(
                _CHANGING,
                "if request.base != self._node.epoch.number:  # somebody",
                "if False:  # somebody",
            ),
            Change(
                _CHANGING,
                "epoch = wanted.epoch(request.base + 1)",
                "epoch = wanted.epoch(self._node.epoch.number + 1)",
            ),
        ),
        held_by=_TESTS,
    ),
    _bug(
        "a change goes on in the next epoch if its own ends while it is judged",
        _TESTS,
        _CHANGING,
        "if request.base != self._node.epoch.number:  # somebody",
        "if False:  # somebody",
    ),
)

HALF_DONE = (
    Bug(
        "a half-done change is finished by a node that accepted it",
        (
            Change(
                "registry.replica.requests.recovery",
                "        if epoch_of(event.key) is not None:\n            return",
                "        if epoch_of(event.key) == 0:\n            return",
            ),
            Change(_ATTEMPT, _WANTED, f"wanted = not self.claims or any{_SAME}"),
        ),
        held_by="replica/members/test_rules.py",
    ),
    _bug(
        "a half-done change that a ballot meets is finished, though another one is wanted",
        _TESTS,
        _ATTEMPT,
        "return None if wanted else decree",
        "return None",
    ),
    _bug(
        "a half-done change is no obstacle to another one",
        _PREFLIGHT_TESTS,
        _PREFLIGHT,
        "if change is None or not wanted.is_of(change.epoch):",
        "if change is None:",
    ),
)

NAMES = (
    _bug(
        "a directory that joins counts as the voter whose name it has",
        _PREFLIGHT_TESTS,
        _PREFLIGHT,
        "return self.standing(node, self.remembered(node)) if node in self.epoch.nodes else None",
        "return dict(self.standings).get(NodeId(node))",
    ),
    _bug(
        "a directory takes the place of one that is up",
        _PREFLIGHT_TESTS,
        _PREFLIGHT,
        "if now.voter(node) is not None:",
        "if now is None:",
    ),
    _bug(
        "a joiner reports those of its file as voters",
        _TESTS,
        _CHANGING,
        "if not self._node.may_count:",
        "if False:",
    ),
)

LEAVING = (
    _bug(
        "a node that lost its vote leaves before enough others are ready",
        _LEAVING_TESTS,
        _LEAVING,
        "if len(ready) < self._needed:",
        "if ready is None:",
    ),
    _bug(
        "a node that lost its vote leaves while voters withhold what it may have to show",
        _LEAVING_TESTS,
        "registry.replica.members.seats",
        "[peer for peer in ready if self._withholding.get(peer) == 0]",
        "ready",
    ),
    _bug(
        "a late word says that a voter withholds nothing",
        _LEAVING_TESTS,
        "registry.replica.members.seats",
        "            if _order(record) < _order(before):\n",
        "            self._withholding[sender] = told.withheld\n"
        "            if _order(record) < _order(before):\n",
    ),
    _bug(
        "an observer leaves",
        _LEAVING_TESTS,
        _LEAVING,
        "return knows and node.seat.ready is not None and not node.is_voter(node.epoch)",
        "return knows and not node.is_voter(node.epoch)",
    ),
    _bug(
        "a voter leaves",
        _LEAVING_TESTS,
        _LEAVING,
        "return knows and node.seat.ready is not None and not node.is_voter(node.epoch)",
        "return knows and node.seat.ready is not None",
    ),
)

BUGS = EPOCHS + HALF_DONE + NAMES + LEAVING
