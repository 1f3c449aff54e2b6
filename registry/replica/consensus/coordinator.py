"""The node as a coordinator: one attempt for each key, which all claims of that key join (design 5).

An attempt goes through ballots until its key is decided or no request waits for it. It repeats its
messages (R02). After a nack it pauses, longer after each, and begins a higher ballot (R04).

Invariants kept here:

* prepare(b) leaves only in a step in which this node's own acceptor promises b, and accept(b, v)
  only in one in which it accepts (b, v). The own instance is durable before the next step, so it
  always shows the highest ballot used, and no ballot is used twice (R05).
* a claim that is done is never proposed, so an answer "unreachable" stays true.
"""

from collections.abc import Callable, Iterable, Sequence

from ...keys import RESERVED
from ...paxos import proposer
from ...paxos.instance import Instance
from ...paxos.messages import Accepted, AcceptedMany, Commit, CommitMany, Nack, Promise
from ...paxos.proposer import (
    Chosen,
    NothingToPropose,
    NotPromised,
    Preempted,
    Prepared,
    Preparing,
    Proposing,
)
from ...types import Ballot, Decree, Key, NodeId
from ...unserved import ForgottenInstance
from ...wire.peers import TermRefused
from ..step.effects import Send
from ..step.events import Resend, ResendBatch, Retry
from ..step.node import Node
from ..step.pending import PendingRequest
from ..step.step_builder import Pending, StepBuilder
from .acceptor import LIGHT_BYTES, Acceptors
from .attempt import PATIENT_PREEMPTIONS, Attempt, Candidate, Follower, Progress, Then
from .batches import CLASS_PROMISE_RESENDS, Batches, BatchQueue
from .home_promise import HomePromise

MAX_RESEND_MS = 2_000
MAX_BACKOFF_MS = 1_000
UNWANTED_RESENDS = 5
"""How often an attempt that no request waits for, such as a finish, is repeated before its end."""


