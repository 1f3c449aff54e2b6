"""Lock queues: the waiters of each lock, and how the first of them gets the next term (design 11).

The node that a client asks, usually the lock's home, keeps the waiters in order of arrival. It proposes
the next term for the first waiter after the previous term was released, or after a prepare quorum has
answered that no lease on it runs there. So a waiter that gives up leaves no half-accepted term, and a
waiter whose connection has ended delays no other.

Invariants kept here:

* a term is proposed only by a node that has learned the previous one (design 10). Where older terms are
  forgotten, that includes the term at the floor;
* a term that was neither released nor forced is followed only after a prepare quorum has answered
  that it is not live there;
* `HeldBy` is answered only from what a prepare quorum answered after the request arrived, and only
  if no accept was sent for the request.
"""

from collections.abc import Callable, Sequence

from ...errors import Damaged as DamagedError
from ...errors import NotFormed
from ...locks.leases import Leases
from ...locks.terms import (
    Ending,
    How,
    LeaseId,
    Previous,
    lease_id,
    lock_and_term,
    lock_of,
    term_key,
    term_of,
)
from ...types import Decree, Key, NodeId
from ...unserved import ForgottenInstance, Unserved
from ...wire.leases import LeaseAnswer
from ...wire.requests import HolderRequest, LockRequest, Undecided
from ..consensus.attempt import Candidate, Found
from ..consensus.coordinator import Coordinator
from ..requests.reads import Reads
from ..step.disk_reads import SlotDone
from ..step.events import Reconsider, TryNextTerm
from ..step.node import Node, no_room, refusal
from ..step.pending import PendingRequest, PendingRequests, out_of_time
from ..step.step_builder import Pending, StepBuilder
from ..step.tokens import ReadDone
from .granting import Granting
from .latest_terms import LatestTerms
from .lease_queries import LeaseQueries
from .lock_queue import (
    AT_ONCE,
    FRESH_MS,
    MAX_PAUSE_MS,
    SHORT_MS,
    Ask,
    LockQueue,
    queues,
    wants_it,
)


