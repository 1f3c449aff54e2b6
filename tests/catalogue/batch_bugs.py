"""Mistakes on the fast path: in the class promise, and in batches that rely on it.

The model checker meets them in clusters whose first node is home to the key; its batches have one
key. Mistakes that need several keys, or a node that does several things in one step, are for storms
and tests.
"""

from .bug import Bug, Change

_STATES = 20_000
_RARE_STATES = 600_000
_SEEDS = 100
_TESTS = 1_000


def _bug(
    name: str,
    module: str,
    old: str,
    new: str,
    home_states: int | None = _STATES,
    seeds: int | None = _SEEDS,
    tests: int | None = None,
) -> Bug:
    change = Change(f"registry.{module}", old, new)
    return Bug(name, (change,), home_states=home_states, seeds=seeds, tests=tests)


PROMISING = (
    _bug(
        "a class promise is not written down",
        "replica.consensus.acceptor",
        "            step.record(ClassRecord(held))\n",
        "",
    ),
    _bug(
        "a class promise is sent before it is on disk",
        "replica.consensus.home_promise",
        "step.after(Send(sender, promise))",
        "step.at_once(Send(sender, promise))",
    ),
    _bug(
        "a class promise hides what is in doubt",
        "replica.consensus.acceptor",
        "PromiseClass(held.ballot, tuple(unlearned), feed_end)",
        "PromiseClass(held.ballot, (), feed_end)",
    ),
    _bug(
        "the keys that class promises report as in doubt are ignored",
        "paxos.class_promise",
        "isinstance(state, AskingClass) or key in state.unlearned or",
        "isinstance(state, AskingClass) or",
        _RARE_STATES,
        None,  # storms rarely claim another value for a key that one acceptor has of a dead incarnation
    ),
    _bug(
        "a class promise is relied on without a quorum",
        "paxos.class_promise",
        "if quorums.prepared(promises):",
        "if promises:",
    ),
    _bug(
        "a class promise to a later incarnation is replaced by one to an earlier one",
        "paxos.class_promise",
        "if held is not None and held.ballot > message.ballot:",
        "if False:",
        _RARE_STATES,
        None,  # in a storm the question of an earlier incarnation rarely arrives after its answer
    ),
    _bug(
        "a proposal in a home ballot is accepted without the promise that it relies on",
        "paxos.acceptor",
        "if message.ballot != class_promise and message.ballot.is_of_home:",
        "if False:",
    ),
)

VOTING = (
    _bug(
        "a vote on a batch leaves before the sync",
        "replica.consensus.messages",
        "step.send_when_all_durable(decrees.keys, Send(sender, vote))",
        "step.at_once(Send(sender, vote))",
    ),
    _bug(
        "a vote on a batch waits for its first key only",
        "replica.consensus.messages",
        "step.send_when_all_durable(decrees.keys, Send(sender, vote))",
        "step.send_when_durable(message.decrees[0].key, Send(sender, vote))",
        None,  # it takes two keys, of which the first was accepted before
        None,
        _TESTS,
    ),
    _bug(
        "a home counts its own vote on a batch before it is on disk",
        "replica.consensus.batches",
        "step.send_when_all_durable(entries, Send(self._node.name, vote))",
        "step.at_once(Send(self._node.name, vote))",
    ),
    _bug(
        "a vote does not name the keys of a batch that it refuses",
        "replica.consensus.messages",
        "AcceptedMany(message.ballot, message.number, tuple(others))",
        "AcceptedMany(message.ballot, message.number, ())",
    ),
    _bug(
        "a new key of a batch is accepted though the ballot's home is not its home",
        "replica.consensus.acceptor",
        "if not own and not is_home_to_all(ballot.process.node, keys, self._node.nodes):",
        "if False:",
        None,  # in the model and in storms a home sends batches of its own keys only
        None,
        _TESTS,
    ),
    _bug(
        "a key of a batch is accepted as if its instance were empty",
        "replica.consensus.acceptor",
        "if found[key] is not EMPTY or key[0]",
        "if key[0]",
    ),
    _bug(
        "a new key of a batch is accepted on any class promise to its home",
        "replica.consensus.acceptor",
        "if promised == ballot and self._accept_whole(",
        "if promised is not None and self._accept_whole(",
        None,  # an acceptor with another promise does not vote on a batch as a whole
        None,
        _TESTS,
    ),
    _bug(
        "a key accepted in a batch is not promised",
        "paxos.acceptor",
        "Instance(ballot, Proposal(ballot, each))",
        "Instance(None, Proposal(ballot, each))",
        _STATES,
        None,  # only ballots of earlier incarnations are below it, and they rarely come so late
        _TESTS,
    ),
    _bug(
        "a key with a higher promise is refused and voted for within a batch",
        "replica.consensus.acceptor",
        "if not isinstance(answer, Accepted):\n                others",
        "if not isinstance(answer, Accepted | Nack):\n                others",
    ),
)

