"""Asking about members, and changing them. The commands of operators use this.

Rules kept here:

* One node at a time proposes a change, with one claim id. If its answer is lost, or leaves the outcome
  open, the next one is asked with the same id, until one says what follows the epoch.
* A plan says that nothing was proposed *for that request*. As long as an earlier try is in doubt, it is
  no answer to whether the change is decided.
"""

import secrets
from typing import ClassVar

from msgspec import Struct

from ...registry.errors import BadRequest, DecreedError, Denied, OutcomeUnknown, Unreachable
from ...registry.members import MembersChange, change_of, members_key
from ...registry.types import Claim, Decree
from ...registry.wire.members import (
    ChangePlan,
    ChangeRequest,
    MembersReport,
    MembersRequest,
    Voter,
)
from ...registry.wire.requests import Decreed
from ..runtime.copying import NotCopied
from ..transport.link import Link
from ..transport.wakeup import Wakeup
from .arguments import Seconds
from .claims import checked_claimant
from .operations import Operation
from .sender import RequestSender

TRY_SECONDS = 5.0
"""How long one node may try; then the next one is asked."""
REPORT_HEDGE_SECONDS = 2.0
"""A report takes as long as its node waits for those who are down."""
PAUSE_SECONDS = 0.2


class Change(Struct, frozen=True):
    """A change of members that somebody wants.

    Args:
        base: the epoch that he saw.
        voters: of the epoch after it, in the order of their names.
        prepare, accept: the sizes of its quorums.
        claimant: who wants it.
        claim_id: names this wish; random by default.
        note: free text, kept in the decree.
    """

    base: int
    voters: tuple[Voter, ...]
    prepare: int
    accept: int
    claimant: str
    claim_id: bytes
    note: str = ""

    @classmethod
    def of(
        cls,
        base: int,
        voters: tuple[Voter, ...],
        prepare: int,
        accept: int,
        claimant: str | None = None,
    ) -> "Change":
        """A new wish; of this process, unless its claimant is named."""
        ordered = tuple(sorted(voters, key=lambda voter: voter.node))
        name = checked_claimant(claimant)
        return cls(base, ordered, prepare, accept, name, secrets.token_bytes(16))

    @property
    def claim(self) -> Claim:
        """What names the wish where claims are told apart; the node fills in the value."""
        return Claim(members_key(self.base + 1), b"", "", self.claimant, self.claim_id, self.note)

    def request(self, id: int, timeout_ms: int, *, propose: bool) -> ChangeRequest:
        """The request to a node."""
        return ChangeRequest(
            id,
            timeout_ms,
            self.base,
            self.voters,
            self.prepare,
            self.accept,
            self.claimant,
            self.claim_id,
            self.note,
            propose,
        )

    def is_made_by(self, decree: Decree) -> bool:
        """Whether a decree makes this change, by any claim."""
        epoch = change_of(decree).epoch
        sizes = (epoch.quorums.prepare, epoch.quorums.accept)
        voters = tuple((voter.node, voter.disk_id) for voter in self.voters)
        same = tuple(zip(epoch.nodes, epoch.disks, strict=True)) == voters
        return same and sizes == (self.prepare, self.accept)


def to_report_members() -> Operation:
    """Ask any node for its report on the members."""
    return Operation(
        lambda id, timeout_ms, here: MembersRequest(id, timeout_ms),
        (MembersReport,),
        hedge=REPORT_HEDGE_SECONDS,
        absent=1.0,
    )


def to_change(change: Change, link: Link, *, propose: bool) -> Operation:
    """Have the node of `link` judge a change, and propose it if that is wanted."""
    key = members_key(change.base + 1)
    return Operation(
        lambda id, timeout_ms, here: change.request(id, timeout_ms, propose=propose),
        (Decreed, ChangePlan),
        fits=lambda decree: decree.key == key,
        claim=change.claim if propose else None,
        again=lambda: f"the same change and --epoch {change.base}",
        only=link,
        rounds=1,
        hedge=TRY_SECONDS,
        longest=TRY_SECONDS,
    )


