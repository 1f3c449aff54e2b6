"""Mistakes in `registry/paxos`: the acceptor, the proposer and the counting.

No later check makes them harmless. Each is tried on the model checker and on storms; if one of the
two cannot show it, a comment says why.
"""

from .bug import Bug, Change

_STATES = 10_000
_SEEDS = 100

_REFUSED = """promised > message.ballot:
        return instance, Nack(message.key, message.ballot, instance.promised)
    """
_TOO_LOW = """if message.ballot != state.ballot or sender not in quorums.members:
        return state
    """

_OTHER_BALLOT = "message.ballot != state.ballot or "


def _acceptor(old: str, new: str) -> tuple[Change, ...]:
    return (Change("registry.paxos.acceptor", old, new),)


def _proposer(old: str, new: str) -> tuple[Change, ...]:
    return (Change("registry.paxos.proposer", old, new),)


ACCEPTOR = (
    Bug(
        "accept below the promise",
        _acceptor(
            f"{_REFUSED}if message.ballot != c",
            f"{_REFUSED}if message.ballot != c".replace("> message.ballot", "is message"),
        ),
        _STATES,
        _SEEDS,
        200,
        disagrees=True,
    ),
    Bug(
        "promise below the promise",
        _acceptor(
            f"{_REFUSED}promised", f"{_REFUSED}promised".replace("> message.ballot", "is message")
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "< for <=: exactly the promised ballot is refused",
        _acceptor(
            f"{_REFUSED}if message.ballot != c",
            f"{_REFUSED}if message.ballot != c".replace(">", ">="),
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "only the rounds of ballots are compared",
        _acceptor(
            f"{_REFUSED}if message.ballot != c",
            f"{_REFUSED}if message.ballot != c".replace(
                "> message.ballot", ".round > message.ballot.round"
            ),
        ),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "accepting does not promise",
        _acceptor("promised=message.ballot, accepted=proposal", "accepted=proposal"),
        _STATES,
        # a storm rarely has three proposers at once, which the mistake needs to do harm
    ),
    Bug(
        "a promise is not stored",
        _acceptor("return promised, Promise(", "return instance, Promise("),
        _STATES,
        _SEEDS,
        disagrees=True,
    ),
    Bug(
        "an acceptance is not stored",
        _acceptor("return accepted, Accepted(", "return instance, Accepted("),
        _STATES,
        _SEEDS,
        20,
        disagrees=True,
    ),
    Bug(
        "promising forgets what was accepted",
        _acceptor("replace(instance, promised=message.ballot)", "Instance(message.ballot)"),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "a promise hides what was accepted",
        _acceptor(
            "Promise(message.key, message.ballot, instance.accepted)",
            "Promise(message.key, message.ballot, None)",
        ),
        _STATES,
        _SEEDS,
        50,
        disagrees=True,
    ),
    Bug(
        "an accepted value is taken for chosen",
        _acceptor(
            "accepted=proposal)\n    return accepted,",
            "learned=message.decree)\n    return accepted,",
        ),
        _STATES,
        _SEEDS,
        50,
    ),
)

PROPOSER = (
    Bug(
        "own value in spite of an accepted one",
        _proposer(
            "decree = state.highest.decree if state.highest is not None else own",
            "decree = own or (state.highest.decree if state.highest is not None else None)",
        ),
        _STATES,
        _SEEDS,
        disagrees=True,
    ),
    Bug(
        "lowest instead of highest ballot adopted",
        _proposer("one.ballot >= other.ballot", "one.ballot <= other.ballot"),
        20_000,  # it needs three ballots
        1_500,
    ),
    Bug(
        "only the last promise counts for what was accepted",
        _proposer("_higher(state.highest, message.accepted)", "message.accepted"),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "a new attempt begins in the old ballot",
        _proposer("above.above(process))", "Ballot.first(process, epoch))"),
        _STATES,
        _SEEDS,
    ),
    Bug(
        "promises for another ballot count",
        _proposer(f"{_TOO_LOW}promises", f"{_TOO_LOW}promises".replace(_OTHER_BALLOT, "")),
        _STATES,
        # in a storm such answers come late, and rarely meet a later attempt
    ),
    Bug(
        "votes of different ballots counted together",
        _proposer(f"{_TOO_LOW}votes", f"{_TOO_LOW}votes".replace(_OTHER_BALLOT, "")),
        _STATES,
        # as above
    ),
    Bug(
        "a node's promise counted twice",
        _proposer(
            "state.promises | {sender}",
            "state.promises | ({sender} - state.promises or"
            " {min({*quorums.members} - state.promises)})",
        ),
        _STATES,
        _SEEDS,
        disagrees=True,
    ),
    Bug(
        "a node's vote counted twice",
        _proposer(
            "state.votes | {sender}",
            "state.votes | ({sender} - state.votes or {min({*quorums.members} - state.votes)})",
        ),
        _STATES,
        _SEEDS,
        disagrees=True,
    ),
)

COUNTING = (
    Bug(
        "quorum of half",
        (
            Change(
                "registry.paxos.quorums",
                "return len(set(voters).intersection(self.members)) >= self.accept",
                "return len(set(voters).intersection(self.members)) >= len(self.members) // 2",
            ),
            Change(
                "registry.paxos.quorums",
                "return len(set(voters).intersection(self.members)) >= self.prepare",
                "return len(set(voters).intersection(self.members)) >= len(self.members) // 2",
            ),
        ),
        _STATES,
        _SEEDS,
        20,
        disagrees=True,
    ),
    Bug(
        "an accept quorum of half",
        (
            Change(
                "registry.paxos.quorums",
                "return len(set(voters).intersection(self.members)) >= self.accept",
                "return len(set(voters).intersection(self.members)) >= self.accept - 1",
            ),
        ),
        _STATES,
        _SEEDS,
        disagrees=True,
    ),
    Bug(
        "a prepare quorum of half",
        (
            Change(
                "registry.paxos.quorums",
                "return len(set(voters).intersection(self.members)) >= self.prepare",
                "return len(set(voters).intersection(self.members)) >= self.prepare - 1",
            ),
        ),
        _STATES,
        _SEEDS,
        20,
        disagrees=True,
    ),
    Bug(
        "an accept quorum's size for phase 1",
        (
            Change(
                "registry.paxos.proposer",
                "if quorums.prepared(promises):",
                "if quorums.accepted(promises):",
            ),
        ),
        _STATES,
        _SEEDS,
    ),
)

BUGS = ACCEPTOR + PROPOSER + COUNTING
