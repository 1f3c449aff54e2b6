"""A change of members from the first question until its voters are ready, step by step.

Nothing here decides anything: the cluster does. Those who run this may stop it at any time, and run it
again with the epoch from which it started; then it is told how it went.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ...client.requests.changing import Change
from ...registry.errors import DecreedError, Refused, Unreachable
from ...registry.members import MembersChange, change_of
from ...registry.types import Decree, NodeId
from ...registry.wire.members import ChangePlan, Finding, FindingKind, MembersReport
from .wanted import Base, Directory, Wanted, names_of

JOINING_SECONDS = 3.0
"""How long a node that nobody knows is waited for: it may just have been started."""
READY_SECONDS = 5.0
"""How long the last voters are waited for once a quorum is ready."""

Say = Callable[[str], None]


class MembersOf(Protocol):
    """What is asked of the cluster; `decreed.client.requests.changing.MembersClient` does it."""

    @property
    def in_doubt(self) -> bool:
        """Whether a change that was proposed may be decided."""
        ...

    def now(self) -> float:
        """The clock of deadlines."""
        ...

    async def report(self, deadline: float) -> MembersReport:
        """The members, as some node knows them."""
        ...

    async def change_after(self, epoch: int, deadline: float) -> MembersChange | None:
        """What followed an epoch."""
        ...

    async def judge(self, change: Change, deadline: float) -> Decree | ChangePlan:
        """How a change is judged."""
        ...

    async def propose(self, change: Change, deadline: float) -> Decree | ChangePlan:
        """Propose a change."""
        ...

    async def pause(self, deadline: float) -> None:
        """Wait a little."""
        ...


class State(Enum):
    """How far a change has come, for those who stop it."""

    NOTHING = "nothing was proposed"
    DOUBT = "whether it is decided is unknown"
    DECIDED = "it is decided, and goes on without this command"


@dataclass
class ChangeOutcome:
    """What a change has become.

    Args:
        change: what was wanted.
        before: the directories that voted in the epoch before.
        warnings: what its voters should know.
        sealed: who has sealed the epoch before, of its voters.
        ready: who is ready, of the new voters.
        left: who has a vote no more, and knows it: it may be switched off.
        untold: who has a vote no more, and has not been told.
        needed: who has a vote no more, knows it, and may have to show what the voters withhold (M18).
    """

    change: Change
    before: tuple[Directory, ...]
    warnings: list[str] = field(default_factory=list[str])
    sealed: tuple[NodeId, ...] = ()
    ready: tuple[NodeId, ...] = ()
    left: tuple[NodeId, ...] = ()
    untold: tuple[NodeId, ...] = ()
    needed: tuple[NodeId, ...] = ()

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The names of the voters of the epoch before."""
        return tuple(directory.node for directory in self.before)

    def note(self, report: MembersReport) -> None:
        """Note who has sealed and who is ready, by their directories."""
        epoch = self.change.base + 1
        seats = {(s.node, s.disk_id): s for s in report.seats}
        told = {key for key, s in seats.items() if s.known is not None and s.known >= epoch}
        ready = {key for key, s in seats.items() if s.ready is not None and s.ready >= epoch}
        voting = [(voter.node, voter.disk_id) for voter in self.change.voters]
        known = [(old.node, old.disk_id) for old in self.before]
        gone = [key for key in known if key not in voting]
        told |= {key for key in gone if key[0] in (*self.left, *self.needed)}  # it may have stopped
        self.sealed = tuple(node for node, disk in known if (node, disk) in told)
        self.ready = tuple(node for node, disk in voting if (node, disk) in ready)
        left = tuple(node for node, disk in gone if (node, disk) in told)
        self.left, self.needed = (left, ()) if report.is_settled else ((), left)
        self.untold = tuple(node for node, disk in gone if (node, disk) not in told)