class MembersClient(NotCopied):
    """The members of a cluster, for operators.

    Args:
        sender: sends requests to the cluster.
    """

    instead: ClassVar[str] = "it belongs to one client. Let the other process connect itself"

    def __init__(self, sender: RequestSender) -> None:
        self._sender = sender
        self._in_doubt = False

    @property
    def in_doubt(self) -> bool:
        """Whether a change that was proposed may be decided, and no node has said so yet."""
        return self._in_doubt

    def now(self) -> float:
        """The clock that deadlines are of, in seconds."""
        return self._sender.pool.now()

    def deadline(self, timeout: Seconds | None = None) -> float:
        """When something that begins now must end."""
        return self._sender.deadline(timeout)

    async def report(self, deadline: float) -> MembersReport:
        """The members, as some node knows them.

        Raises:
            Unreachable: if no node answers before the deadline.
        """
        reply = await self._sender.ask(to_report_members(), deadline)
        assert isinstance(reply.answer, MembersReport), "nothing else settles the operation"
        return reply.answer

    async def judge(self, change: Change, deadline: float) -> Decree | ChangePlan:
        """How a node judges a change; nothing is proposed. The decree, if its epoch has come.

        Raises:
            Unreachable: if no node answers before the deadline.
        """
        return await self._settle(change, deadline, propose=False)

    async def propose(self, change: Change, deadline: float) -> Decree | ChangePlan:
        """Propose a change, unless something speaks against it.

        Returns:
            What follows the epoch, which may be another's change; or why nothing was proposed.

        Raises:
            OutcomeUnknown: it may be decided; ask again with the same change.
            Unreachable: no node answered before the deadline, and nothing was proposed.
        """
        return await self._settle(change, deadline, propose=True)

    async def change_after(self, epoch: int, deadline: float) -> MembersChange | None:
        """What followed an epoch; None if nothing has.

        Raises:
            DecreedError: if it cannot be read.
        """
        decree = await self._sender.get(members_key(epoch + 1), deadline)
        return change_of(decree) if decree is not None else None

    async def pause(self, deadline: float) -> None:
        """Wait a little, at most until the deadline."""
        pool = self._sender.pool
        await pool.runtime.listen(Wakeup(), min(deadline, pool.now() + PAUSE_SECONDS))

    async def _settle(
        self, change: Change, deadline: float, *, propose: bool
    ) -> Decree | ChangePlan:
        await self._sender.meet(deadline)
        error: DecreedError = Unreachable("no member answers")
        while True:
            for link in self._sender.pool.route(None):
                try:
                    found = await self._ask(change, link, deadline, propose=propose)
                except DecreedError as failed:
                    if isinstance(failed, BadRequest | Denied) and not self._in_doubt:
                        raise
                    error = failed
                else:
                    if isinstance(found, Decree) or not self._in_doubt:
                        self._in_doubt = False
                        return found
            if self.now() >= deadline:
                raise self._end(error, change)
            await self.pause(deadline)

    async def _ask(
        self, change: Change, link: Link, deadline: float, *, propose: bool
    ) -> Decree | ChangePlan:
        soon = min(deadline, self.now() + TRY_SECONDS)
        before, self._in_doubt = self._in_doubt, self._in_doubt or propose
        try:
            reply = await self._sender.ask(to_change(change, link, propose=propose), soon)
        except DecreedError as error:
            self._in_doubt = before or (propose and not error.definite)
            raise
        self._in_doubt = before
        if isinstance(reply.answer, Decreed):
            return reply.answer.decree
        assert isinstance(reply.answer, ChangePlan), "nothing else settles the operation"
        return reply.answer

    def _end(self, error: DecreedError, change: Change) -> DecreedError:
        if not self._in_doubt:
            return error if error.definite else Unreachable(str(error))
        unknown = OutcomeUnknown(
            f"whether epoch {change.base} is followed by this change is unknown ({error})"
        )
        unknown.__cause__ = error
        return unknown