class Coordinator:
    """All attempts of a node.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which votes like any other.
        home_promise: replaces phase 1 for new keys that this node is home to.
        learn: records chosen decrees and notifies the other parts.

    Attributes:
        batches: the batches in flight.
        batch_queue: the attempts that join the next one.
        smallest_batch: fewer attempts than this are proposed one by one.
    """

    smallest_batch = 2

    def __init__(
        self,
        node: Node,
        acceptors: Acceptors,
        home_promise: HomePromise,
        learn: Callable[[StepBuilder, Sequence[Decree]], None],
    ) -> None:
        self._node = node
        self._acceptors = acceptors
        self._home_promise = home_promise
        self._learn = learn
        self._attempts: dict[Key, Attempt] = {}
        self.batches = Batches(node, acceptors)
        self.batch_queue = BatchQueue(self.batches)
        self._serial = 0
        self.awaited = (self._attempts,)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"attempts": self._attempts, **self.batches.pending()}

    def needs(self, timer: Resend | Retry) -> Iterable[Key]:
        """The key whose instance a timer needs; empty if the timer no longer counts."""
        return (timer.key,) if self._current(timer) else ()

    def join(self, step: StepBuilder, candidate: Candidate) -> None:
        """Join the attempt at a claim's key, or start one. The first claim to join is proposed."""
        attempt = self._open(candidate.claim.key)
        attempt.claims.append(candidate)
        if attempt.state is not None:
            attempt.note_proposed()
        self._begin_if_new(step, attempt)

    def follow(self, step: StepBuilder, key: Key, pending: PendingRequest, then: Then) -> None:
        """Finish a key in doubt, for a read that waits for the outcome (R22)."""
        attempt = self._open(key)
        attempt.followers.append(Follower(pending, then, attempt.ballots))
        self._begin_if_new(step, attempt)

    def finish(self, step: StepBuilder, key: Key) -> None:
        """Finish a key in doubt, though no request waits for it (R22)."""
        self._begin_if_new(step, self._open(key))

    def on_promise(self, step: StepBuilder, sender: str, message: Promise) -> None:
        """Count a promise; with a prepare quorum, begin phase 2 (R15 to R18)."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Preparing):
            return
        attempt.state = proposer.on_promise(attempt.state, sender, message, self._node.quorums)
        if isinstance(attempt.state, Prepared):
            self._propose(step, attempt)

    def on_accepted(self, step: StepBuilder, sender: str, message: Accepted) -> None:
        """Count an acceptance; with an accept quorum, publish the chosen decree (R20)."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Proposing):
            return
        match state := proposer.on_accepted(attempt.state, sender, message, self._node.quorums):
            case Proposing():
                attempt.state = state
            case Chosen(decree):
                step.counted.add(message.key)
                large = len(decree.value) > LIGHT_BYTES  # who has accepted it here needs no copy
                told = CommitMany(attempt.state.ballot, (decree.key,)) if large else None
                step.broadcast(self._node.others, told or Commit(message.key, decree))
                self._learn(step, (decree,))

    def on_accepted_many(self, step: StepBuilder, sender: NodeId, message: AcceptedMany) -> None:
        """Count a vote on a batch; the keys that it refuses leave the batch and continue alone."""
        refused, chosen = self.batches.on_accepted(step, sender, message)
        for key in refused:
            self._go_alone(step, key)
        if chosen is not None:
            step.broadcast(self._node.others, chosen.commit())
            self._learn(step, chosen.decrees)

    def on_nack(self, step: StepBuilder, sender: NodeId, message: Nack) -> None:
        """Pause, then begin again above the ballot that the acceptor has promised (R04, R10)."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Preparing | Proposing):
            return
        match state := proposer.on_nack(attempt.state, message):
            case Preempted():
                self._pause(step, attempt, state.promised)
            case NotPromised():
                self._home_promise.ask(step, sender)
            case Preparing() | Proposing():
                pass

    def on_term_refused(self, step: StepBuilder, sender: NodeId, message: TermRefused) -> None:
        """Repeat an accept that an acceptor's lease check refuses for now, when that time is over."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Proposing):
            return
        if attempt.state.ballot == message.ballot:
            self._set_resend(step, attempt, message.remaining_ms)

    def on_learned(self, step: StepBuilder, decrees: Sequence[Decree]) -> None:
        """Keys are decided, here or elsewhere: give the decrees to the requests that wait for them."""
        for decree in decrees:
            self._end(step, decree.key, decree)

    def on_forgotten(self, step: StepBuilder, gone: ForgottenInstance) -> None:
        """End the attempts at forgotten keys; their claims stay as indefinite as they were."""
        for key in [key for key in self._attempts if gone.covers(key)]:
            attempt = self._attempts.pop(key)
            self._leave(attempt)
            for follower in attempt.followers:
                follower.then(step, gone)

    def on_resend(self, step: StepBuilder, timer: Resend) -> None:
        """Repeat the message of an attempt, unless no request waits for it any more."""
        attempt = self._current(timer)
        if attempt is None or not isinstance(attempt.state, Preparing | Proposing):
            return
        attempt.drop_finished()
        if not attempt.wanted and attempt.resends >= UNWANTED_RESENDS:
            del self._attempts[attempt.key]
            return
        if (left_ms := self._due_ms(attempt) - step.now_ms) > 0:
            self._wake(step, attempt, Resend, left_ms)
            return
        attempt.resends += 1
        if attempt.state.ballot.is_of_home and attempt.resends > CLASS_PROMISE_RESENDS:
            self._begin(step, attempt)  # the acceptors that are up may lack the class promise
        else:
            self._send(step, attempt, attempt.state)

    def on_resend_batch(self, step: StepBuilder, timer: ResendBatch) -> None:
        """Repeat a batch; if that was done before, its keys continue alone."""
        for key in self.batches.on_resend(step, timer):
            self._go_alone(step, key)

    def on_reachable(self, step: StepBuilder, node: NodeId) -> None:
        """Send the open prepares to a node that may have missed them while unreachable (R02)."""
        for attempt in self._attempts.values():
            if isinstance(attempt.state, Preparing):
                step.at_once(Send(node, attempt.state.message()))

    def on_epoch(self, step: StepBuilder) -> None:
        """M10, M11: drop every ballot of an earlier epoch, and begin again in the one that is known.

        A vote that arrives later counts for nothing here. What it has chosen is found by taking over.
        Until the node is ready its own acceptor is silent, so each attempt pauses.
        """
        for attempt in self._attempts.values():
            self._leave(attempt)
            attempt.state = None
            attempt.heard = None
            self._wake(step, attempt, Retry, 0.0 if self._node.voting else MAX_BACKOFF_MS)

    def on_retry(self, step: StepBuilder, timer: Retry) -> None:
        """Begin a higher ballot after a pause."""
        attempt = self._current(timer)
        if attempt is not None and attempt.state is None:
            self._begin_if_wanted(step, attempt)

    def abandon(self) -> None:
        """Drop everything, since the disk failed; `Replica` fails the requests."""
        self._attempts.clear()
        self.batches.clear()
        self.batch_queue.clear()

    def progress(self, key: Key) -> Progress | None:
        """The volatile state of the attempt at `key`; None if there is none."""
        attempt = self._attempts.get(key)
        return self.batches.progress(attempt) if attempt is not None else None

    def restore(self, key: Key, progress: Progress) -> None:
        """Put an open attempt at `key` into the volatile state of another one."""
        self._attempts[key].restore(progress)
        self.batches.restore(progress)

    def propose_due(self, step: StepBuilder) -> None:
        """Propose what is due, after all events of the step are handled (R16 to R18)."""
        due = self.batch_queue.due(step)
        for attempt in due.unclaimed:
            self._begin_if_wanted(step, attempt)
        for attempt in due.alone:
            self._propose(step, attempt)
        for attempts in due.together:
            self._propose_together(step, attempts)

    # -- one attempt

    def _open(self, key: Key) -> Attempt:
        attempt = self._attempts.get(key)
        if attempt is None:
            attempt = self._attempts[key] = Attempt(key)
        return attempt

    def _begin_if_new(self, step: StepBuilder, attempt: Attempt) -> None:
        if attempt.state is None and not attempt.preemptions:
            self._begin(step, attempt)

    def _begin(self, step: StepBuilder, attempt: Attempt) -> None:
        """R09: begin a ballot above all that our acceptor promised and all that nacks reported."""
        instance = step.instances[attempt.key]
        if not isinstance(instance, Instance) or self._node.is_full:
            self._stall(step, attempt)
            return
        self._leave(attempt)
        attempt.ballots += 1
        attempt.resends = 0
        prepared = self._home_promise.prepared(step, attempt.key, instance)
        if prepared is not None and attempt.claims:
            attempt.drop_finished()
            if attempt.wanted:
                attempt.state = prepared
                self.batch_queue.add(attempt)
                return
        above = max((b for b in (instance.promised, attempt.heard) if b is not None), default=None)
        epoch = self._node.epoch.number
        self._send(step, attempt, proposer.start(attempt.key, self._node.process, above, epoch))

    def _propose(self, step: StepBuilder, attempt: Attempt) -> None:
        """R16 to R18 for one key alone."""
        if attempt.key[0] == RESERVED and (other := attempt.other_change()):
            self._leave_to_others(step, attempt, other)
            return
        if self.batch_queue.judging:
            attempt.judge(step)
        state = self._proposal(step, attempt)
        if isinstance(state, NothingToPropose):
            return self._end_with_nothing_to_propose(step, attempt)
        attempt.resends = 0
        return self._send(step, attempt, state)

    def _propose_together(self, step: StepBuilder, attempts: Sequence[Attempt]) -> None:
        """R16 to R18 for a batch. Keys that our own acceptor refuses are not sent.

        Fewer than `smallest_batch` attempts are proposed one by one: a batch of one only adds cost.
        """
        if len(attempts) < self.smallest_batch:
            for attempt in attempts:
                attempt.batch = self.batches.single()
                self._propose(step, attempt)
            return
        decrees: list[Decree] = []
        for attempt in attempts:
            state = self._proposal(step, attempt)
            assert isinstance(state, Proposing), "an attempt in a batch has a claim"
            attempt.state = state
            decrees.append(state.decree)
        batch, refused = self.batches.send(step, decrees)
        for attempt in attempts:
            attempt.batch = batch
            attempt.note_proposed()
        for key in refused:
            self._go_alone(step, key)

    def _proposal(self, step: StepBuilder, attempt: Attempt) -> Proposing | NothingToPropose:
        """R16, R17, with the first claim that is still pending as our own value."""
        assert isinstance(attempt.state, Prepared), "a proposal needs a prepare quorum (R15)"
        attempt.drop_finished()
        first, ballot = next(iter(attempt.claims), None), attempt.state.ballot
        who = first.pending.identity.recorded if first else ""
        own = Decree.of(first.claim, ballot, step.moment.wall_ms, who) if first else None
        return proposer.propose(attempt.state, own)

    def _begin_if_wanted(self, step: StepBuilder, attempt: Attempt) -> None:
        """Begin again if a request still waits for the attempt; drop it otherwise."""
        attempt.drop_finished()
        if attempt.wanted:
            self._begin(step, attempt)
        else:
            del self._attempts[attempt.key]

    def _go_alone(self, step: StepBuilder, key: Key) -> None:
        """Begin again with both phases, for a key that has left its batch (R15)."""
        attempt = self._attempts.get(key)
        if attempt is not None and attempt.batch is not None:
            self._begin(step, attempt)

    def _leave(self, attempt: Attempt) -> None:
        """Take the attempt out of the queue and out of its batch."""
        if attempt.key in self.batch_queue.waiting:
            self.batch_queue.drop(attempt.key)
        if attempt.batch in self.batches.under_way:
            self.batches.leave(attempt.batch, attempt.key)
        attempt.batch = None

    def _send(self, step: StepBuilder, attempt: Attempt, state: Preparing | Proposing) -> None:
        """Ask our own acceptor first; if it agrees, send to all other nodes at once (R05)."""
        message = state.message()
        attempt.state = state
        match answer := self._acceptors.answer(step, message):
            case Nack():
                assert answer.promised is not None, "we rely on no promise that we have not given"
                self._pause(step, attempt, answer.promised)
            case Promise() | Accepted():
                step.send_when_durable(attempt.key, Send(self._node.name, answer))
                step.broadcast(self._node.others, message)
                attempt.note_proposed()
                self._set_resend(step, attempt)
            case TermRefused():
                self._wait(step, attempt, answer.remaining_ms)
            case Commit():
                self._end(step, attempt.key, answer.decree)
            case None:
                self._stall(step, attempt)

    def _set_resend(self, step: StepBuilder, attempt: Attempt, at_least_ms: int = 0) -> None:
        attempt.sent_ms = step.now_ms
        delay_ms = self._node.config.timing.resend_ms << min(attempt.resends, 8)
        delay_ms = min(max(delay_ms, at_least_ms), MAX_RESEND_MS)
        self._wake(step, attempt, Resend, delay_ms, delay_ms / 4)

    def _due_ms(self, attempt: Attempt) -> float:
        """When to repeat its message: a large value may take as long as the backlog, others do not."""
        value = attempt.state.decree.value if isinstance(attempt.state, Proposing) else b""
        return attempt.sent_ms + (len(value) > LIGHT_BYTES) * self._acceptors.backlog_ms

    def _wake(
        self, step: StepBuilder, attempt: Attempt, timer: type[Resend | Retry], *ms: float
    ) -> None:
        """Set the attempt's timer, with a delay and a spread; earlier timers no longer count."""
        self._serial += 1
        attempt.serial = self._serial
        step.timer(timer(attempt.key, attempt.serial), *ms)

    def _pause(self, step: StepBuilder, attempt: Attempt, promised: Ballot) -> None:
        """R04: duels end because pauses grow and the timers outside randomise them."""
        self._leave(attempt)
        attempt.state = None
        attempt.heard = max(promised, attempt.heard or promised)
        backoff_ms = self._node.config.timing.backoff_ms << min(attempt.preemptions, 10)
        delay_ms, attempt.preemptions = min(backoff_ms, MAX_BACKOFF_MS), attempt.preemptions + 1
        self._node.counts.preemptions += 1
        self._wake(step, attempt, Retry, delay_ms / 2, delay_ms)

    def _leave_to_others(self, step: StepBuilder, attempt: Attempt, other: Decree) -> None:
        """M03: who proposed the other change may be about to finish it; nobody does it for him."""
        if attempt.claims and attempt.preemptions < PATIENT_PREEMPTIONS:
            self._pause(step, attempt, other.ballot)
        else:
            del self._attempts[attempt.key]
            attempt.leave_to_others(step, other)

    def _wait(self, step: StepBuilder, attempt: Attempt, remaining_ms: int) -> None:
        """Try later: our own lease check refuses the term, so the accept must not leave (R05)."""
        attempt.state = None
        attempt.preemptions += 1  # so that requests which join during the pause wait as well
        delay_ms = min(remaining_ms + 1, MAX_RESEND_MS)
        self._wake(step, attempt, Retry, delay_ms, delay_ms / 8)

    def _stall(self, step: StepBuilder, attempt: Attempt) -> None:
        """Pause without sending: our own instance is damaged or disputed, or our disk is full."""
        self._leave(attempt)
        attempt.state = None
        self._wake(step, attempt, Retry, MAX_BACKOFF_MS)

    def _end(self, step: StepBuilder, key: Key, decree: Decree) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return
        self._leave(attempt)
        for candidate in attempt.claims:
            candidate.settle(step, candidate.pending, decree)
        for follower in attempt.followers:
            follower.then(step, decree)

    def _end_with_nothing_to_propose(self, step: StepBuilder, attempt: Attempt) -> None:
        """Answer the reads that are older than this ballot; begin another for later ones (design 6)."""
        answered = attempt.take_answered()
        attempt.state = None
        if attempt.followers:
            self._begin(step, attempt)
        else:
            del self._attempts[attempt.key]
        for follower in answered:
            follower.then(step, None)

    def _current(self, timer: Resend | Retry) -> Attempt | None:
        attempt = self._attempts.get(timer.key)
        return attempt if attempt is not None and attempt.serial == timer.serial else None
