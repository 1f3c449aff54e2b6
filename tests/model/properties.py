"""The properties that must always hold or sometimes occur, judged from facts rather than by handlers.

Whether a value is chosen is counted here independently, from the acceptances that were answered or
are on disk, and never by asking the code under test. A *mark* is an integer with a bit for each
property: see `checker`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from decreed.registry.paxos.instance import Class, Instance
from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    CommitMany,
    PaxosMessage,
    Prepare,
    Promise,
    PromiseClass,
)
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, Claim, Decree, Proposal, Value

from .network import Post
from .node import KEY, Disk, Local, Reaction

AGREEMENT = "agreement: two decrees are never chosen, nor learned"
VALIDITY = "validity: a chosen value was claimed"
STABILITY = "stability: above a chosen ballot, only its decree is ever proposed"
ONE_VALUE = "ballots are unique: one ballot carries one decree"
BEGUN_ONCE = "ballots are unique: no ballot is begun twice"
LEARNED_IS_CHOSEN = "a learned decree was chosen"
LEARNED_IS_FINAL = "a learned decree stays, undisputed"
PROMISE_KEPT = "a promise is kept: nothing below it is accepted"
WHOLE_TRUTH = "a promise reports the highest acceptance"
DURABLE = "what was answered is on disk"
OWN_FIRST = "prepare and accept leave only if the own acceptor agrees"
SILENT = "no node finds corruption or a bug"
CLASS_KEPT = "a class promise is kept: nothing in a lower home ballot is accepted"
COVERED = "a proposal in a home ballot is accepted only by nodes that have promised its ballot"
BACKED = "a proposal in a home ballot has a prepare quorum of class promises"

ALWAYS = (
    AGREEMENT,
    VALIDITY,
    STABILITY,
    ONE_VALUE,
    BEGUN_ONCE,
    LEARNED_IS_CHOSEN,
    LEARNED_IS_FINAL,
    PROMISE_KEPT,
    WHOLE_TRUTH,
    DURABLE,
    OWN_FIRST,
    SILENT,
    CLASS_KEPT,
    COVERED,
    BACKED,
)

CHOSEN = "a value is chosen"
LEARNED = "every node learns the decree"
DUEL = "a duel: a proposer is preempted and goes higher"
ADOPTED = "an adopted value wins"
FINISHED = "a value wins in the ballot of another node than its first proposer's"
RESTARTED = "a restarted node begins a new ballot"
AT_HOME = "a value is chosen in a home ballot"
HANDED_DOWN = "a restarted home freezes what an earlier incarnation of it proposed in a home ballot"
IN_BATCH = "a batch is chosen"
LEFT = "a key leaves its batch and begins a new ballot"

SOMETIMES = (
    CHOSEN,
    LEARNED,
    DUEL,
    ADOPTED,
    FINISHED,
    RESTARTED,
    AT_HOME,
    HANDED_DOWN,
    IN_BATCH,
    LEFT,
)

_BIT = {name: 1 << index for index, name in enumerate((*ALWAYS, *SOMETIMES))}


def mark_of(names: Iterable[str]) -> int:
    """The mark of these properties."""
    return sum(_BIT[name] for name in set(names))


class Facts(Value, frozen=True):
    """The facts of one node that a state is judged by.

    Args:
        instance: its instance on disk.
        voted: the ballots in which it ever answered that it accepted.
        class_promised: the home ballots that it ever promised.
        shown: the proposals that were ever sent to it.
        begun: the ballots that it has begun.
    """

    instance: Instance
    voted: frozenset[Ballot]
    class_promised: frozenset[Ballot]
    shown: frozenset[Proposal]
    begun: tuple[Ballot, ...]

    def votes(self) -> frozenset[Ballot]:
        """The ballots in which this node has accepted, by its answers or its disk."""
        accepted = self.instance.accepted
        return self.voted if accepted is None else self.voted | {accepted.ballot}

    def proposals(self) -> frozenset[Proposal]:
        """The proposals that this node received or holds."""
        accepted = self.instance.accepted
        return self.shown if accepted is None else self.shown | {accepted}


def facts_of(local: Local, lane: Collection[Post]) -> Facts:
    """The facts of a node with this state and these messages."""
    messages = list(_apart(post.message for post in lane))
    return Facts(
        Instance(None, local.instance.accepted, local.instance.learned, local.instance.disputed),
        frozenset(m.ballot for m in messages if isinstance(m, Accepted)),
        frozenset(m.ballot for m in messages if isinstance(m, PromiseClass)),
        frozenset(Proposal(m.ballot, m.decree) for m in messages if isinstance(m, Accept)),
        local.begun,
    )


def chosen_by(nodes: Sequence[Facts], accept_size: int) -> list[Proposal]:
    """Every proposal that at least `accept_size` acceptors have accepted in its ballot."""
    proposals = frozenset[Proposal]().union(*(facts.proposals() for facts in nodes))
    votes = [facts.votes() for facts in nodes]
    return [p for p in proposals if sum(p.ballot in ballots for ballots in votes) >= accept_size]


def judge(nodes: Sequence[Facts], quorums: Quorums, claims: Collection[Claim]) -> int:
    """The mark of a state."""
    chosen = chosen_by(nodes, quorums.accept)
    proposals = frozenset[Proposal]().union(*(facts.proposals() for facts in nodes))
    learned = {f.instance.learned for f in nodes if f.instance.learned is not None}
    decrees = {proposal.decree for proposal in chosen}
    begun = [ballot for facts in nodes for ballot in facts.begun]
    broken = {
        AGREEMENT: len(decrees | learned) > 1,
        VALIDITY: not all(_claimed(decree, claims) for decree in decrees | learned),
        STABILITY: any(_strays(p, c) for c in chosen for p in proposals),
        ONE_VALUE: len({p.ballot for p in proposals}) < len(proposals),
        BEGUN_ONCE: len(set(begun)) < len(begun),
        LEARNED_IS_CHOSEN: not learned <= decrees,
        LEARNED_IS_FINAL: any(facts.instance.disputed is not None for facts in nodes),
        BACKED: any(not _is_backed(p.ballot, nodes, quorums.prepare) for p in proposals),
    }
    seen = {
        CHOSEN: bool(chosen),
        LEARNED: all(facts.instance.learned is not None for facts in nodes),
        ADOPTED: any(p.ballot != p.decree.ballot for p in chosen),
        FINISHED: any(p.ballot.process.node != p.decree.ballot.process.node for p in chosen),
        RESTARTED: any(len({b.process for b in facts.begun}) > 1 for facts in nodes),
        AT_HOME: any(p.ballot.is_of_home for p in chosen),
        HANDED_DOWN: any(_is_handed_down(p) for p in chosen),
    }
    return mark_of(name for name, is_so in (broken | seen).items() if is_so)


def judge_step(before: Local, lane: Collection[Post], reaction: Reaction) -> int:
    """The mark of a step of a node, given all that it ever answered before.

    Args:
        before: the node before the step.
        lane: its answers before the step; messages to it do not matter.
        reaction: what it does, and its state afterwards; it may have crashed.
    """
    after = reaction.local.instance
    held = reaction.local.disk.promised
    said = list(_apart(post.message for post in lane if not post.inbound))
    says = list(_apart(message for _, message in (*reaction.at_once, *reaction.after)))
    broken = {
        BEGUN_ONCE: reaction.begins is not None and reaction.begins in before.begun,
        LEARNED_IS_FINAL: before.instance.learned not in (None, after.learned),
        PROMISE_KEPT: any(_breaks_promise(message, said) for message in says),
        WHOLE_TRUTH: any(_conceals(message, said) for message in says),
        DURABLE: not _remembers(reaction.local.disk, [*said, *says]),
        OWN_FIRST: reaction.local.incarnation == before.incarnation and _presumes(after, says),
        SILENT: reaction.alarmed,
        CLASS_KEPT: any(_breaks_class_promise(message, said) for message in says),
        COVERED: any(_is_not_promised(message, held) for message in says),
    }
    begins, attempt = reaction.begins is not None, before.volatile
    seen = {
        DUEL: begins and attempt is not None and attempt.state is None,
        IN_BATCH: any(isinstance(message, CommitMany) for _, message in reaction.at_once),
        LEFT: begins and attempt is not None and attempt.batch > 0,
    }
    return mark_of(name for name, is_so in (broken | seen).items() if is_so)


def _apart(messages: Iterable[PaxosMessage]) -> Iterator[PaxosMessage]:
    """The messages, those on a batch as messages about its key; refusals are no votes."""
    for message in messages:
        match message:
            case AcceptMany(ballot, _, decrees):
                yield from (Accept(decree.key, ballot, decree) for decree in decrees)
            case AcceptedMany(ballot, _, refused):
                yield from () if KEY in refused else (Accepted(KEY, ballot),)
            case _:
                yield message


def _claimed(decree: Decree, claims: Collection[Claim]) -> bool:
    """Whether the decree is exactly that of a claim."""
    return any(decree == Decree.of(claim, decree.ballot, decree.time_ms) for claim in claims)


def _strays(proposal: Proposal, chosen: Proposal) -> bool:
    return proposal.ballot > chosen.ballot and proposal.decree != chosen.decree


def _breaks_promise(message: PaxosMessage, said: Collection[PaxosMessage]) -> bool:
    """R11: an acceptance below what the node has promised, or accepted, before."""
    return isinstance(message, Accepted) and any(
        isinstance(m, Promise | Accepted) and m.ballot > message.ballot for m in said
    )


def _conceals(message: PaxosMessage, said: Collection[PaxosMessage]) -> bool:
    """R12: a promise that reports less than the node has accepted.

    A class promise reports it as in doubt, or by a feed that has the key.
    """
    if isinstance(message, PromiseClass):
        told_of = KEY in message.unlearned or message.feed_end > 0
        return not told_of and any(isinstance(m, Accepted) for m in said)
    if not isinstance(message, Promise):
        return False
    told = None if message.accepted is None else message.accepted.ballot
    return any(isinstance(m, Accepted) and (told is None or m.ballot > told) for m in said)


def _remembers(disk: Disk, said: Collection[PaxosMessage]) -> bool:
    """R13, R14: the disk knows the highest ballots promised and the highest one accepted."""
    instance, promised_class = disk.instance, disk.promised
    identity = [m.ballot for m in said if isinstance(m, PromiseClass)]
    if not _reaches(None if promised_class is None else promised_class.ballot, identity):
        return False
    if instance.learned is not None:
        return True
    promised = [m.ballot for m in said if isinstance(m, Promise | Accepted)]
    accepted = [m.ballot for m in said if isinstance(m, Accepted)]
    held = None if instance.accepted is None else instance.accepted.ballot
    return _reaches(instance.promised, promised) and _reaches(held, accepted)


def _breaks_class_promise(message: PaxosMessage, said: Collection[PaxosMessage]) -> bool:
    """R11: an acceptance in a home ballot below one that the node has promised before."""
    return (
        isinstance(message, Accepted)
        and message.ballot.is_of_home
        and any(isinstance(m, PromiseClass) and m.ballot > message.ballot for m in said)
    )


def _is_not_promised(message: PaxosMessage, held: Class | None) -> bool:
    """Whether a proposal in a home ballot is accepted without the promise that it relies on."""
    if not isinstance(message, Accepted) or not message.ballot.is_of_home:
        return False
    return held is None or held.ballot != message.ballot


def _is_backed(ballot: Ballot, nodes: Sequence[Facts], prepare_size: int) -> bool:
    """R15: a quorum has promised the ballot, if it is the ballot of a home."""
    class_promised = sum(ballot in facts.class_promised for facts in nodes)
    return not ballot.is_of_home or class_promised >= prepare_size


def _is_handed_down(proposal: Proposal) -> bool:
    """Whether a home repeats a proposal that an earlier incarnation of it made in a home ballot."""
    now, first = proposal.ballot.process, proposal.decree.ballot
    earlier = now.node == first.process.node and now.incarnation > first.process.incarnation
    return earlier and first.is_of_home


def _presumes(instance: Instance, says: Collection[PaxosMessage]) -> bool:
    """Whether a proposal leaves that the node's own acceptor has not accepted in the same step."""
    accepted = None if instance.accepted is None else instance.accepted.ballot
    prepares = {m.ballot for m in says if isinstance(m, Prepare)}
    accepts = {m.ballot for m in says if isinstance(m, Accept)}
    return not (prepares <= {instance.promised} and accepts <= {accepted})


def _reaches(held: Ballot | None, said: Collection[Ballot]) -> bool:
    return not said or (held is not None and held >= max(said))
