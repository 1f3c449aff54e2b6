"""Mistakes in how members change: in the pure rules, and in the node that keeps them."""

from .bug import Bug, Change

_PURE = "paxos/test_epochs.py"
_WRITTEN = "paxos/test_members_written_out.py"
_RULES = "replica/members/test_rules.py"
_WHOLE = "replica/members/test_changes.py"
_INTERLEAVINGS = "replica/members/test_interleavings.py"
_JOINING_TESTS = "replica/members/test_joining.py"
_EPOCHS = "registry.paxos.epochs"
_NODE = "registry.replica.step.node"
_MEMBERSHIP = "registry.replica.membership"
_SEATING = "registry.replica.members.seating"
_SEATS = "registry.replica.members.seats"
_TAKING = "registry.replica.members.taking_over"
_NO_PART = "elif not self._node.takes_part"
_FAIL = "self._requests.fail(step, pending, *refusal(self._node))"
_ACCEPTOR = "registry.replica.consensus.acceptor"


def _bug(
    name: str, held_by: str, module: str, old: str, new: str, storms: int | None = None
) -> Bug:
    change = Change(module, old, new)
    return Bug(name, (change,), held_by=held_by, changing_storms=storms)


PURE = (
    _bug(
        "the seal quorum is one too small",
        _PURE,
        _EPOCHS,
        "min(quorums.prepare, quorums.accept) + 1",
        "min(quorums.prepare, quorums.accept)",
    ),
    _bug(
        "the seal quorum meets accept quorums alone",
        _PURE,
        _EPOCHS,
        "min(quorums.prepare, quorums.accept) + 1",
        "quorums.accept + 1",
    ),
    _bug(
        "the seal quorum meets prepare quorums alone",
        _PURE,
        _EPOCHS,
        "min(quorums.prepare, quorums.accept) + 1",
        "quorums.prepare + 1",
    ),
    _bug(
        "another directory under a voter's name has its vote",
        _PURE,
        _EPOCHS,
        "self.disk_of(node) in (None, disk_id)",
        "True",
    ),
    _bug(
        "a node that has sealed votes on",
        _PURE,
        _EPOCHS,
        "return self.ready == epoch == self.known",
        "return self.ready == epoch",
    ),
    _bug(
        "a node votes before it has taken over",
        _PURE,
        _EPOCHS,
        "return self.ready == epoch == self.known",
        "return epoch == self.known",
        storms=5,
    ),
    _bug(
        "a seal goes back",
        _PURE,
        _EPOCHS,
        "known=max(self.known, known)",
        "known=known",
    ),
    _bug(
        "a page is taken whatever key it begins after",
        _WRITTEN,
        _EPOCHS,
        "if self.feed_end is not None or page.after != self.after:",
        "if self.feed_end is not None:",
    ),
    _bug(
        "a series is whole if its last page is",
        _WRITTEN,
        _EPOCHS,
        "whole=self.whole and page.whole",
        "whole=page.whole",
    ),
    _bug(
        "a series goes on in another life of its sender",
        _WRITTEN,
        _EPOCHS,
        "if held is None or held.life != life:",
        "if held is None:",
    ),
    _bug(
        "a gap in a feed is not followed",
        _WRITTEN,
        _EPOCHS,
        "gaps[source] = max(end, gaps.get(source, 0))",
        "gaps[source] = 0",
    ),
    _bug(
        "the feed of a source is not read",
        _WRITTEN,
        _EPOCHS,
        "return self.feed_end is not None and cursor >= self.feed_end",
        "return self.feed_end is not None",
    ),
    _bug(
        "pages of others than voters count",
        _PURE,
        _EPOCHS,
        "len(taken.keys() & set(self.of.nodes))",
        "len(taken)",
    ),
    _bug(
        "a key that a source cannot show counts as shown",
        _PURE,
        _EPOCHS,
        "        if key not in series.unreadable\n",
        "",
    ),
    _bug(
        "the last proposal that is shown is adopted, not the highest",
        _PURE,
        _EPOCHS,
        "held.accepted.ballot >= shown.ballot",
        "held.accepted.ballot == shown.ballot",
    ),
    _bug(
        "adopting takes a promise back",
        _PURE,
        _EPOCHS,
        "promised=_higher(held.promised, shown.ballot)",
        "promised=shown.ballot",
    ),
    _bug(
        "an attempt goes on above a ballot of an earlier epoch",
        _PURE,
        "registry.paxos.proposer",
        "if above is None or above.epoch < epoch:",
        "if above is None:",
    ),
    _bug(
        "a home asks in a ballot of epoch 0 forever",
        _PURE,
        "registry.paxos.class_promise",
        "Ballot.of_home(process, epoch)",
        "Ballot.of_home(process)",
    ),
)

