"""The node as a coordinator: one attempt a key, which all claims of that key join (design 5).

An attempt goes through ballots until the key is decided or nobody waits any more. Its messages are
sent again until answered (R02); after a nack it pauses for a random, growing while and starts in a
higher ballot (R04).

Invariants kept here:

* prepare(b) leaves only in a step in which this node's own acceptor promises b, and accept(b, v)
  only in one in which it accepts (b, v). So the own instance, which is durable before the next
  step, always shows the highest ballot used, and none is used twice (R05).
* a claim that is done is never proposed, so "unreachable" stays true after it was said.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..disk import Forgotten, Unserved
from ..paxos import proposer
from ..paxos.messages import Accepted, Commit, Nack, Promise
from ..paxos.proposer import (
    Chosen,
    Outbid,
    Prepared,
    Preparing,
    Proposing,
    Uncovered,
    Vacant,
)
from ..types import Ballot, Claim, Decree, Key, NodeId
from ..wire.peers import Held
from .acceptors import Acceptors
from .effects import Send
from .events import Resend, Retry
from .node import Node
from .requests import Live
from .standing import Standing
from .turn import Turn

MAX_RESEND_MS = 2_000
MAX_BACKOFF_MS = 1_000
LIGHT_BYTES = 4_096
STANDING_RESENDS = 1
"""So often a proposal that relies on the standing promise is said again; then comes phase 1."""
UNWANTED_RESENDS = 5
"""An attempt that nobody waits for, such as a finish, is given up behind so many repetitions."""


Settle = Callable[[Turn, Live, Decree], None]
Found = Decree | Forgotten | None
"""What a key is decided to be, that it is forgotten, or that it is undecided."""
Then = Callable[[Turn, Found], None]


@dataclass(slots=True, eq=False)
class Follower:
    """A read that wants to know how an attempt ends.

    Attributes:
        live: the request behind it.
        then: called with the decree, with None for undecided, or if the key is forgotten.
        joined: the attempt's count of ballots when the read joined. The promises of a ballot that
            had begun by then may be older than the read, so its vacancy says nothing to it.
    """

    live: Live
    then: Then
    joined: int


@dataclass(slots=True, eq=False)
class Candidate:
    """A request that wants the key, and what it would have it frozen to."""

    live: Live
    claim: Claim


@dataclass(slots=True, eq=False)
class Attempt:
    """The node's work on one key.

    Attributes:
        key: the key.
        serial: of the timer that counts now; earlier ones have been overtaken.
        state: where the present ballot stands; None while pausing between ballots.
        claims: the claims that joined, in order of arrival.
        followers: the reads that joined.
        heard: the highest ballot that a nack spoke of.
        said_ms: when the present state's message was sent last.
        ballots, resends, outbids: how many so far; pauses grow with the latter two.
    """

    key: Key
    serial: int = 0
    state: Preparing | Proposing | None = None
    claims: list[Candidate] = field(default_factory=list[Candidate])
    followers: list[Follower] = field(default_factory=list[Follower])
    heard: Ballot | None = None
    said_ms: float = 0.0
    ballots: int = 0
    resends: int = 0
    outbids: int = 0

    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        self.claims = [candidate for candidate in self.claims if not candidate.live.done]
        self.followers = [f for f in self.followers if not f.live.done]
        return bool(self.claims or self.followers)


class Coordinator:
    """All attempts of a node.

    Args:
        node: who we are.
        acceptors: the node's own acceptor, which votes like any other.
        standing: spares phase 1 for a new key that this node is home to.
        learn: makes a chosen decree known to the whole node.
        settle: answers a claim with the decree.
    """

    def __init__(
        self,
        node: Node,
        acceptors: Acceptors,
        standing: Standing,
        learn: Callable[[Turn, Decree], None],
        settle: Settle,
    ) -> None:
        self._node = node
        self._acceptors = acceptors
        self._standing = standing
        self._learn = learn
        self._settle = settle
        self._attempts: dict[Key, Attempt] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._attempts)

    def needs(self, timer: Resend | Retry) -> Iterable[Key]:
        """The instance that a timer needs: none if its attempt is over."""
        return (timer.key,) if self._current(timer) else ()

    def join(self, turn: Turn, live: Live, claim: Claim) -> None:
        """Claim a key: join its attempt, or start one. The first claim in it is proposed."""
        attempt = self._open(claim.key)
        attempt.claims.append(Candidate(live, claim))
        self._note_proposed(attempt)
        self._begin_if_new(turn, attempt)

    def follow(self, turn: Turn, key: Key, live: Live, then: Then) -> None:
        """Finish what others left half-done, for a read that must know how it ends (R22)."""
        attempt = self._open(key)
        attempt.followers.append(Follower(live, then, attempt.ballots))
        self._begin_if_new(turn, attempt)

    def finish(self, turn: Turn, key: Key) -> None:
        """Finish what others left half-done, for nobody in particular (R22)."""
        self._begin_if_new(turn, self._open(key))

    def on_promise(self, turn: Turn, sender: str, message: Promise) -> None:
        """Phase 1 goes on; with a quorum, phase 2 begins (R15 to R18)."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Preparing):
            return
        state = proposer.on_promise(attempt.state, sender, message, self._node.config.quorums)
        match state:
            case Preparing():
                attempt.state = state
            case Prepared():
                self._propose(turn, attempt, state)

    def on_accepted(self, turn: Turn, sender: str, message: Accepted) -> None:
        """Phase 2 goes on; with a quorum, the decree is chosen and published (R20)."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Proposing):
            return
        state = proposer.on_accepted(attempt.state, sender, message, self._node.config.quorums)
        match state:
            case Proposing():
                attempt.state = state
            case Chosen(decree):
                turn.broadcast(self._node.others, Commit(message.key, decree))
                self._learn(turn, decree)

    def on_nack(self, turn: Turn, sender: NodeId, message: Nack) -> None:
        """Somebody promised a higher ballot: pause, and begin again above it (R04, R10)."""
        attempt = self._attempts.get(message.key)
        if attempt is None or attempt.state is None:
            return
        state = proposer.on_nack(attempt.state, message)
        match state:
            case Outbid():
                self._pause(turn, attempt, state.promised)
            case Uncovered():
                self._standing.ask(turn, sender)
            case Preparing() | Proposing():
                pass

    def on_held(self, turn: Turn, message: Held) -> None:
        """An acceptor's guard refuses a term for now: the same accept is sent again in time."""
        attempt = self._attempts.get(message.key)
        if attempt is None or not isinstance(attempt.state, Proposing):
            return
        if attempt.state.ballot == message.ballot:
            self._set_resend(turn, attempt, message.remaining_ms)

    def on_learned(self, turn: Turn, decree: Decree) -> None:
        """The key is decided, here or elsewhere: everybody who waited gets the decree."""
        self._end(turn, decree.key, decree)

    def on_forgotten(self, turn: Turn, gone: Forgotten) -> None:
        """Give up what cannot be decided here any more; whoever waits for a term is told elsewhere.

        An accept may have left for a claim in it, so the claim stays indefinite.
        """
        for key in [key for key in self._attempts if gone.covers(key)]:
            for follower in self._attempts.pop(key).followers:
                follower.then(turn, gone)

    def on_resend(self, turn: Turn, timer: Resend) -> None:
        """Answers are missing: say it again, unless nobody waits any more."""
        attempt = self._current(timer)
        if attempt is None or attempt.state is None:
            return
        if not attempt.wanted() and attempt.resends >= UNWANTED_RESENDS:
            del self._attempts[attempt.key]
            return
        left_ms = attempt.said_ms + self._backlog_ms(attempt) - turn.now_ms
        if left_ms > 0:
            turn.timer(Resend(attempt.key, self._next_serial(attempt)), left_ms)
            return
        attempt.resends += 1
        if attempt.state.ballot.is_standing and attempt.resends > STANDING_RESENDS:
            self._begin(turn, attempt)  # those who are up may not have given the standing promise
        else:
            self._send(turn, attempt, attempt.state)

    def on_retry(self, turn: Turn, timer: Retry) -> None:
        """The pause is over: begin again in a higher ballot."""
        attempt = self._current(timer)
        if attempt is None or attempt.state is not None:
            return
        if attempt.wanted():
            self._begin(turn, attempt)
        else:
            del self._attempts[attempt.key]

    def abandon(self) -> list[Live]:
        """Drop everything, since the disk failed; returns the claims that nobody serves now."""
        claims = [candidate for attempt in self._attempts.values() for candidate in attempt.claims]
        self._attempts.clear()
        return [candidate.live for candidate in claims if not candidate.live.done]

    # -- one attempt

    def _open(self, key: Key) -> Attempt:
        attempt = self._attempts.get(key)
        if attempt is None:
            attempt = self._attempts[key] = Attempt(key)
        return attempt

    def _begin_if_new(self, turn: Turn, attempt: Attempt) -> None:
        if attempt.state is None and not attempt.outbids:
            self._begin(turn, attempt)

    def _begin(self, turn: Turn, attempt: Attempt) -> None:
        """R09: a new ballot, above all that this acceptor promised and all that we heard of."""
        instance = turn.instance(attempt.key)
        if isinstance(instance, Unserved):
            self._stall(turn, attempt)
            return
        attempt.ballots += 1
        attempt.resends = 0
        prepared = self._standing.prepared(turn, attempt.key, instance)
        if prepared is not None and attempt.wanted() and attempt.claims:
            self._propose(turn, attempt, prepared)
            return
        above = max((b for b in (instance.promised, attempt.heard) if b is not None), default=None)
        self._send(turn, attempt, proposer.start(attempt.key, self._node.process, above))

    def _propose(self, turn: Turn, attempt: Attempt, prepared: Prepared) -> None:
        """R16 to R18, with the first claim that is still wanted as our own value."""
        attempt.wanted()
        claim = attempt.claims[0].claim if attempt.claims else None
        own = Decree.of(claim, prepared.ballot, turn.moment.wall_ms) if claim else None
        state = proposer.propose(prepared, own)
        match state:
            case Vacant():
                self._end_vacant(turn, attempt)
            case Proposing():
                attempt.resends = 0
                self._send(turn, attempt, state)

    def _send(self, turn: Turn, attempt: Attempt, state: Preparing | Proposing) -> None:
        """Say it to our own acceptor first; if that agrees, to all the others, at once."""
        message = state.message()
        attempt.state = state
        answer = self._acceptors.answer(turn, message)
        match answer:
            case Nack():
                assert answer.promised is not None, "we rely on no promise that we have not given"
                self._pause(turn, attempt, answer.promised)
            case Promise() | Accepted():
                turn.vouch(attempt.key, Send(self._node.name, answer))
                turn.broadcast(self._node.others, message)
                self._note_proposed(attempt)
                self._set_resend(turn, attempt)
            case Held():
                self._wait(turn, attempt, answer.remaining_ms)
            case Commit():
                self._end(turn, attempt.key, answer.decree)
            case None:
                self._stall(turn, attempt)

    def _set_resend(self, turn: Turn, attempt: Attempt, at_least_ms: int = 0) -> None:
        attempt.said_ms = turn.now_ms
        delay_ms = self._node.config.timing.resend_ms << min(attempt.resends, 8)
        delay_ms = min(max(delay_ms, at_least_ms), MAX_RESEND_MS)
        turn.timer(Resend(attempt.key, self._next_serial(attempt)), delay_ms, delay_ms / 4)

    def _backlog_ms(self, attempt: Attempt) -> float:
        """How long a large value may wait behind others; a message without one is soon there."""
        if isinstance(attempt.state, Proposing) and len(attempt.state.decree.value) > LIGHT_BYTES:
            return self._acceptors.backlog_ms
        return 0.0

    def _next_serial(self, attempt: Attempt) -> int:
        """Make all timers of the attempt stale but the one that is set now."""
        self._serial += 1
        attempt.serial = self._serial
        return self._serial

    def _pause(self, turn: Turn, attempt: Attempt, promised: Ballot) -> None:
        """R04: duels end because pauses grow and are randomised, outside."""
        attempt.state = None
        attempt.heard = max(promised, attempt.heard or promised)
        delay_ms = min(
            self._node.config.timing.backoff_ms << min(attempt.outbids, 10), MAX_BACKOFF_MS
        )
        attempt.outbids += 1
        turn.timer(Retry(attempt.key, self._next_serial(attempt)), delay_ms / 2, delay_ms)

    def _wait(self, turn: Turn, attempt: Attempt, remaining_ms: int) -> None:
        """Our own guard refuses the term, so the accept may go nowhere (see above): later."""
        attempt.state = None
        attempt.outbids += 1  # whoever joins meanwhile waits as well
        delay_ms = min(remaining_ms + 1, MAX_RESEND_MS)
        turn.timer(Retry(attempt.key, self._next_serial(attempt)), delay_ms, delay_ms / 8)

    def _stall(self, turn: Turn, attempt: Attempt) -> None:
        """Our own instance is damaged or disputed: say nothing, rather than something doubtful."""
        attempt.state = None
        turn.timer(Retry(attempt.key, self._next_serial(attempt)), MAX_BACKOFF_MS)

    def _note_proposed(self, attempt: Attempt) -> None:
        """From here on, a claim whose id is in the proposal may be chosen: say so if time ends."""
        if isinstance(attempt.state, Proposing):
            for candidate in attempt.claims:
                if candidate.claim.claim_id == attempt.state.decree.claim_id:
                    candidate.live.indefinite = True

    def _end(self, turn: Turn, key: Key, decree: Decree) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return
        for candidate in attempt.claims:
            self._settle(turn, candidate.live, decree)
        for follower in attempt.followers:
            follower.then(turn, decree)

    def _end_vacant(self, turn: Turn, attempt: Attempt) -> None:
        """Tell the reads that this ballot began after; for later ones, begin another (design 6)."""
        answered = [f for f in attempt.followers if f.joined < attempt.ballots]
        attempt.followers = [f for f in attempt.followers if f.joined >= attempt.ballots]
        attempt.state = None
        if attempt.followers:
            self._begin(turn, attempt)
        else:
            del self._attempts[attempt.key]
        for follower in answered:
            follower.then(turn, None)

    def _current(self, timer: Resend | Retry) -> Attempt | None:
        attempt = self._attempts.get(timer.key)
        return attempt if attempt is not None and attempt.serial == timer.serial else None
