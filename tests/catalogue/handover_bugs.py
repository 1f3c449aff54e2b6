"""Mistakes around a change of members: bases, what is withheld, who leaves, what is told again."""

from .bug import Bug, Change

_AGAIN = "replica/members/test_told_again.py"
_BASES = "replica/members/test_bases.py"
_LEAVING = "replica/members/test_leaving.py"
_WITHHOLDING = "replica/members/test_withholding.py"
_ACCEPTOR = "registry.replica.consensus.acceptor"
_CATCHUP = "registry.replica.feed.catchup"
_SEATS = "registry.replica.members.seats"
_TAKING = "registry.replica.members.taking_over"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


OF_FEEDS = (
    _bug(
        "a home waits until the whole feed of a joiner is read",
        _BASES,
        _SEATS,
        "return told.base if told is not None and _ready(told) == epoch > 0 else None",
        "return None",
    ),
    _bug(
        "a cursor is moved to a base",
        _BASES,
        _CATCHUP,
        "            if pulling.from_base:",
        "            if pulling.from_base is None:",
    ),
    _bug(
        "taking over goes by what is read from a base on",
        _BASES,
        _CATCHUP,
        "        return record.index if record is not None else 0",
        "        read = self._base_reads.get(peer)\n"
        "        return max(record.index if record else 0, read.index if read else 0)",
    ),
    _bug(
        "what was asked of a node that left is awaited forever",
        _BASES,
        _CATCHUP,
        "if peer not in self._node.sources]:",
        "if peer is None]:",
    ),
    _bug(
        "other feeds follow one whose pages never come",
        "replica/feed/test_catchup.py",
        _CATCHUP,
        "self._pulling.keys() - self._late",
        "self._pulling.keys()",
    ),
    _bug(
        "a base counts in the next epoch",
        _BASES,
        "registry.replica.consensus.home_promise",
        "self._feeds.on_epoch(step)",
        "pass",
    ),
)

OF_SHOWING_AGAIN = (
    _bug(
        "what a source shows when it is asked again is not adopted",
        "replica/members/test_rules.py",
        _TAKING,
        "if message.after in (None, before.awaited(sender, message.incarnation)):",
        "if message.after == before.awaited(sender, message.incarnation):",
    ),
    _bug(
        "a source that became ready after its last page is not asked again",
        "replica/members/test_unreadable_feeds.py",
        _TAKING,
        "            for node in gathering.not_whole(self._cursors(gathering)):",
        "            for node in ():",
    ),
    _bug(
        "the first of several whole pages takes the place of a series",
        "paxos/test_epochs.py",
        "registry.paxos.epochs",
        "is_series = page.whole and page.after is None and page.next is None",
        "is_series = page.whole and page.after is None",
    ),
)
OF_WITHHOLDING = (
    _bug(
        "what no source could show is taken for nothing",
        _WITHHOLDING,
        _TAKING,
        "named = gathering.withheld(self._cursors(gathering))",
        "named = frozenset[Key]()",
    ),
    _bug(
        "a proposal that cannot be adopted is dropped",
        _WITHHOLDING,
        _TAKING,
        "self._unheld.add(proposal.decree.key)",
        "pass",
    ),
    _bug(
        "what was gathered for one epoch makes a node ready for the next one",
        _WITHHOLDING,
        _TAKING,
        "if not gathering.is_ready(self._cursors(gathering)):",
        "if not loaded and not gathering.is_ready(self._cursors(gathering)):",
    ),
    _bug(
        "a crash ends the silence about what is withheld",
        _WITHHOLDING,
        "registry.replica.step.step_builder",
        "self.record(WithheldRecord(key, withheld.epoch, withheld.digest, withheld.in_feed))",
        "pass",
    ),
    _bug(
        "what was adopted for a key that is withheld ends the silence",
        _WITHHOLDING,
        "registry.replica.step.step_builder",
        "        self._dirty.pop(key, None)\n        self._forgotten.add(key)\n        self.record(",
        "        self._forgotten.add(key)\n        self.record(",
    ),
    _bug(
        "a home is not told of what is withheld",
        _WITHHOLDING,
        _ACCEPTOR,
        "self._unlearned.setdefault(key, (step.now_ms, 0))",
        "pass",
    ),
    _bug(
        "a decree does not end the silence",
        _WITHHOLDING,
        "registry.replica.feed.learner",
        "            return self._told(step, decree, found)\n",
        "            return found\n",
    ),
    _bug(
        "nobody asks for the decree of what is withheld",
        _WITHHOLDING,
        "registry.replica.members.withholding",
        "step.broadcast(self._node.sources, Fetch(keys))",
        "pass",
    ),
    _bug(
        "a cursor passes over what is withheld",
        _WITHHOLDING,
        "registry.replica.feed.pages",
        "return True  # M18",
        "return False",
    ),
)

OF_LEAVING = (
    _bug(
        "a node that left says that the cluster has not formed",
        _LEAVING,
        "registry.replica.step.node",
        "        return NotMember, (",
        "        return NotFormed, (",
    ),
    _bug(
        "what waits at a node that leaves waits there until its time is over",
        _LEAVING,
        "registry.replica.replica",
        "self._client_requests.on_left(step)",
        "pass",
    ),
    _bug(
        "a watch ends when its node leaves",
        _LEAVING,
        "registry.replica.client_requests",
        "isinstance(pending.request, ListRequest | WatchRequest | MembersRequest)",
        "isinstance(pending.request, ListRequest | MembersRequest)",
    ),
    _bug(
        "a lock queue stays at a node that left",
        _LEAVING,
        "registry.replica.client_requests",
        "                self._requests.fail(step, pending, *refusal(self._node))\n"
        "                self._leave(step, pending)",
        "                self._requests.fail(step, pending, *refusal(self._node))",
    ),
    _bug(
        "a claim that was passed to a node that left fails",
        _LEAVING,
        "registry.replica.requests.claims",
        "_ELSEWHERE = (NotFormed, NotMember, StorageFailed, DamagedError)",
        "_ELSEWHERE = (NotFormed, StorageFailed, DamagedError)",
    ),
    _bug(
        "a client asks a node that left first, again and again",
        "client/requests/test_claims.py",
        "client.requests.attempt",
        "link.avoid(NO_VOTER_AVOID_SECONDS)",
        "pass",
    ),
)

OF_BREAKS = (
    _bug(
        "those who vote from now on are not told what was broken",
        _AGAIN,
        "registry.replica.parts",
        "self.renewals.tell_broken(step, *self.node.others)",
        "pass",
    ),
    _bug(
        "a voter that lost what was broken in a restart is not told again",
        _AGAIN,
        "registry.replica.peer_messages",
        "self._parts.renewals.tell_broken(step, sender)",
        "pass",
    ),
    _bug(
        "a term that is only released is told as broken",
        _AGAIN,
        "registry.locks.leases",
        "if lease.ending and lease.ending.how in _BREAKS]",
        "if lease.ending]",
    ),
)

BUGS = OF_FEEDS + OF_SHOWING_AGAIN + OF_WITHHOLDING + OF_LEAVING + OF_BREAKS
