"""Mistakes in orders of events while members change, which a review of the rules looked for."""

from .bug import Bug, Change

_INTERLEAVINGS = "replica/members/test_interleavings.py"
_MEMBERSHIP = "registry.replica.membership"
_SEATS = "registry.replica.members.seats"
_TAKING = "registry.replica.members.taking_over"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


BUGS = (
    _bug(
        "the feed of a second disk is read for the page of the first",
        _INTERLEAVINGS,
        "registry.replica.members.state_question",
        "self.gathering = self.gathering.without(peer)",
        "pass",
    ),
    _bug(
        "a term that others chose in a later epoch counts as a lease",
        _INTERLEAVINGS,
        "registry.replica.locks.granting",
        "is_of_epoch and decree.key in step.counted",
        "is_of_epoch",
    ),
    _bug(
        "a term of an earlier epoch that is counted in this one counts as a lease",
        "replica/members/test_counting.py",
        "registry.replica.locks.granting",
        "is_of_epoch and decree.key in step.counted",
        "decree.key in step.counted",
    ),
    _bug(
        "a node that is not ready counts itself for a page of a list",
        _INTERLEAVINGS,
        "registry.replica.requests.lists",
        "return voters if read.counts_own and is_sound else voters - {self._node.name}",
        "return voters",
    ),
    _bug(
        "votes count before the life that gave them has told its seat",
        _INTERLEAVINGS,
        _SEATS,
        "(incarnation >= life and ready >= epoch)",
        "ready >= epoch",
    ),
    _bug(
        "a copy that took over again is not refused",
        _INTERLEAVINGS,
        _SEATS,
        "_ready(shown) == _ready(known) and shown.since != known.since",
        "False",
    ),
    _bug(
        "answers of a directory that was refused count",
        _INTERLEAVINGS,
        "registry.replica.peer_messages",
        "(sender in self._node.guests or sender in self._parts.seats.refused)",
        "sender in self._node.guests",
    ),
    _bug(
        "an earlier voter that greets again is neither a peer nor a guest",
        _INTERLEAVINGS,
        _MEMBERSHIP,
        "        if shown.node not in node.sources:\n            return False\n",
        "",
    ),
    _bug(
        "a term relies on the home promise after one of an earlier epoch",
        _INTERLEAVINGS,
        "registry.replica.consensus.home_promise",
        "return learned.ballot.epoch == self._node.epoch.number",
        "return True",
    ),
    _bug(
        "a page of a feed with a gap passes for a whole one",
        _INTERLEAVINGS,
        "registry.replica.feed.catchup",
        "pulling.has_gap = len(page.keys) < page.next_start - page.start",
        "pulling.has_gap = False",
    ),
    _bug(
        "a page of the feed of another disk is read",
        _INTERLEAVINGS,
        "registry.replica.feed.catchup",
        "page.disk_id != self._disk_of(sender)\n            or",
        "False\n            or",
    ),
    _bug(
        "answers to a list count over a seal",
        _INTERLEAVINGS,
        "registry.replica.requests.lists",
        "if read.epoch != self._node.epoch.number:\n            return",
        "if False:\n            return",
    ),
    _bug(
        "answers about a lease count over a seal",
        _INTERLEAVINGS,
        "registry.replica.locks.lock_queues",
        "if ask.epoch != self._node.epoch.number:\n            return",
        "if False:\n            return",
    ),
    _bug(
        "keep-alives count over a seal",
        _INTERLEAVINGS,
        "registry.replica.locks.renewals",
        "if renewal is None or renewal.epoch != self._node.epoch.number:",
        "if renewal is None:",
    ),
    _bug(
        "a page of a namesake is taken",
        _INTERLEAVINGS,
        "registry.replica.peer_messages",
        "parts.on_state_page, taking_over.needs, is_answer=True)",
        "parts.on_state_page, taking_over.needs)",
    ),
    _bug(
        "a directory under a voter's name is that voter when a change is judged",
        "replica/members/test_preflight.py",
        "registry.replica.members.preflight",
        "return found if found is not None and found.disk_id == disk_id else None",
        "return found if found is not None and found.votes in (True, False) else None",
    ),
    _bug(
        "a node whose disk failed shows its state",
        _INTERLEAVINGS,
        _TAKING,
        "if node.failed or not (whole or is_source):",
        "if not (whole or is_source):",
    ),
)