COUNTING = (
    _bug(
        "the keys that a vote on a batch refuses are counted",
        "replica.consensus.batches",
        "refused = [key for key in message.refused if key in batch.entries]",
        "refused: list[Key] = []",
        _RARE_STATES,
    ),
    Bug(
        "a refused key that the home cannot read stays in its batch",
        (
            Change(
                "registry.replica.consensus.batches",
                "            self.leave(batch.number, key)\n        batch.votes",
                "            pass\n        batch.votes",
            ),
            Change(
                "registry.replica.consensus.coordinator",
                'disputed, or our disk is full."""\n        self._leave(attempt)\n',
                'disputed, or our disk is full."""\n',
            ),
        ),
        seeds=600,  # in the model every record can be read
    ),
    _bug(
        "a vote on one batch is counted for another",
        "replica.consensus.batches",
        "batch = self._batches.get(message.number)\n        quorums",
        "batch = next(iter(self._batches.values()), None)\n        quorums",
        None,  # a home in the model sends one batch in each incarnation
        None,  # in a storm it takes two batches in flight, of which one acceptor has met only one
        _TESTS,
    ),
    _bug(
        "a vote on a batch of an earlier incarnation is counted",
        "replica.consensus.batches",
        "if batch is None or batch.ballot != message.ballot or sender",
        "if batch is None or sender",
        _RARE_STATES,
        None,  # in a storm such a vote comes late, and rarely meets a batch of the same number
        _TESTS,
    ),
    _bug(
        "a batch completes with one vote",
        "replica.consensus.batches",
        "if not batch.entries or not quorums.accepted(batch.votes):",
        "if not batch.entries:",
    ),
)

PROPOSING = (
    _bug(
        "a key is proposed twice in the ballot of a batch",
        "paxos.class_promise",
        " or own != EMPTY:",
        ":",
        None,  # the model ends over a node that queues again in the step in which it has left
    ),
    _bug(
        "a key that the own acceptor refuses is sent in a batch",
        "replica.consensus.batches",
        "for decree in decrees if decree.key not in refused}",
        "for decree in decrees}",
        None,  # a node in the model does one thing in a step
        None,
        _TESTS,
    ),
    Bug(
        "a claim that was cancelled in the queue is sent in a batch",
        (
            Change(
                "registry.replica.consensus.batches",
                "            attempt.drop_finished()\n            if not attempt.claims:",
                "            if not attempt.claims:",
            ),
            Change(
                "registry.replica.consensus.coordinator",
                "        attempt.drop_finished()\n        first, ballot =",
                "        first, ballot =",
            ),
        ),
        seeds=_SEEDS,  # no claim is cancelled in the model
    ),
)

LEARNING = (
    _bug(
        "a commit of a batch is learned for a key accepted in another ballot",
        "paxos.learner",
        "if each is not None and each.ballot == ballot]",
        "if each is not None]",
        _RARE_STATES,
        # it takes two incarnations of a home with one key in batches, and an acceptor that missed one
        None,
        _TESTS,
    ),
    _bug(
        "a commit of a batch is sent for keys that have left it",
        "replica.consensus.batches",
        "            batch.entries.pop(key, None)\n            if batch",
        "            if batch",
        _RARE_STATES,
        None,
    ),
)


def _whole(name: str, module: str, old: str, new: str, seeds: int | None = None) -> Bug:
    return Bug(name, (Change(module, old, new),), seeds=seeds, tests=_TESTS)


WHOLE = (
    _whole(
        "a vote on a batch leaves before the sync if nothing is withheld",
        "registry.replica.step.step_builder",
        "self._dirty.keys().isdisjoint(keys) and self._forgotten",
        "self._dirty.keys().isdisjoint(keys) or self._forgotten",
        _SEEDS,
    ),
    _whole(
        "a batch whose keys have changed again in its step is written as it was",
        "registry.replica.step.step_builder",
        "if batch.instances.items() <= self._dirty.items():",
        "if batch.instances.keys() <= self._dirty.keys():",
    ),
    _whole(
        "a batch with a key that comes twice is accepted whole",
        "registry.replica.consensus.acceptor",
        "if len(accepted) < len(keys):",
        "if False:",
    ),
    _whole(
        "a batch is repeated and learned with the keys that have left it",
        "registry.replica.consensus.batches",
        "if len(self._made) != len(self.entries):",
        "if not self._made:",
    ),
    _whole(
        "a batch is held on a page though a key of it has a row",
        "storage.whole_batches",
        "is_blank = len(self._cache.blank(keys)) == len(keys) and self",
        "is_blank = self",
    ),
    _whole(
        "what a learned batch settles stays noted",
        "storage.whole_batches",
        "            self._notes.settle_all(one.decrees.keys)\n",
        "",
    ),
    _whole(
        "the rows of a batch are not sealed to their places",
        "storage.records",
        "extend(0, places[len(at)] + at + payload)",
        "extend(0, payload)",
    ),
    _whole(
        "a page forgets in which ballot its batch was accepted",
        "storage.pending_journal",
        "return cls(batch.ballot, Raw(",
        "return cls(batch.decrees[0].ballot.above(batch.ballot.process), Raw(",
    ),
)

BUGS = PROMISING + VOTING + COUNTING + PROPOSING + LEARNING + WHOLE
