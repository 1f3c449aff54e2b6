"""An attempt: a coordinator's work on one key, with the requests that wait for it and its ballot."""

from collections.abc import Callable, Collection

from msgspec import Struct
from msgspec.structs import replace

from ...members import epoch_of, is_same_change
from ...paxos.proposer import Prepared, Preparing, Proposing
from ...types import Ballot, Claim, Decree, Key, NodeId, Value
from ...unserved import ForgottenInstance
from ..step.pending import PendingRequest
from ..step.step_builder import StepBuilder

Found = Decree | ForgottenInstance | None
"""The outcome for a key: its decree, that it is forgotten, or None for undecided."""
Then = Callable[[StepBuilder, Found], None]
Settle = Callable[[StepBuilder, PendingRequest, Decree], None]
Judge = Callable[[StepBuilder, PendingRequest, Claim], None]

PATIENT_PREEMPTIONS = 6
"""How often an attempt pauses for somebody else's change of members before its claims end."""


class Progress(Value, frozen=True):
    """The volatile state of an attempt, as a value.

    Args:
        state: the state of the ballot, with all votes; None during a pause.
        heard: the highest ballot reported by a nack.
        batch: the number of the batch that it travels in; 0 if there is none.
        resends, preemptions: how many so far.
    """

    state: Preparing | Proposing | None
    heard: Ballot | None
    batch: int = 0
    resends: int = 0
    preemptions: int = 0


class Follower(Struct, eq=False):
    """A read that waits for the outcome of an attempt.

    Attributes:
        pending: the request behind it.
        then: called with the decree, with None for undecided, or if the key is forgotten.
        joined: the attempt's count of ballots when the read joined. The promises of a ballot that had
            begun by then may be older than the read, so if it finds nothing, the read learns nothing.
    """

    pending: PendingRequest
    then: Then
    joined: int


class Candidate(Struct, eq=False):
    """A request that wants the key.

    Attributes:
        pending: the request.
        claim: the claim to propose.
        settle: called with the request and the decree, which may be another claim's.
        refuse: called with the request and another's change of members that is half done (M03).
        judge: called with the request and the claim before it may be proposed for the first time; ends
            the request if it may not be.
    """

    pending: PendingRequest
    claim: Claim
    settle: Settle
    refuse: Settle | None = None
    judge: Judge | None = None


class Attempt(Struct, eq=False):
    """The node's work on one key.

    Attributes:
        key: the key.
        serial: of the newest timer; earlier timers are ignored.
        state: the state of the present ballot; None during a pause between ballots. A `Prepared`
            attempt is proposed after all events of the step are handled.
        claims: the claims that joined, in order of arrival.
        followers: the reads that joined.
        batch: the number under which a proposal in a home ballot left, with others or alone; None if
            none is in flight.
        heard: the highest ballot reported by a nack.
        sent_ms: when the message of the present state was last sent.
        ballots, resends, preemptions: how many so far; delays grow with the latter two.
    """

    key: Key
    serial: int = 0
    state: Preparing | Prepared | Proposing | None = None
    batch: int | None = None
    claims: list[Candidate] = []
    followers: list[Follower] = []
    heard: Ballot | None = None
    sent_ms: float = 0.0
    ballots: int = 0
    resends: int = 0
    preemptions: int = 0

    @property
    def wanted(self) -> bool:
        """Whether a request waits for it. Requests that are done count until `drop_finished`."""
        return bool(self.claims or self.followers)

    def drop_finished(self) -> None:
        """Drop the claims and reads that are done, so that no claim is proposed after its end."""
        for candidate in self.claims:
            if candidate.pending.done:  # rare: looking costs less than a new list
                self.claims = [each for each in self.claims if not each.pending.done]
                break
        if self.followers:
            self.followers = [f for f in self.followers if not f.pending.done]

    def judge(self, step: StepBuilder) -> None:
        """End the claims that may not be proposed now, if a claim and nothing else is to be proposed.

        One that was proposed before goes on: it may be chosen already.
        """
        if not isinstance(self.state, Prepared) or self.state.highest is not None:
            return
        for each in self.claims:
            if each.judge is not None and not each.pending.done and not each.pending.indefinite:
                each.judge(step, each.pending, each.claim)

    def note_proposed(self) -> None:
        """Mark the claims with the proposal's id as indefinite: from now on they may be chosen."""
        if isinstance(self.state, Proposing):
            for candidate in self.claims:
                if candidate.claim.claim_id == self.state.decree.claim_id:
                    candidate.pending.indefinite = True

    def other_change(self) -> Decree | None:
        """M03: the half-done change of members that its ballot has met; None if a claim wants that."""
        if not isinstance(self.state, Prepared) or self.state.highest is None:
            return None
        if epoch_of(self.key) is None:
            return None
        self.drop_finished()
        decree = self.state.highest.decree
        wanted = any(is_same_change(each.claim.value, decree.value) for each in self.claims)
        return None if wanted else decree

    def leave_to_others(self, step: StepBuilder, other: Decree) -> None:
        """M03: end its claims, since a half-done change of somebody else is not finished for them."""
        for candidate in self.claims:
            if candidate.refuse is not None:
                candidate.refuse(step, candidate.pending, other)

    def take_answered(self) -> list[Follower]:
        """Remove and return the reads that joined before the present ballot began.

        Its promises are younger than these reads, so for them an empty result means undecided.
        """
        answered = [f for f in self.followers if f.joined < self.ballots]
        self.followers = [f for f in self.followers if f.joined >= self.ballots]
        return answered

    def progress(self, batch: int = 0, votes: Collection[NodeId] = ()) -> Progress:
        """Its volatile state, with the number of its batch and the votes on that."""
        state = self.state
        assert not isinstance(state, Prepared), "what is prepared is proposed in the same step"
        if isinstance(state, Proposing):
            state = replace(state, votes=state.votes.union(votes))
        return Progress(state, self.heard, batch, self.resends, self.preemptions)

    def restore(self, progress: Progress) -> None:
        """Take over the volatile state of another attempt."""
        self.state, self.heard = progress.state, progress.heard
        self.resends, self.preemptions = progress.resends, progress.preemptions
        self.batch = progress.batch or None
