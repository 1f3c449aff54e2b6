"""Mistakes in `registry/replica` about proposing, learning and the contract with the disk.

`service_bugs` has the mistakes in how reads, claims and feeds are served.
"""

from .bug import Bug, Change

_STATES = 10_000
_SEEDS = 100

_ANSWER = "            step.send_when_durable(message.key, Send(sender, answer))"


def _early(kind: str) -> tuple[Change, ...]:
    """An acceptor's answers of one kind leave at once; all others wait for the disk."""
    chosen = f"(step.at_once if type(answer).__name__ == '{kind}' else step.after)"
    return (
        Change(
            "registry.replica.consensus.messages",
            _ANSWER,
            f"            {chosen}(Send(sender, answer))",
        ),
    )


def _coordinator(old: str, new: str) -> tuple[Change, ...]:
    return (Change("registry.replica.consensus.coordinator", old, new),)


DISK = (
    Bug("promise not synced before answering", _early("Promise"), _STATES, _SEEDS),
    Bug("accept not synced before answering", _early("Accepted"), _STATES, _SEEDS),
    Bug(
        "a proposer counts its own vote before it is on disk",
        _coordinator(
            "step.send_when_durable(attempt.key, Send(self._node.name, answer))",
            "step.at_once(Send(self._node.name, answer))",
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "answers leave before the disk has what they say",
        (
            Change(
                "registry.replica.step.step_builder",
                "changed = key in self._dirty or key in self._forgotten",
                "changed = False",
            ),
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "promises without an acceptance are not written",
        (
            Change(
                "registry.replica.consensus.acceptor",
                "if changed != instance:",
                "if changed.accepted != instance.accepted:",
            ),
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "a ballot reused after restart",
        (
            Change(
                "registry.replica.step.node",
                "return Process(self.identity.node, self.identity.incarnation)",
                "return Process(self.identity.node, 1)",
            ),
        ),
        _STATES,
        # storms identify an incarnation by its ballots, so they do not notice
    ),
)

PROPOSING = (
    Bug(
        "prepare and accept leave though the own acceptor refuses",
        _coordinator(
            "                self._pause(step, attempt, answer.promised)",
            "                step.broadcast(self._node.others, message)\n"
            "                self._pause(step, attempt, answer.promised)",
        ),
        _STATES,
        400,
    ),
    Bug(
        "a new ballot is not above what the own acceptor promised",
        _coordinator(
            "max((b for b in (instance.promised, attempt.heard) if b is not None), default=None)",
            "attempt.heard",
        ),
        None,  # in the model ballots are few, and nacks report them too
        _SEEDS,
    ),
    Bug(
        "a claim that is over is proposed",
        _coordinator(
            "        attempt.drop_finished()\n        first, ballot =", "        first, ballot ="
        ),
        None,  # no claim is cancelled in the model
        _SEEDS,
    ),
)

LEARNING = (
    Bug(
        "commit taken for a value that lost",
        _coordinator(
            "            case Preempted():\n",
            "            case Preempted() if isinstance(attempt.state, Proposing):\n"
            "                step.broadcast("
            "self._node.others, Commit(message.key, attempt.state.decree))\n"
            "                self._learn(step, (attempt.state.decree,))\n"
            "            case Preempted():\n",
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "another value is published than the one that was chosen",
        _coordinator(
            "                step.broadcast("
            "self._node.others, told or Commit(message.key, decree))\n",
            "                if attempt.claims:\n"
            "                    own = attempt.claims[-1].claim\n"
            "                    decree = Decree.of(own, decree.ballot, decree.time_ms)\n"
            "                step.broadcast(self._node.others, Commit(message.key, decree))\n",
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "answer cached before it was chosen",
        _coordinator(
            "                attempt.note_proposed()\n                self._set_resend",
            "                attempt.note_proposed()\n"
            "                if isinstance(state, Proposing):\n"
            "                    self._learn(step, (state.decree,))\n"
            "                    return\n                self._set_resend",
        ),
        _STATES,
        _SEEDS,
        200,
    ),
    Bug(
        "a chosen decree is not sent to the others",
        _coordinator(
            "                step.broadcast("
            "self._node.others, told or Commit(message.key, decree))\n",
            "",
        ),
        _STATES,
        # in a storm, feeds make up for it
    ),
    Bug(
        "no node finishes what a dead proposer left",
        (
            Change(
                "registry.replica.requests.recovery",
                "            step.again(Finish(key, None))",
                "            pass",
            ),
        ),
        None,  # the model has no clock
        _SEEDS,
    ),
    Bug(
        "entries that a failed write lost are counted",
        (
            Change(
                "registry.replica.replica",
                "        self.node.feed_end = self.node.settled_feed_end",
                "        pass",
            ),
        ),
        None,  # no disk of the model fails
        _SEEDS,
    ),
)

BUGS = DISK + PROPOSING + LEARNING
