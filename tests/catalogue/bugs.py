"""The catalogue: classic mistakes, each seeded into the code that ships by changing a few words of it.

A bug is a module and the words in it that are replaced. The words must stand there exactly once, so
that a bug which no longer applies is noticed, and none can be caught by accident of spelling.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One seeded mistake.

    Args:
        name: what is wrong, in a few words.
        module: where, below ``decreed.registry``.
        old: the right words.
        new: the wrong ones.
        budget: how many seeds may pass before it must have been caught.
    """

    name: str
    module: str
    old: str
    new: str
    budget: int = 60


BUGS = (
    Bug(
        "answers leave before the disk has what they say",
        "replica.turn",
        "(self._effects.after if key in self._dirty else self._effects.at_once).append(outgoing)",
        "self._effects.at_once.append(outgoing)",
    ),
    Bug(
        "an acceptance is answered before it is on disk",
        "replica.replica",
        "            turn.vouch(message.key, Send(sender, answer))",
        "            turn.at_once(Send(sender, answer))",
    ),
    Bug(
        "a proposer counts its own vote before it is on disk",
        "replica.coordinator",
        "turn.vouch(attempt.key, Send(self._node.name, answer))",
        "turn.at_once(Send(self._node.name, answer))",
    ),
    Bug(
        "accept below the promise",
        "paxos.acceptor",
        "promised > message.ballot:\n        return instance, Nack(message.key, message.ballot,"
        " instance.promised)\n    proposal",
        "promised is message:\n        return instance, Nack(message.key, message.ballot,"
        " instance.promised)\n    proposal",
    ),
    Bug(
        "promise below the promise",
        "paxos.acceptor",
        "promised > message.ballot:\n        return instance, Nack(message.key, message.ballot,"
        " instance.promised)\n    promised",
        "promised is message:\n        return instance, Nack(message.key, message.ballot,"
        " instance.promised)\n    promised",
    ),
    Bug(
        "an equal ballot is refused as if it were lower",
        "paxos.acceptor",
        "promised > message.ballot:\n        return instance, Nack(message.key, message.ballot,"
        " instance.promised)\n    proposal",
        "promised >= message.ballot:\n        return instance, Nack(message.key, message.ballot,"
        " instance.promised)\n    proposal",
    ),
    Bug(
        "a promise hides what was accepted",
        "paxos.acceptor",
        "Promise(message.key, message.ballot, instance.accepted)",
        "Promise(message.key, message.ballot, None)",
    ),
    Bug(
        "what is accepted is taken for chosen",
        "paxos.acceptor",
        "accepted=proposal)\n    return accepted,",
        "learned=message.decree)\n    return accepted,",
    ),
    Bug(
        "one's own value in spite of an accepted one",
        "paxos.proposer",
        "decree = state.highest.decree if state.highest is not None else own",
        "decree = own or (state.highest.decree if state.highest is not None else None)",
    ),
    Bug(
        "the lowest accepted proposal is adopted",
        "paxos.proposer",
        "one.ballot >= other.ballot",
        "one.ballot <= other.ballot",
        budget=1_500,
    ),
    Bug(
        "a quorum of half",
        "paxos.quorums",
        "return self._count(voters) >= self.accept",
        "return self._count(voters) >= self.accept - 1",
    ),
    Bug(
        "a prepare quorum of half",
        "paxos.quorums",
        "return self._count(voters) >= self.prepare",
        "return self._count(voters) >= self.prepare - 1",
    ),
    Bug(
        "another value is published than the one that was chosen",
        "replica.coordinator",
        "                turn.broadcast(self._node.others, Commit(message.key, decree))\n"
        "                self._learn(turn, decree)",
        "                if attempt.claims:\n"
        "                    own = _claim(attempt.claims[-1], attempt.key)\n"
        "                    decree = Decree.of(own, decree.ballot, decree.time_ms)\n"
        "                turn.broadcast(self._node.others, Commit(message.key, decree))\n"
        "                self._learn(turn, decree)",
    ),
    Bug(
        "a claim that is over is proposed",
        "replica.coordinator",
        "        attempt.wanted()\n        claim =",
        "        claim =",
    ),
    Bug(
        "undecided is said without a quorum",
        "replica.reads",
        "if self._node.config.quorums.prepared(read.answered):",
        "if read.answered:",
    ),
    Bug(
        "undecided is said in spite of an acceptance",
        "replica.reads",
        "        elif answer.accepted:",
        "        elif False:",
    ),
    Bug(
        "a read counts promises that are older than itself",
        "replica.coordinator",
        "[f for f in attempt.followers if f.joined < attempt.ballots]",
        "list(attempt.followers)",
        budget=1_500,
    ),
    Bug(
        "an answer to an earlier life is counted",
        "replica.node",
        "return (self.identity.incarnation << TOKEN_BITS) | self.last_token",
        "return self.last_token",
        budget=400,
    ),
    Bug(
        "a list comes from one node",
        "replica.lists",
        "if self._node.config.quorums.prepared(read.answers.keys()):",
        "if read.answers:",
    ),
    Bug(
        "a list leaves out what is half-done",
        "replica.lists",
        "read.unsettled = unlearned - read.decrees.keys()",
        "read.unsettled = set()",
    ),
    Bug(
        "a list's page goes further than one of its answers",
        "replica.lists",
        "read.horizon = _horizon(read.answers.values())",
        "read.horizon = None",
        budget=400,
    ),
    Bug(
        "the claim id is ignored when a claim for the next slot is repeated",
        "replica.claims",
        "and decree.claim_id != live.claim_id:",
        "and True:",
    ),
    Bug(
        "a slot is proposed over a gap",
        "replica.claims",
        "if before is None or (",
        "if True or (",
    ),
    Bug(
        "what was passed on and lost is called definite",
        "replica.claims",
        "                live.indefinite = True\n",
        "                live.indefinite = False\n",
        budget=400,
    ),
    Bug(
        "an error behind an indefinite try sounds definite",
        "replica.requests",
        "if live.claim_id is not None and live.indefinite and error.definite:",
        "if False:",
        budget=1_500,
    ),
    Bug(
        "the cursor moves past what is missing",
        "replica.catchup",
        "if pulling.missing or pulling.next_start",
        "if pulling.next_start",
    ),
    Bug(
        "a watch that is cut short skips the rest",
        "replica.watches",
        "return tuple(d for _, d in found[:count]), index",
        "return tuple(d for _, d in found[:count]), end",
    ),
    Bug(
        "what a failed write lost is counted",
        "replica.replica",
        "        self.node.feed_end = self._settled_feed_end",
        "        pass",
    ),
    Bug(
        "nobody finishes what a dead proposer left",
        "replica.replica",
        "                turn.again(Finish(key, None))",
        "                pass",
    ),
    Bug(
        "feeds are not read",
        "replica.catchup",
        "        if pulling is None and self._ends",
        "        if False and self._ends",
    ),
    Bug(
        "a past life counts as shown whatever its nonce",
        "replica.membership",
        "past.nonce != known.nonce",
        "past is shown",
        budget=200,
    ),
    Bug(
        "a later life need not show its past",
        "replica.membership",
        "if known is None or shown.nonce == known.nonce:",
        "if known is None or shown.incarnation >= known.incarnation:",
        budget=200,
    ),
)
