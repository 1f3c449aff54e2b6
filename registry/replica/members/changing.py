"""What operators ask and propose: a inquiry of all nodes, then a report, or a change that is judged.

The node asks everybody whom it knows how they are (`AskStanding`). When all have answered, or after two
tries, it reports, or judges the change (`preflight`), and proposes it if nothing speaks against it.

Invariants kept here:

* a change is proposed in the epoch that its proposer saw, or not at all: of two changes of one epoch,
  Paxos chooses one for ``$members@e+1``, and the other's proposer is told that one (M03);
* a node begins to propose a change only while a request waits for it, and never one that it finds
  half done (M03);
* what a node says of itself leaves after it is durable, so a inquiry shows no readiness that a crash
  takes back (M10).
"""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct, field

from ...members import MembersChange, claim_of, members_key
from ...paxos.instance import Instance
from ...types import Claim, Decree, Key, NodeId
from ...unserved import Unserved
from ...wire.handshake import VERSION
from ...wire.members import (
    MAX_SEATS,
    ChangePlan,
    ChangeRequest,
    Finding,
    FindingKind,
    MembersRequest,
)
from ...wire.peers import MAX_MEMBERS, AskStanding, Standing
from ...wire.requests import Decreed
from ..feed.catchup import CatchUp
from ..step.effects import Send
from ..step.events import ChangeMembers, ResendRead
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from .preflight import Situation, WantedEpoch, change_in, far_behind, is_clear, judge
from .reporting import members_report
from .seating import Seating
from .seats import Seats

MAX_TROUBLE = 1_000
"""The most characters of why a node may stay behind."""
ROUNDS = 5
"""How often a node is asked; who has not answered a `resend_ms` after that is down."""
MAX_LOOKS = 8
"""How often a change that may be proposed is put off by one more question, until the new voters are
close. It is only put off: under load they may never be closer."""

Known = Callable[[NodeId], bytes | None]
Address = Callable[[NodeId], str]


class Inquiry(Struct, eq=False):
    """A request that waits for what others say of themselves.

    Attributes:
        pending: the request.
        asked: the nodes that are asked.
        under_way: the change that this node has accepted when the inquiry began; None if there is none.
        standings: what they have answered; this node's own is one of them.
        rounds: how often they have been asked.
        looks: how often it was asked again since a new voter was not close enough.
        silent: those who did not answer before that, so that nobody waits for them again.
    """

    pending: PendingRequest
    asked: tuple[NodeId, ...]
    under_way: Decree | None
    standings: dict[NodeId, Standing] = field(default_factory=dict[NodeId, Standing])
    rounds: int = 1
    looks: int = 0
    silent: Collection[NodeId] = ()

    @property
    def missing(self) -> list[NodeId]:
        """The nodes whose answers are waited for."""
        known = self.standings.keys() | set(self.silent)
        return [node for node in self.asked if node not in known]


