"""Steps and violations as text."""

from typing import Protocol

from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Nack,
    PaxosMessage,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.step.events import (
    Event,
    Finish,
    Fired,
    FromClient,
    FromPeer,
    Retry,
    Sweep,
)
from decreed.registry.types import Decree, NodeId, Proposal

from .checker import Report
from .network import ANYONE
from .node import Reaction, Sent


class Step(Protocol):
    """An event of a node, and its reaction."""

    @property
    def name(self) -> NodeId: ...
    @property
    def event(self) -> Event: ...
    @property
    def reaction(self) -> Reaction: ...


def tell(step: Step) -> str:
    """One step in one line."""
    sent = _sent((*step.reaction.at_once, *step.reaction.after))
    line = f"{step.name} {_cause(step.event)}" + (f" -> {sent}" if sent else "")
    return line + (" (and raises the alarm)" if step.reaction.alarmed else "")


def tell_crash(name: NodeId) -> str:
    """A crash in one line; only unsynced records are lost."""
    return f"{name} crashes before the sync, and restarts"


def tell_message(message: PaxosMessage) -> str:
    """A message with the fields that matter."""
    match message:
        case Prepare():
            return f"prepare({message.ballot})"
        case Promise(_, ballot, accepted):
            return f"promise({ballot}, {_proposal(accepted)})"
        case Accept():
            return f"accept({message.ballot}, {_decree(message.decree)})"
        case Accepted():
            return f"accepted({message.ballot})"
        case Nack():
            return f"nack({message.ballot}, promised {message.promised})"
        case Commit():
            return f"commit({_decree(message.decree)})"
        case PrepareClass():
            return f"prepare-class({message.ballot})"
        case PromiseClass():
            told = f"in doubt {list(message.unlearned)}, feed to {message.feed_end}"
            return f"promise-class({message.ballot}, {told})"
        case AcceptMany(ballot, number, decrees):
            return f"accept-batch({ballot} #{number}, {', '.join(map(_decree, decrees))})"
        case AcceptedMany(ballot, number, refused):
            return f"{'refused' if refused else 'accepted'}-batch({ballot} #{number})"
        case CommitMany(ballot):
            return f"commit-batch({ballot})"


def tell_report(report: Report[tuple[int, ...]]) -> str:
    """The result of a search, with a shortest path to a violation.

    Nacks and commits that a node answers without a change of state are shown where they are received.
    """
    lines = [f"broken: {name}" for name in report.broken]
    lines += [f"never seen: {name}" for name in report.missing]
    lines += [f"{number:3}. {line}" for number, line in enumerate(report.trace, 1)]
    return "\n".join(lines)


def _cause(event: Event) -> str:
    match event:
        case FromPeer(sender, message):
            told = tell_message(message)  # type: ignore[arg-type]
            return f"takes {told}" + (f" from {sender}" if sender != ANYONE else "")
        case FromClient():
            return "is asked to claim"
        case Finish():
            return "wants to finish the key"
        case Fired(Retry()):
            return "tries again"
        case Fired(Sweep()):
            return "asks for class promises"
        case _:
            return "says it again"


def _sent(sent: Sent) -> str:
    """Messages and their receivers, a broadcast once."""
    told: dict[str, list[str]] = {}
    for to, message in sent:
        told.setdefault(tell_message(message), []).append(to)
    return ", ".join(f"{text} to {' '.join(names)}" for text, names in told.items())


def _proposal(proposal: Proposal | None) -> str:
    return f"{proposal.ballot} = {_decree(proposal.decree)}" if proposal else "nothing"


def _decree(decree: Decree) -> str:
    return f"{decree.text!r} of {decree.ballot}"
