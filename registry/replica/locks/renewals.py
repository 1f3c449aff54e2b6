"""Keep-alives and endings: how a holder keeps its term, and how a term is released or broken
(design 11).

A keep-alive is passed to all nodes and writes nothing; those of one turn share their messages. It
is answered when a prepare quorum has restarted its leases since it was sent, and the holder's
validity rests on that. A node refuses it after it has accepted or learned the next term.

A break is in memory alone. So it is told again to those who vote from now on, when members change,
and to a voter that has restarted since (M10): otherwise the holder could go on with the keep-alives of
those who never heard of it.

A node renews or releases a term only after it has learned the term and checked the holder's secret.
So no client can keep or end the term of another one. An operator's break needs no secret. A term
without a hash, from before secrets existed, can be neither renewed nor released.

S10: who does not have the secret gets one and the same answer, whether there is such a term or not.
"""

from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from ...errors import BadRequest
from ...locks.leases import Leases
from ...locks.terms import MAX_TTL_MS, MIN_TTL_MS, How, LeaseId, term_of
from ...paxos.instance import Instance
from ...types import Decree, NodeId
from ...unserved import ForgottenInstance, Unserved
from ...wire.leases import AskLease, EndTerm, LeaseAnswer, Renew, Renewed
from ...wire.requests import Ended, EndRequest, KeepAliveRequest, Kept, Superseded
from ..consensus.attempt import Found
from ..feed.truncation import tell_forgotten
from ..requests.reads import Reads
from ..step.effects import Send
from ..step.events import ResendRead
from ..step.node import Node, refusal
from ..step.pending import PendingRequest, PendingRequests
from ..step.step_builder import Pending, StepBuilder
from .lock_queues import LockQueues
from .untold import UntoldReleases


class Renewal(Struct, eq=False):
    """One keep-alive on its way to all nodes.

    Attributes:
        pending: the request behind it.
        message: the message to every node.
        kept: the nodes that have restarted their lease.
        refused: the nodes that have refused.
        epoch: the epoch in which it is asked: all who answer vote in that one (M12).
    """

    pending: PendingRequest
    message: Renew
    epoch: int
    kept: set[NodeId] = set()
    refused: set[NodeId] = set()


