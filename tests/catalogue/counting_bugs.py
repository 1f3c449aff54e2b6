"""Mistakes in what counts in which epoch (M11, M12, M15, M21), and what storms have found."""

from .bug import Bug, Change

_COUNTING = "replica/members/test_counting.py"
_FOUND = "replica/members/test_found_by_storms.py"
_RULES = "replica/members/test_rules.py"
_CATCHUP = "registry.replica.feed.catchup"
_LISTS = "registry.replica.requests.lists"
_RENEWALS = "registry.replica.locks.renewals"
_SEATS = "registry.replica.members.seats"
_TAKING = "registry.replica.members.taking_over"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


OF_VOTES = (
    _bug(
        "votes are counted by the sizes of epoch 0",
        _COUNTING,
        "registry.replica.step.node",
        "self.quorums, self.nodes = epoch.quorums, epoch.nodes",
        "self.quorums, self.nodes = self.config.quorums, epoch.nodes",
    ),
    _bug(
        "one source is enough to take over",
        "paxos/test_epochs.py",
        "registry.paxos.epochs",
        "len(taken.keys() & set(self.of.nodes)) >= self.of.seal",
        "len(taken.keys() & set(self.of.nodes)) >= 1",
    ),
    _bug(
        "who stays takes nothing over",
        "replica/members/test_rules.py",
        _TAKING,
        "        self._ask_all(step)\n        self._end_if_ready(step)\n",
        "        if node.is_voter(node.before):\n            self._question.end()\n"
        "            return self._seating.become_ready(step)\n"
        "        self._ask_all(step)\n        self._end_if_ready(step)\n",
    ),
    _bug(
        "the end of a feed is that of the first page",
        "paxos/test_epochs.py",
        "registry.paxos.epochs",
        "feed_end=page.feed_end if page.next is None else None",
        "feed_end=page.feed_end",
    ),
    _bug(
        "what the feed of a source has is learned after readiness",
        _RULES,
        _TAKING,
        "return {node: self._feeds.read_end(node) for node, _ in gathering.sources}",
        "return {node: 10**9 for node, _ in gathering.sources}",
    ),
    _bug(
        "a change of members travels in a batch",
        _RULES,
        "registry.replica.consensus.acceptor",
        "            if key[0] != RESERVED:\n",
        "            if key:\n",
    ),
)

OF_LEASES = (
    _bug(
        "readiness is a start for leases at joiners alone",
        _COUNTING,
        "registry.replica.parts",
        "self.leases.started_ms = step.now_ms",
        "self.leases.started_ms = step.now_ms if self.node.joins else self.leases.started_ms",
    ),
    _bug(
        "the seal is a start for leases, and readiness is none",
        _COUNTING,
        "registry.replica.parts",
        "ready=(self._on_ready, *again,",
        "ready=(*again,",
    ),
    _bug(
        "a sealed node renews leases",
        _COUNTING,
        _RENEWALS,
        "        elif self._node.voting:\n            kept",
        "        elif self._node.takes_part:\n            kept",
    ),
    _bug(
        "renewals are counted over two epochs",
        _COUNTING,
        _RENEWALS,
        "if renewal is None or renewal.epoch != self._node.epoch.number:",
        "if renewal is None:",
    ),
)

OF_DISPUTES = (
    _bug(
        "a crash takes what two decrees for the voters have ended",
        _COUNTING,
        "registry.replica.members.seating",
        "        step.settle()\n",
        "",
    ),
    _bug(
        "two decrees for the voters of an earlier epoch are forgotten at a restart",
        _COUNTING,
        "registry.replica.members.seating",
        "        for key in self._disputed[:1]:\n",
        "        for key in ():\n",
    ),
)

FOUND = (
    _bug(
        "a cursor passes over a key whose record cannot be read",
        _FOUND,
        _CATCHUP,
        "elif not self._passed_over.read_on(peer, pulling.next_start, pulling.unreadable):",
        "else:",
    ),
    _bug(
        "what was passed over is taken for nothing when an epoch is taken over",
        _FOUND,
        _TAKING,
        "return named | self._unheld | self._feeds.passed_over()",
        "return named | self._unheld",
    ),
    _bug(
        "a list at a voter that is not ready leaves out what it holds",
        _FOUND,
        _LISTS,
        "        read.answers[self._node.name] = answer_of(read.token, read.rows, end)\n",
        "        if read.counts_own:\n"
        "            read.answers[self._node.name] = answer_of(read.token, read.rows, end)\n",
    ),
    _bug(
        "a node whose disk has failed tells a seat that is not durable",
        _FOUND,
        _SEATS,
        "if self._node.seat.known and not self._node.failed:",
        "if self._node.seat.known:",
    ),
    _bug(
        "what was asked of a voter that is left is awaited until the next change",
        _FOUND,
        _CATCHUP,
        "        self._forget_others()\n        for peer in self._node.sources if",
        "        for peer in self._node.sources if",
    ),
    _bug(
        "a late word of a replaced directory is one of its successor",
        "replica/members/test_reused_names.py",
        _SEATS,
        "if {named, met.disk_id if met is not None else None} - {None, told.disk_id}:",
        "if told.incarnation > (self._life_of(sender) or told.incarnation):",
    ),
    _bug(
        "a directory whose name was given away tells that the new one is ready",
        "replica/members/test_reused_names.py",
        _SEATS,
        "if {named, met.disk_id if met is not None else None} - {None, told.disk_id}:",
        "if {met.disk_id if met is not None else None} - {None, told.disk_id}:",
    ),
    _bug(
        "a late page of a replaced directory is one of its successor",
        "replica/members/test_reused_names.py",
        "registry.replica.members.state_question",
        "        self._node.tokens.close(self.token)\n"
        "        self.token = self._node.tokens.ask(self._asker)\n        return True\n",
        "        return True\n",
    ),
    _bug(
        "a late page of a replaced directory releases what is withheld",
        "replica/members/test_releasing.py",
        "registry.replica.members.state_question",
        "        self._node.tokens.close(self.token)\n"
        "        self.token = self._node.tokens.ask(self._asker)\n        return True\n",
        "        return True\n",
    ),
)

BUGS = OF_VOTES + OF_LEASES + OF_DISPUTES + FOUND
