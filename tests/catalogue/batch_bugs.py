"""Mistakes on the fast path: in the class promise, and in batches that rely on it.

The model checker meets them in clusters whose first node is home to the key; its batches have one key.
What takes several keys, or a node that does several things in one step, is for storms and tests.
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
        "a class promise is told before it is on disk",
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
        "what class promises report as in doubt is not looked at",
        "paxos.class_promise",
        "isinstance(state, AskingClass) or key in state.unlearned or",
        "isinstance(state, AskingClass) or",
        _RARE_STATES,
        None,  # a storm hardly ever wants another value for what only one acceptor has of a dead life
    ),
    _bug(
        "a class promise is relied on without a quorum",
        "paxos.class_promise",
        "if quorums.prepared(promises):",
        "if promises:",
    ),
    _bug(
        "a later incarnation's class promise is taken back for an earlier one",
        "paxos.class_promise",
        "if held is not None and held.ballot > message.ballot:",
        "if False:",
        _RARE_STATES,
        None,  # in a storm the question of an earlier incarnation hardly ever outlives its answer
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
        "step.send_when_all_durable([decree.key for decree in message.decrees], Send(sender, vote))",
        "step.at_once(Send(sender, vote))",
    ),
    _bug(
        "a vote on a batch waits for its first key alone",
        "replica.consensus.messages",
        "step.send_when_all_durable([decree.key for decree in message.decrees], Send(sender, vote))",
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
        "a vote does not say what of a batch it refuses",
        "replica.consensus.messages",
        "AcceptedMany(message.ballot, message.number, tuple(others))",
        "AcceptedMany(message.ballot, message.number, ())",
    ),
    _bug(
        "a new key of a batch is accepted though the ballot's home is not its home",
        "replica.consensus.acceptor",
        "home_ballot = promised if home(key, self._nodes) == home_name else None",
        "home_ballot = promised",
        None,  # in the model and in storms a home flies with its own keys alone
        None,
        _TESTS,
    ),
    _bug(
        "whatever flies is accepted as if nothing were held of it",
        "replica.consensus.acceptor",
        "if home_ballot == ballot and step.instances[key] is EMPTY:",
        "if home_ballot == ballot:",
    ),
    _bug(
        "a new key of a batch is accepted on any class promise to its home",
        "replica.consensus.acceptor",
        "if home_ballot == ballot and step.instances[key] is EMPTY:",
        "if home_ballot is not None and step.instances[key] is EMPTY:",
        None,  # who has another promise is not asked to vote on a batch as a whole
        None,
        _TESTS,
    ),
    _bug(
        "what is accepted in a batch is not promised",
        "paxos.acceptor",
        "return Instance(promised=ballot, accepted=",
        "return Instance(accepted=",
        _STATES,
        None,  # below it are the ballots of earlier incarnations alone, which hardly ever come so late
        _TESTS,
    ),
    _bug(
        "what is promised higher is refused and voted for within a batch",
        "replica.consensus.acceptor",
        "if not isinstance(answer, Accepted):\n                others",
        "if not isinstance(answer, Accepted | Nack):\n                others",
    ),
)

COUNTING = (
    _bug(
        "what a vote on a batch refuses is counted all the same",
        "replica.consensus.batches",
        "refused = [key for key in message.refused if key in batch.entries]",
        "refused: list[Key] = []",
        _RARE_STATES,
    ),
    Bug(
        "a refused key that the home cannot read stays entries",
        (
            Change(
                "registry.replica.consensus.batches",
                "            self.leave(batch.number, key)\n        batch.votes",
                "            pass\n        batch.votes",
            ),
            Change(
                "registry.replica.consensus.coordinator",
                'our own instance is damaged or disputed."""\n        self._leave(attempt)\n',
                'our own instance is damaged or disputed."""\n',
            ),
        ),
        seeds=600,  # in the model every record can be read
    ),
    _bug(
        "a vote on one batch is counted for another",
        "replica.consensus.batches",
        "batch = self._batches.get(message.number)\n        quorums",
        "batch = next(iter(self._batches.values()), None)\n        quorums",
        None,  # a home in the model flies once in each incarnation
        None,  # in a storm it takes two batches under way, of which one acceptor has met but one
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
        "a batch lands on one vote",
        "replica.consensus.batches",
        "if not batch.entries or not quorums.accepted(batch.votes):",
        "if not batch.entries:",
    ),
)

PROPOSING = (
    _bug(
        "a key flies again in the ballot in which it has been proposed in a batch",
        "paxos.class_promise",
        " or own != EMPTY:",
        ":",
        None,  # the model ends over a node that boards again in the step in which it has left
    ),
    _bug(
        "what the own acceptor refuses flies all the same",
        "replica.consensus.batches",
        "for decree in decrees if decree.key not in refused}",
        "for decree in decrees}",
        None,  # a node in the model does one thing in a step
        None,
        _TESTS,
    ),
    Bug(
        "a claim that was cancelled before it left flies all the same",
        (
            Change(
                "registry.replica.consensus.batches",
                "            attempt.drop_finished()\n            if not attempt.claims:",
                "            if not attempt.claims:",
            ),
            Change(
                "registry.replica.consensus.coordinator",
                "        attempt.drop_finished()\n        claim =",
                "        claim =",
            ),
        ),
        seeds=_SEEDS,  # nobody in the model gives a claim up
    ),
)

LEARNING = (
    _bug(
        "a commit of a batch is believed of what was accepted in another ballot",
        "paxos.learner",
        "accepted is not None and accepted.ballot == ballot else",
        "accepted is not None else",
        _RARE_STATES,
        # it takes two incarnations of a home with one key in batches, and an acceptor that missed one
        None,
        _TESTS,
    ),
    _bug(
        "a commit of a batch is sent for what has left it",
        "replica.consensus.batches",
        "            batch.entries.pop(key, None)\n            if batch",
        "            if batch",
        _RARE_STATES,
        None,
    ),
)

BUGS = PROMISING + VOTING + COUNTING + PROPOSING + LEARNING