class Renewals:
    """All keep-alives and endings of a node.

    Args:
        node: who we are.
        requests: where answers go.
        reads: reads the decree of a term.
        leases: the node's leases.
        lock_queues: the waiters, for whom a term that is over makes room.

    Attributes:
        untold: the releases that the other nodes have not been told of yet.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        reads: Reads,
        leases: Leases,
        lock_queues: LockQueues,
    ) -> None:
        self._node = node
        self._requests = requests
        self._reads = reads
        self._leases = leases
        self._lock_queues = lock_queues
        self._renewals: dict[int, Renewal] = {}
        self.untold = UntoldReleases(node, lock_queues.tries)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"keep-alives": self._renewals, **self.untold.pending()}

    # -- requests

    def keep(self, step: StepBuilder, pending: PendingRequest, request: KeepAliveRequest) -> None:
        """Pass a keep-alive to all nodes if the term is the holder's."""

        def then(step: StepBuilder, found: Found) -> None:
            held = request.lease_id
            if not isinstance(found, Decree) or not _is_opened(found, held, request.secret):
                self._requests.answer(step, pending, Superseded(request.id))
                return
            term = term_of(found)
            token = self._node.tokens.ask(self)
            self._ask(step, pending, Renew(token, held, term.ttl_ms, term.secret_hash))

        if not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
        else:
            self._reads.read(step, request.lease_id.key, pending, then)

    def end(self, step: StepBuilder, pending: PendingRequest, request: EndRequest) -> None:
        """Release a term for its holder, or break it for an operator."""
        if request.ending.how is How.EXPIRED:
            message = "a term expires by itself; release it or break it"
            self._requests.fail(step, pending, BadRequest, message)
            return

        releases = request.ending.how is How.RELEASED

        def then(step: StepBuilder, found: Found) -> None:
            held = request.lease_id
            if isinstance(found, ForgottenInstance) and not releases:
                self._requests.fail(step, pending, found.error, found.message)
                return
            if not isinstance(found, Decree) or found.claim_id != held.claim_id:
                message = _not_the_holder(held) if releases else _not_this_claim(held)
                self._requests.fail(step, pending, BadRequest, message)
                return
            if releases and not _is_opened(found, held, request.secret):
                self._requests.fail(step, pending, BadRequest, _not_the_holder(held))
                return
            over = EndTerm(held, term_of(found).ttl_ms, request.ending)
            self._requests.answer(step, pending, Ended(request.id))
            self._end(step, over)  # at once: the next in line waits for it
            if releases:
                self.untold.add(step, over)
            else:
                step.broadcast(self._node.others, over)

        self._reads.read(step, request.lease_id.key, pending, then)

    def prune(self) -> None:
        """Drop the keep-alives whose requests are done."""
        for token in [t for t, renewal in self._renewals.items() if renewal.pending.done]:
            self._drop(token)

    def abandon(self) -> None:
        """Drop everything, since the disk failed; `Replica` fails the requests."""
        for token in list(self._renewals):
            self._drop(token)

    def _drop(self, token: int) -> None:
        """End a keep-alive."""
        del self._renewals[token]
        self._node.tokens.close(token)

    # -- as the node that was asked

    def _ask(self, step: StepBuilder, pending: PendingRequest, message: Renew) -> None:
        """Send a keep-alive to all nodes, this one included."""
        self._renewals[message.id] = Renewal(pending, message, self._node.epoch.number)
        step.broadcast((*self._node.others, self._node.name), self._node.asking(message))
        step.ask_again(message.id, self._node.config.timing.resend_ms)

    def on_renewed(self, step: StepBuilder, sender: NodeId, answer: Renewed) -> None:
        """Count an answer: kept after a prepare quorum, superseded once no such quorum is possible."""
        renewal = self._renewals.get(answer.id)
        if renewal is None or renewal.epoch != self._node.epoch.number:
            return
        (renewal.kept if answer.kept else renewal.refused).add(sender)
        quorums = self._node.quorums
        request_id = renewal.pending.request.id
        if quorums.prepared(renewal.kept):
            self._drop(answer.id)
            self._requests.answer(step, renewal.pending, Kept(request_id))
        elif not quorums.prepared(set(self._node.nodes) - renewal.refused):
            self._drop(answer.id)
            self._requests.answer(step, renewal.pending, Superseded(request_id))

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Repeat a keep-alive to nodes that have not answered (R02)."""
        renewal = self._renewals.get(timer.token)
        if renewal is None:
            return
        if renewal.pending.done:
            self._drop(timer.token)
            return
        answered = renewal.kept | renewal.refused
        missing = [node for node in self._node.nodes if node not in answered]
        step.broadcast(missing, self._node.asking(renewal.message))
        step.ask_again(timer.token, self._node.config.timing.resend_ms)

    def on_epoch(self, step: StepBuilder) -> None:
        """M12: send all keep-alives again: they are kept by a quorum of one epoch."""
        for token, renewal in list(self._renewals.items()):
            self._drop(token)
            if not renewal.pending.done:
                message = replace(renewal.message, id=self._node.tokens.ask(self))
                self._ask(step, renewal.pending, message)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Answer keep-alives of forgotten terms: a later term is decided."""
        for token, renewal in list(self._renewals.items()):
            held = renewal.message.lease_id
            if gone.covers(held.key):
                self._drop(token)
                self._requests.answer(step, renewal.pending, Superseded(renewal.pending.request.id))

    # -- as a node that keeps leases

    def on_renew(self, step: StepBuilder, sender: NodeId, message: Renew) -> None:
        """Restart a lease, unless the next term is accepted or learned here."""
        key, following = message.lease_id.next_key, step.instances[message.lease_id.next_key]
        if isinstance(following, ForgottenInstance):
            tell_forgotten(step, sender, key, following)
        elif self._node.voting:
            kept = _is_open(following) and self._leases.renew(
                step.now_ms, message.lease_id, message.ttl_ms, message.secret_hash
            )
            step.at_once(Send(sender, Renewed(message.id, kept)))

    def tell_broken(self, step: StepBuilder, *nodes: NodeId) -> None:
        """M10: tell these nodes which terms an operator has broken, as far as this node knows."""
        for lease in self._leases.broken():
            assert lease.ending is not None, "it is broken"
            left_ms = min(max(MIN_TTL_MS, ceil(lease.until_ms - step.now_ms)), MAX_TTL_MS)
            step.broadcast(nodes, EndTerm(lease.lease_id, left_ms, lease.ending))

    def on_end(self, step: StepBuilder, sender: NodeId, message: EndTerm) -> None:
        """End a term, as the node that was asked for it tells all others."""
        self._end(step, message)

    def _end(self, step: StepBuilder, message: EndTerm) -> None:
        """Note the end of a term: it is not renewed, and the next one may follow."""
        self._leases.end(step.now_ms, message.lease_id, message.ttl_ms, message.ending)
        self._lock_queues.on_ended(step, message.lease_id)

    def tell(self, step: StepBuilder, sender: NodeId, message: AskLease) -> None:
        """Answer a question about a lease, after the state of the next term is durable here."""
        following = step.instances[message.lease_id.next_key]
        if isinstance(following, ForgottenInstance):
            tell_forgotten(step, sender, message.lease_id.next_key, following)
            return
        if isinstance(following, Unserved) or following.disputed is not None:
            return
        if following.learned is None and not self._node.voting:
            return
        held = message.lease_id
        self._leases.end_if_given_up(step.now_ms, held, message.ttl_ms, message.secret_hash)
        remaining_ms = self._leases.remaining_ms(step.now_ms, held, message.ttl_ms)
        answer = LeaseAnswer(
            message.id,
            ceil(remaining_ms),
            self._leases.ending(held),
            following.accepted is not None,
            following.learned,
        )
        step.send_when_durable(held.next_key, Send(sender, answer))


def _is_open(following: Instance | Unserved) -> bool:
    """Whether the term that follows is neither accepted nor learned here."""
    if isinstance(following, Unserved):
        return False
    return following.accepted is None and following.learned is None


def _is_opened(found: Decree, held: LeaseId, secret: bytes | None) -> bool:
    """Whether a decree is of this term, and the secret that of its holder."""
    return found.claim_id == held.claim_id and term_of(found).is_opened_by(secret)


def _not_the_holder(held: LeaseId) -> str:
    """S10: the same, whether there is such a term or not."""
    return f"the secret is not that of a holder of term {held.term} of {held.lock!r} with this claim id"


def _not_this_claim(held: LeaseId) -> str:
    return f"term {held.term} of {held.lock!r} is not this claim's"