class LockQueues:
    """All lock queues of a node.

    Args:
        node: who we are.
        requests: where answers go.
        coordinator: runs Paxos.
        reads: reads a term from a quorum.
        leases: the node's leases.
        learn: records decrees and notifies the other parts.
    """

    def __init__(
        self,
        node: Node,
        requests: PendingRequests,
        coordinator: Coordinator,
        reads: Reads,
        leases: Leases,
        learn: Callable[[StepBuilder, Sequence[Decree]], None],
    ) -> None:
        self._learn = learn
        self._node = node
        self._requests = requests
        self._coordinator = coordinator
        self._reads = reads
        self._leases = leases
        self._lock_queues: dict[str, LockQueue] = {}
        self.asking = LeaseQueries(node)
        self.latest = LatestTerms(node, self)
        self.granting = Granting(node, requests)
        self._serial = 0
        self.joined: dict[str, None] = {}

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"lock queues": self._lock_queues, **self.asking.pending(), **self.latest.pending()}

    def begin(
        self, step: StepBuilder, pending: PendingRequest, request: LockRequest | HolderRequest
    ) -> None:
        """Queue a request for the lock, or a question who holds it."""
        if not self._node.takes_part:
            self._requests.fail(step, pending, *refusal(self._node))
            return
        if self._node.room and isinstance(request, LockRequest):
            self._requests.fail(step, pending, NotFormed, no_room(self._node))
            return
        queue = self._lock_queues.setdefault(request.lock, LockQueue(request.lock))
        queue.join(pending)
        # a request that ends before the queue acts again must also get the state of the lock
        short = request.timeout_ms <= 2 * MAX_PAUSE_MS
        if len(queue.waiters) == 1 or short or not queues(pending):
            self.joined[request.lock] = None

    def end_turn(self, step: StepBuilder) -> None:
        """Act for the requests of this step; once for each lock, since that serves all its waiters."""
        joined, self.joined = self.joined, {}
        for queue in filter(None, map(self._lock_queues.get, joined)):
            self._go_on(step, queue)

    def expire(self, step: StepBuilder, pending: PendingRequest) -> None:
        """Answer who holds the lock, since a waiter's time is over and if a quorum has said so."""
        queue = self._lock_queues.get(pending.lock or "")
        decree = self.latest.of(pending.lock or "")
        if decree is None and queue is not None and queue.ask is not None:
            decree = queue.ask.decree  # evicted from the cache by other locks
        if pending.undecided and not pending.indefinite and decree and queue:
            self.granting.tell_held(step, pending, decree, queue, queue.held_until_ms)
        else:
            self._requests.fail(step, pending, *out_of_time(pending))

    def leave(self, step: StepBuilder, pending: PendingRequest) -> None:
        """Remove a request; if its claim was being proposed, continue with the next waiter."""
        queue = self._lock_queues.get(pending.lock or "")
        if queue is None:
            return
        waited = queue.candidate is not None
        queue.leave(pending)
        if not queue.waiters:
            self._close(step, queue)
        elif waited and queue.candidate is None:
            self.latest.find(step, queue)

    def waiting(self, lock: str, claim_id: bytes) -> list[PendingRequest]:
        """The requests that wait for a lock here with this claim."""
        queue = self._lock_queues.get(lock)
        return list(queue.by_claim.get(claim_id, ())) if queue is not None else []

    def tries(self, lock: str) -> bool:
        """Whether the next term of a lock is being proposed here."""
        queue = self._lock_queues.get(lock)
        return queue is not None and queue.candidate is not None

    def abandon(self) -> None:
        """Drop everything, since the disk failed; `Replica` fails the requests."""
        self._lock_queues.clear()
        self.asking.abandon()
        self.latest.abandon()

    # -- what happens

    def on_learned(self, step: StepBuilder, decree: Decree) -> None:
        """Grant a decided term to its waiter; it supersedes all earlier terms."""
        lock, term = lock_and_term(decree.key)
        self._leases.superseded(lock, term)
        self.latest.remember(decree)
        queue = self._lock_queues.get(lock)
        if queue is not None:
            self.granting.grant(step, queue, decree)
            queue.held_until_ms = step.now_ms + term_of(decree).ttl_ms
            queue.candidate = None
            self.asking.drop(queue)
            self._on_term_begun(step, queue, decree)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """Continue a queue that stood at a forgotten term from the floor.

        The term at the floor is decided, so leases on earlier terms no longer matter.
        """
        lock = lock_of(gone.series)
        latest, queue = self.latest.of(lock), self._lock_queues.get(lock)
        self._leases.superseded(lock, gone.floor)
        if latest is not None and not gone.covers(latest.key):
            return
        self.latest.forget(lock)
        if queue is not None:
            queue.candidate = None
            self.asking.drop(queue)
            self.latest.find(step, queue)

    def on_ended(self, step: StepBuilder, over: LeaseId) -> None:
        """Continue with the next waiter, since a term was released or broken."""
        queue = self._lock_queues.get(over.lock)
        if queue is not None and queue.candidate is None:
            self.asking.drop(queue)
            self._go_on(step, queue)

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Continue from the last learned term, which the disk has found."""
        assert isinstance(done, SlotDone), "the last slot was asked for"
        if (queue := self.latest.take(done.token)) is not None:
            step.again(TryNextTerm(queue.lock, done.slot))

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """Fail the waiters, since the disk could not be searched."""
        if (queue := self.latest.take(token)) is not None:
            self._fail(step, queue, message)

    def on_timer(self, step: StepBuilder, timer: Reconsider) -> None:
        """Act again, since a lease may have run out."""
        queue = self._lock_queues.get(timer.lock)
        if queue is not None and queue.serial == timer.serial and queue.candidate is None:
            self.latest.find(step, queue)

    def _on_term_begun(self, step: StepBuilder, queue: LockQueue, decree: Decree) -> None:
        """After a term begins, ask about its lease at once only if a waiter cannot wait for that."""
        queue.drop_finished()
        if not queue.waiters:
            self._close(step, queue)
        elif self._leases.ending(lease_id(decree)) or not queue.can_wait(step.now_ms + SHORT_MS):
            self.latest.find(step, queue)
        elif not step.now_ms < queue.looks_ms <= step.now_ms + FRESH_MS:
            self._pause(step, queue, FRESH_MS)

    # -- the next term

    def _go_on(self, step: StepBuilder, queue: LockQueue) -> None:
        """Try the next term in this step if the instances are loaded, otherwise in the next one."""
        latest = self.latest.of(queue.lock)
        needed = self.latest.needs(queue.lock)
        if latest and queue.searching is None and all(key in step.instances for key in needed):
            self.try_next_term(step, TryNextTerm(queue.lock, lock_and_term(latest.key)[1]))
        else:
            self.latest.find(step, queue)

    def try_next_term(self, step: StepBuilder, event: TryNextTerm) -> None:
        """Decide what to do for the first waiter; the instances are loaded."""
        queue = self._lock_queues.get(event.lock)
        if queue is None:
            return
        queue.drop_finished()
        if not queue.waiters:
            self._close(step, queue)
            return
        following = step.instances[term_key(event.lock, event.term + 1)]
        if isinstance(following, ForgottenInstance):
            self.latest.find(step, queue)
        elif isinstance(following, Unserved):
            self._fail(step, queue, following.message)
        elif following.learned is not None:
            step.again(TryNextTerm(event.lock, event.term + 1))
        elif event.term == 0:
            self._try_first_term(step, queue)
        else:
            self._try_above(step, queue, term_key(event.lock, event.term))

    def _try_first_term(self, step: StepBuilder, queue: LockQueue) -> None:
        first = queue.first()
        if first is not None:
            self._propose(step, queue, first, term_key(queue.lock, 1), None)
        for pending in queue.read_only():
            self._look_for_the_first(step, queue, pending)
        if not queue.waiters:
            self._close(step, queue)

    def _look_for_the_first(
        self, step: StepBuilder, queue: LockQueue, pending: PendingRequest
    ) -> None:
        queue.leave(pending)

        def then(step: StepBuilder, found: Found) -> None:
            if found is None:
                self._requests.answer(step, pending, Undecided(pending.request.id))
            elif not pending.done and isinstance(pending.request, HolderRequest):
                self.begin(step, pending, pending.request)

        self._reads.read(step, term_key(queue.lock, 1), pending, then)

    def _try_above(self, step: StepBuilder, queue: LockQueue, key: Key) -> None:
        """Try the term after `key`, which must be learned first; the term at a floor may not be."""
        before = step.instances[key]
        if isinstance(before, ForgottenInstance):
            self.latest.find(step, queue)
        elif isinstance(before, Unserved):
            self._fail(step, queue, before.message)
        elif before.learned is None:
            self._learn_floor(step, queue, key)
        else:
            self._try_after(step, queue, before.learned)

    def _learn_floor(self, step: StepBuilder, queue: LockQueue, key: Key) -> None:
        """Read the term at the floor from a quorum; it is decided, and `on_learned` continues."""
        if queue.floor_for is None or queue.floor_for.done:
            queue.floor_for = queue.foremost()

            def then(step: StepBuilder, found: Found) -> None:
                queue.floor_for = None

            self._reads.read(step, key, queue.floor_for, then)
        self._pause(step, queue, MAX_PAUSE_MS)

    def _try_after(self, step: StepBuilder, queue: LockQueue, before: Decree) -> None:
        """Propose the term after `before` if that is over; otherwise ask all nodes whether it is."""
        self.latest.remember(before)
        self.granting.grant(step, queue, before)
        queue.drop_finished()
        ending = self._leases.ending(lease_id(before))
        first = queue.first()
        if not queue.waiters:
            self._close(step, queue)
        elif first and not queue.read_only() and ending is not None and ending.how in AT_ONCE:
            self._propose_after(step, queue, first, before, ending)
        elif queue.ask is None or queue.ask.told:
            self.asking.drop(queue)
            self.asking.ask(step, queue, before)

    def _propose_after(
        self,
        step: StepBuilder,
        queue: LockQueue,
        first: PendingRequest,
        decree: Decree,
        ending: Ending,
    ) -> None:
        over = lease_id(decree)
        previous = Previous(over.claim_id, term_of(decree).ttl_ms, ending)
        self._propose(step, queue, first, over.next_key, previous)

    def _propose(
        self,
        step: StepBuilder,
        queue: LockQueue,
        first: PendingRequest,
        key: Key,
        previous: Previous | None,
    ) -> None:
        if queue.candidate is None:
            assert isinstance(first.request, LockRequest)
            queue.candidate = first
            claim = first.request.claim.claim(key, previous)
            self._coordinator.join(step, Candidate(first, claim, self.granting.settle))

    # -- asking first

    def on_answer(self, step: StepBuilder, sender: NodeId, answer: LeaseAnswer) -> None:
        """Count an answer about a lease, and act once a quorum of them decides."""
        ask = self.asking.asked(answer)
        if ask is None:
            self.asking.on_late_answer(sender, answer)
            return
        if ask.epoch != self._node.epoch.number:
            return  # it is asked again in the epoch that is known now (M12)
        queue = self.asking.queue(answer)
        if answer.learned is not None:
            if answer.learned.key == lease_id(ask.decree).next_key:
                self._learn(step, (answer.learned,))  # which ends this question
            return
        ask.answers[sender] = answer
        quorums = self._node.quorums
        if ask.next_may_be_chosen():
            self.asking.drop(queue)
            self._finish_next(step, queue, ask)
        elif ask.free(quorums) or ask.released(quorums):
            self.asking.drop(queue)
            self._on_free(step, queue, ask)
        elif ask.answered(quorums) and not ask.told:
            ask.told = True
            self._on_held(step, queue, ask)

    def _finish_next(self, step: StepBuilder, queue: LockQueue, ask: Ask) -> None:
        """Finish the next term, which may be chosen already, for the first waiter.

        If it is chosen or forgotten, the queue continues from there by itself.
        """
        pending = queue.foremost()

        def then(step: StepBuilder, found: Found) -> None:
            # a minority has accepted it; asking again at once would get the same answer
            if found is None:
                self._pause(step, queue, self._node.config.timing.resend_ms)

        self._coordinator.follow(step, lease_id(ask.decree).next_key, pending, then)
        self._pause(step, queue, MAX_PAUSE_MS)

    def _on_free(self, step: StepBuilder, queue: LockQueue, ask: Ask) -> None:
        """Propose the next term: a prepare quorum has no lease on this one, or knows of its release."""
        ending = ask.ending()
        for pending in ask.serves:
            if not wants_it(pending):
                self.granting.tell_held(step, pending, ask.decree, queue, step.now_ms, ending)
        queue.drop_finished()
        first = queue.first()
        if first is not None:
            self._propose_after(step, queue, first, ask.decree, ending or Ending(How.EXPIRED))
        elif queue.waiters:
            self.latest.find(step, queue)
        else:
            self._close(step, queue)

    def _on_held(self, step: StepBuilder, queue: LockQueue, ask: Ask) -> None:
        """Answer that the lock is held: of a prepare quorum, a node has a lease on the term."""
        wait_ms = ask.wait_ms(self._node.quorums)
        queue.held_until_ms = step.now_ms + wait_ms
        ask.mark_undecided()
        for pending in ask.serves:
            if not queues(pending) and not pending.indefinite:
                free_ms = queue.held_until_ms
                self.granting.tell_held(step, pending, ask.decree, queue, free_ms, ask.ending())
        queue.drop_finished()
        if not queue.waiters:
            self._close(step, queue)
        elif not queue.expecting().issubset(ask.serves):
            self.latest.find(step, queue)
        else:
            # one that was served and is indefinite waits too, as its term may yet be the next
            self._pause(step, queue, wait_ms)

    def _pause(self, step: StepBuilder, queue: LockQueue, wait_ms: float) -> None:
        queue.serial = self._serial = self._serial + 1
        delay_ms = min(wait_ms + 1, MAX_PAUSE_MS)
        queue.looks_ms = step.now_ms + delay_ms
        step.timer(Reconsider(queue.lock, queue.serial), delay_ms, delay_ms / 16)

    def _fail(self, step: StepBuilder, queue: LockQueue, message: str) -> None:
        for pending in queue.waiters:
            self._requests.fail(step, pending, DamagedError, message)
        self._close(step, queue)

    def _close(self, step: StepBuilder, queue: LockQueue) -> None:
        self.asking.drop(queue)
        self.latest.drop(step, queue)
        if self._lock_queues.get(queue.lock) is queue:
            del self._lock_queues[queue.lock]