OF_NODES = (
    _bug(
        "a node forgets its seal in a crash",
        _RULES,
        _SEATING,
        "step.record(EpochRecord(seat.known, seat.ready, self._base, self._since))",
        "pass",
        storms=5,
    ),
    _bug(
        "a node whose voters cannot be read votes in the epoch in which it formed",
        _RULES,
        "registry.replica.step.epochs",
        "epochs.seat = Seat(recovered.epoch.known, recovered.epoch.ready)",
        "epochs.seat = Seat(recovered.epoch.known if recovered.members else 0, 0)",
    ),
    _bug(
        "what is shown is not adopted",
        _RULES,
        _TAKING,
        "if not self._holdings.adopt(step, proposal):",
        "if proposal is None:",
        storms=5,
    ),
    _bug(
        "a page leaves before what it rests on is durable",
        _RULES,
        _TAKING,
        "step.after(Send(sender, page))",
        "step.at_once(Send(sender, page))",
    ),
    _bug(
        "a page shows its first keys alone",
        _RULES,
        _TAKING,
        "last if keys and last != keys[-1] else None",
        "None",
    ),
    _bug(
        "a node that was no voter is a source",
        _RULES,
        _TAKING,
        "if node.failed or not (whole or is_source):",
        "if node.failed:",
    ),
    _bug(
        "a node does not follow a gap",
        _RULES,
        "registry.replica.members.state_question",
        "if gap_end is not None:",
        "if gap_end is None and step is None:",
    ),
    _bug(
        "readiness is told before it is durable",
        _RULES,
        _SEATS,
        "step.after(Send(peer, told))",
        "step.at_once(Send(peer, told))",
    ),
    _bug(
        "a vote counts before the seat of its sender is durable",
        _RULES,
        _SEATS,
        "if sender == self._node.name or (incarnation >= life and ready >= epoch):",
        "if sender == self._node.name or sender in self._told:",
    ),
    _bug(
        "a voter that was rolled back is not refused",
        _RULES,
        _SEATS,
        "if shown.known < known.known or _ready(shown) < _ready(known):",
        "if shown is None:",
    ),
    _bug(
        "two decrees for the voters are no reason to stop",
        _RULES,
        "registry.replica.parts",
        "self.seating.on_disputed(step, key)",
        "pass",
    ),
    _bug(
        "an acceptor takes ballots of every epoch",
        _INTERLEAVINGS,
        _ACCEPTOR,
        "if (epoch != self._node.vote_epoch or self._node.is_full) and instance.learned is None:",
        "if instance is None:",
        storms=5,
    ),
    _bug(
        "voters choose those of any epoch",
        _RULES,
        _ACCEPTOR,
        "epoch_of(message.key) not in (None, epoch + 1)",
        "epoch_of(message.key) == 0",
    ),
    _bug(
        "a change of members relies on a class promise",
        _RULES,
        _ACCEPTOR,
        "if message.key[0] != RESERVED or is_term(message.key):",
        "if message.key:",
    ),
    _bug(
        "answers of two epochs count together",
        _RULES,
        "registry.replica.requests.read_groups",
        "if group is None or group.epoch != self._node.epoch.number:",
        "if group is None or group.epoch < 0:",
    ),
    _bug(
        "a question without an epoch is of any epoch",
        _RULES,
        "registry.replica.peer_messages",
        "if isinstance(message, Question):",
        "if isinstance(message, str):",
    ),
    _bug(
        "class promises of an earlier epoch are counted on",
        _WHOLE,
        "registry.replica.consensus.home_promise",
        "self._state = class_promise.ask(node.process, node.epoch.number)",
        "self._state = getattr(self, '_state', class_promise.ask(node.process))",
    ),
    _bug(
        "readiness is no start for leases",
        _RULES,
        "registry.replica.parts",
        "self.leases.started_ms = step.now_ms",
        "pass",
    ),
    _bug(
        "a sealed voter refuses what it should keep",
        _WHOLE,
        "registry.replica.requests.claims",
        f'{_NO_PART}:\n            {_FAIL}\n        elif "@"',
        f'elif not self._node.voting:\n            {_FAIL}\n        elif "@"',
    ),
)

JOINING = (
    _bug(
        "a directory that joined under a member's name is a voter of epoch 0",
        _JOINING_TESTS,
        _NODE,
        "if epoch.disk_of(self.name) is None and self.joins:",
        "if False:",
    ),
    _bug(
        "answers of guests count",
        _JOINING_TESTS,
        "registry.replica.peer_messages",
        "(sender in self._node.guests or sender in self._parts.seats.refused)",
        "sender in self._parts.seats.refused",
    ),
    _bug(
        "a namesake is no guest any more when an epoch ends",
        _JOINING_TESTS,
        _MEMBERSHIP,
        "                if self._is_named(shown):\n                    self._record",
        "                if True:\n                    self._record",
    ),
    _bug(
        "a guest is forgotten with the first of its links",
        _JOINING_TESTS,
        _MEMBERSHIP,
        "        if not links:\n",
        "        if True:\n",
    ),
    _bug(
        "a second disk of a name has the cursor of the first",
        _JOINING_TESTS,
        "registry.replica.peer_memory",
        "self._replace(step, shown)",
        "pass",
    ),
    _bug(
        "a second disk of a name has the seat of the first",
        _JOINING_TESTS,
        _SEATS,
        "del self._told[node]",
        "pass",
    ),
    _bug(
        "a joiner makes pages of lists with the quorum of its file",
        _JOINING_TESTS,
        _NODE,
        "        if not self.joins:\n            return True\n",
        "        return True\n",
    ),
    _bug(
        "the cluster forms with an empty directory that joins",
        _JOINING_TESTS,
        _MEMBERSHIP,
        "if not event.identity.joins:",
        "if True:",
    ),
    _bug(
        "class promises of a later epoch depend on the file",
        _JOINING_TESTS,
        "registry.config",
        "encode(epoch) if epoch is not None and epoch.number else self.digest()",
        "[self.digest(), encode(epoch)]",
    ),
)

BUGS = PURE + OF_NODES + JOINING