@dataclass
class Carrying:
    """One change on its way.

    Args:
        cluster: who is asked.
        wanted: what the operator has asked for.
        deadline: on the clock of the cluster.
        say: tells the operator what is waited for.
    """

    cluster: MembersOf
    wanted: Wanted
    deadline: float
    say: Say
    base: int | None = None
    decided: bool = False
    _said: str = ""

    @property
    def state(self) -> State:
        """How far it has come."""
        if self.decided:
            return State.DECIDED
        return State.DOUBT if self.cluster.in_doubt else State.NOTHING

    async def prepare(self, epoch: int | None) -> tuple[Base, Change]:
        """Find out what the words mean, in the epoch that the operator saw, or the present one.

        Raises:
            Refused: if the words do not fit the members.
        """
        patience = min(self.deadline, self.cluster.now() + JOINING_SECONDS)
        base: Base | None = None
        while True:
            try:
                report = await self.cluster.report(self.deadline)
            except Unreachable:
                if base is None:
                    raise
                return base, self.wanted.change(base)  # what was awaited says more than "no answer"
            base = await self._base(report, report.epoch if epoch is None else epoch)
            self.base = base.number
            awaited = self.wanted.awaited(base)
            if not awaited or self.cluster.now() >= patience:
                return base, self.wanted.change(base)
            self._tell(f"waiting for {names_of(awaited)} to join")
            await self.cluster.pause(patience)

    async def judge(self, change: Change) -> ChangePlan | Decree:
        """How it is judged, once; nothing is proposed."""
        return await self.cluster.judge(change, self.deadline)

    async def carry_out(self, base: Base, change: Change) -> ChangeOutcome:
        """Have it decided, and wait until its voters are ready.

        Raises:
            Refused: if something speaks against it, or another change came first.
            Unreachable: if nothing was proposed in time, or too few voters are ready in time.
            OutcomeUnknown: if it may be decided.
        """
        outcome = ChangeOutcome(change, self.wanted.before(base, change))
        self.say(
            f"epoch {base.number} -> {base.number + 1}: {names_of(v.node for v in change.voters)}"
        )
        decree = await self._decree(change, outcome)
        _check_ours(change, decree)
        self.decided = True
        self.say(f"epoch {change.base + 1} is decided")
        await self._until_ready(outcome)
        return outcome

    async def _base(self, report: MembersReport, epoch: int) -> Base:
        if epoch == report.epoch:
            return Base.present(report)
        if epoch < report.epoch:
            following = await self.cluster.change_after(epoch, self.deadline)
            if following is not None:
                return Base.earlier(following, report)
        raise Refused(
            f"the epoch is {report.epoch}, and not {epoch}: look at 'decreed member list'"
        )

    # -- until it is decided

    async def _decree(self, change: Change, outcome: ChangeOutcome) -> Decree:
        """Wait until nothing speaks against it, then propose it."""
        asked = self.cluster.judge
        while True:
            answer = await asked(change, self.deadline)
            if isinstance(answer, Decree):
                return answer
            refuse(answer.findings)
            self._warn(answer.findings, outcome)
            waits = texts(answer.findings, FindingKind.WAITS)
            asked = self.cluster.judge if waits else self.cluster.propose
            if waits:
                await self._wait(waits)

    async def _wait(self, waits: list[str]) -> None:
        text = f"waiting: {'; '.join(waits)}"
        self._tell(text)
        if self.cluster.now() >= self.deadline:
            raise Unreachable(f"nothing was proposed in time; still {text}")
        await self.cluster.pause(self.deadline)

    def _warn(self, findings: tuple[Finding, ...], outcome: ChangeOutcome) -> None:
        for text in texts(findings, FindingKind.WARNING):
            if text not in outcome.warnings:
                outcome.warnings.append(text)
                self.say(f"warning: {text}")

    # -- until it is ready

    async def _until_ready(self, outcome: ChangeOutcome) -> None:
        change = outcome.change
        needed, epoch = max(change.prepare, change.accept), change.base + 1
        patience = self.deadline
        while True:
            report = await self._report(outcome)
            if report is not None and report.epoch > epoch:
                return  # another change has followed by now, so enough were ready
            if len(outcome.ready) >= needed:
                patience = min(patience, self.cluster.now() + READY_SECONDS)
                if report is None or not _are_missing(report, outcome):
                    return
            if self.cluster.now() >= patience:
                break
            await self.cluster.pause(patience)
        if len(outcome.ready) < needed:
            raise Unreachable(
                f"epoch {epoch} is decided, and ready at {len(outcome.ready)} of"
                f" {len(change.voters)} so far, {needed} needed"
            )

    async def _report(self, outcome: ChangeOutcome) -> MembersReport | None:
        """Look how far it is; a node that cannot say does no harm."""
        try:
            report = await self.cluster.report(self.deadline)
        except DecreedError as error:
            self._tell(f"waiting for a member that answers: {error}")
            return None
        epoch = outcome.change.base + 1
        if report.epoch < epoch:
            return report
        outcome.note(report)
        self._tell(_progress(report, outcome))
        return report

    def _tell(self, text: str) -> None:
        """Say what is waited for, once."""
        if text != self._said:
            self._said = text
            self.say(text)


def refuse(findings: tuple[Finding, ...]) -> None:
    """End if something speaks against a change.

    Raises:
        Refused: for all that would not be otherwise later.
        Unreachable: if there is no quorum.
    """
    refused = texts(findings, FindingKind.REFUSED)
    absent = texts(findings, FindingKind.NO_QUORUM)
    if refused:
        raise Refused("; ".join([*refused, *absent]))
    if absent:
        raise Unreachable("; ".join(absent))


def texts(findings: tuple[Finding, ...], kind: FindingKind) -> list[str]:
    """The texts of the findings of one kind."""
    return [finding.text for finding in findings if finding.kind == kind]


def _check_ours(change: Change, decree: Decree) -> None:
    if not change.is_made_by(decree):
        epoch = change_of(decree).epoch
        raise Refused(
            f"another change came first: {decree.claimant} had epoch {epoch.number} decided, and its"
            f" voters are {names_of(epoch.nodes)} (prepare = {epoch.quorums.prepare}, accept ="
            f" {epoch.quorums.accept}); look at 'decreed member list', and ask again"
        )


def _are_missing(report: MembersReport, outcome: ChangeOutcome) -> bool:
    """Whether a voter that is up is not ready yet, or one that left has not been told."""
    up = {(s.node, s.disk_id) for s in report.seats if s.up}
    late = {(v.node, v.disk_id) for v in outcome.change.voters if v.node not in outcome.ready}
    untold = {(old.node, old.disk_id) for old in outcome.before if old.node in outcome.untold}
    return not (up.isdisjoint(late) and up.isdisjoint(untold))


def _progress(report: MembersReport, outcome: ChangeOutcome) -> str:
    change = outcome.change
    ready, needed = len(outcome.ready), max(change.prepare, change.accept)
    serving = ", serving" if ready >= needed else f", {needed} needed"
    seal = report.earlier_seal if report.epoch == change.base + 1 else 0
    sealed = f"sealed {min(len(outcome.sealed), seal)} of {seal}, " if seal else ""
    return f"{sealed}ready {ready} of {len(change.voters)}{serving}"