class Changing:
    """The requests of operators about members.

    Args:
        node: who we are.
        requests: where answers go.
        seating: our own seat, with the decree of the epoch that is known.
        seats: those of the others.
        catchup: how far feeds are read.
        disk_of: gives the disk id that is remembered of a node.
        address_of: gives the newest address of a node; empty if there is none.
        withheld: the keys about which this node is silent.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        seating: Seating,
        seats: Seats,
        catchup: CatchUp,
        disk_of: Known,
        address_of: Address,
        withheld: Collection[Key],
    ) -> None:
        self._node = node
        self._requests = requests
        self._seating = seating
        self._seats = seats
        self._catchup = catchup
        self._disk_of = disk_of
        self._address_of = address_of
        self._withheld = withheld
        self._inquiries: dict[int, Inquiry] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"inquiries": self._inquiries}

    # -- requests

    def needs(self, request: ChangeRequest | MembersRequest) -> Iterable[Key]:
        """The key of the change that is asked about: proposed, decided or under way."""
        base = request.base if isinstance(request, ChangeRequest) else self._node.epoch.number
        return (members_key(base + 1),)

    def report(self, step: StepBuilder, pending: PendingRequest, request: MembersRequest) -> None:
        """Find out how everybody is, and answer.

        If the epoch has ended in this very step, what may follow the new one is not loaded. Nothing can
        have been accepted there: this node is not ready for the new epoch yet (M04).
        """
        if not self._node.may_count:  # its file may be of any time, so others say who votes
            self._requests.fail(step, pending, *refusal(self._node))
            return
        following = step.instances.get(members_key(self._node.epoch.number + 1))
        self._begin(step, pending, (), following)

    def change(self, step: StepBuilder, pending: PendingRequest, request: ChangeRequest) -> None:
        """Answer with what follows the epoch that was named, or find out what that could be."""
        instance = step.instances[members_key(request.base + 1)]
        learned = instance.learned if isinstance(instance, Instance) else None
        if learned is not None:
            self._requests.answer(step, pending, Decreed(request.id, learned))
        elif request.base != self._node.epoch.number:
            self._answer_other_epoch(step, pending, request)
        elif not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
        else:
            self._begin(step, pending, [voter.node for voter in request.voters], instance)

    def _answer_other_epoch(
        self, step: StepBuilder, pending: PendingRequest, request: ChangeRequest
    ) -> None:
        """The proposer saw another epoch than the one that is known here."""
        known, decree = self._node.epoch, self._seating.decree
        if request.base + 1 == known.number and decree is not None:
            self._requests.answer(step, pending, Decreed(request.id, decree))
        elif request.base < known.number:
            text = (
                f"epoch {request.base} is over: the voters of epoch {known.number} are"
                f" {' '.join(known.nodes)}; look at 'decreed member list', and ask again with the epoch"
                " that you see there"
            )
            self._plan(step, pending, Finding(FindingKind.REFUSED, text))
        else:
            text = f"{self._node.name} knows epoch {known.number}, and not {request.base} yet"
            self._plan(step, pending, Finding(FindingKind.WAITS, text))

    def _plan(self, step: StepBuilder, pending: PendingRequest, *findings: Finding) -> None:
        plan = ChangePlan(pending.request.id, self._node.epoch.number, findings[:MAX_SEATS])
        self._requests.answer(step, pending, plan)

    # -- asking

    def _begin(
        self,
        step: StepBuilder,
        pending: PendingRequest,
        wanted: Iterable[NodeId],
        following: Instance | Unserved | None,
    ) -> None:
        node = self._node
        before = node.before.nodes if node.before is not None else ()
        everybody = (*node.nodes, *wanted, *before, *sorted(self._catchup.ends.met))
        others = tuple(name for name in dict.fromkeys(everybody) if name != node.name)
        token = node.tokens.ask(self)
        inquiry = Inquiry(pending, others[: MAX_SEATS - 1], _accepted(following))
        inquiry.standings[node.name] = self._own(0, self._catchup.ends.lag or 0)
        self._inquiries[token] = inquiry
        self._ask(step, token, inquiry)
        self._end_if_complete(step, token)

    def _ask(self, step: StepBuilder, token: int, inquiry: Inquiry) -> None:
        question = AskStanding(token, self._node.settled_feed_end)
        step.broadcast(inquiry.missing, question)
        step.ask_again(token, self._node.config.timing.resend_ms)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Ask again, and in the end take those who are silent for down (R02)."""
        inquiry = self._inquiries.get(timer.token)
        if inquiry is None:
            return
        if inquiry.pending.done or inquiry.rounds >= ROUNDS or not inquiry.missing:
            self._end(step, timer.token)
        else:
            inquiry.rounds += 1
            self._ask(step, timer.token, inquiry)

    def on_standing(self, step: StepBuilder, sender: NodeId, standing: Standing) -> None:
        """Note how a node is; one that was rolled back counts as down (M22)."""
        inquiry = self._inquiries.get(standing.id)
        if (
            inquiry is not None
            and sender in inquiry.asked
            and not self._is_refused(sender, standing)
        ):
            inquiry.standings[sender] = standing
            self._end_if_complete(step, standing.id)

    def _is_refused(self, sender: NodeId, standing: Standing) -> bool:
        """Whether this very directory was rolled back; another one may have its name (M20)."""
        return sender in self._seats.refused and standing.disk_id == self._disk(sender)

    def _end_if_complete(self, step: StepBuilder, token: int) -> None:
        if not self._inquiries[token].missing:
            self._end(step, token)

    def _end(self, step: StepBuilder, token: int) -> None:
        """Answer, unless nobody waits for it any more."""
        inquiry = self._inquiries.pop(token)
        self._node.tokens.close(token)
        pending = inquiry.pending
        if pending.done:
            return
        if isinstance(pending.request, ChangeRequest):
            self._judge(step, inquiry, pending.request)
            return
        under_way = change_in(inquiry.under_way) if inquiry.under_way is not None else None
        report = members_report(
            self._node,
            self._situation(inquiry),
            pending.request.id,
            under_way.epoch.nodes if under_way is not None else (),
            self._seats.told_by,
            self._address_of,
        )
        self._requests.answer(step, pending, report)

    def _judge(self, step: StepBuilder, inquiry: Inquiry, request: ChangeRequest) -> None:
        """Propose a change if nothing speaks against it, and it is not only to be judged."""
        if request.base != self._node.epoch.number:  # somebody else's change came first
            self._answer_other_epoch(step, inquiry.pending, request)
            return
        inquiry.standings[self._node.name] = self._own(0, self._catchup.ends.lag or 0)
        wanted = WantedEpoch(request.voters, request.prepare, request.accept)
        findings = judge(self._situation(inquiry), wanted)
        if request.propose and is_clear(findings):
            late = far_behind(inquiry.standings, wanted)
            if late and inquiry.looks < MAX_LOOKS:
                self._look_again(step, inquiry, late)
                return
            claim = self._claim(request, wanted)
            step.again(ChangeMembers(inquiry.pending.origin, request.id, claim))
        else:
            self._plan(step, inquiry.pending, *findings)

    def _look_again(self, step: StepBuilder, inquiry: Inquiry, late: Iterable[NodeId]) -> None:
        """Ask those again who read on meanwhile: from the seal until they are ready, nobody votes.

        They have as much time to answer as at first. If it is this node alone, it reads on a moment.
        """
        inquiry.looks += 1
        inquiry.rounds, inquiry.silent = 1, (*inquiry.silent, *inquiry.missing)
        for node in late:
            del inquiry.standings[node]
        token = self._node.tokens.ask(self)
        self._inquiries[token] = inquiry
        self._ask(step, token, inquiry)

    def _claim(self, request: ChangeRequest, wanted: WantedEpoch) -> Claim:
        epoch = wanted.epoch(request.base + 1)
        addresses = tuple(voter.address for voter in request.voters)
        change = MembersChange(epoch, self._node.epoch, addresses)
        return claim_of(change, request.claimant, request.claim_id, request.note)

    def _situation(self, inquiry: Inquiry) -> Situation:
        known = [(name, self._disk(name)) for name in (*inquiry.asked, self._node.name)]
        return Situation(
            self._node.epoch,
            tuple((name, disk) for name, disk in known if disk is not None),
            tuple(inquiry.standings.items()),
            inquiry.under_way,
        )

    def _disk(self, name: NodeId) -> bytes | None:
        """The directory that belongs to a name: of a voter, or as it was met."""
        node = self._node
        if name == node.name and (name not in node.nodes or node.is_voter(node.epoch)):
            return node.identity.disk_id
        return node.epoch.disk_of(name) or self._disk_of(name)

    # -- as a node that is asked

    def on_asked(self, step: StepBuilder, sender: NodeId, message: AskStanding) -> None:
        """Say how this node is, once that is durable.

        A change may follow, and waits until the new voters have read the feeds of earlier ones. So the
        feed of the one that asks is read on now, rather than at the next interval.
        """
        behind = self._catchup.ends.behind(sender, message.feed_end)
        if sender in self._node.sources:
            self._catchup.read_to(step, sender, message.feed_end)
        step.after(Send(sender, self._own(message.id, behind)))

    def _own(self, token: int, behind: int) -> Standing:
        node, seat = self._node, self._node.seat
        return Standing(
            token,
            VERSION,
            node.identity.disk_id,
            self._address_of(node.name),
            seat.known,
            seat.ready,
            node.voting,
            behind,
            len(self._withheld),
            self._catchup.trouble[:MAX_TROUBLE],
            self._seats.told_left[:MAX_MEMBERS],
        )


def _accepted(following: Instance | Unserved | None) -> Decree | None:
    """A change that was accepted here, and is not learned."""
    if not isinstance(following, Instance) or following.learned is not None:
        return None
    return following.accepted.decree if following.accepted is not None else None
