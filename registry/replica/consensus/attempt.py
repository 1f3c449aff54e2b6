"""An attempt: a coordinator's work on one key, with the requests that wait for it and its ballot."""

from collections.abc import Callable, Collection

from msgspec import Struct
from msgspec.structs import replace

from ...disk import ForgottenInstance
from ...paxos.proposer import Prepared, Preparing, Proposing
from ...types import Ballot, Claim, Decree, Key, NodeId, Value
from ..step.pending import PendingRequest
from ..step.step_builder import StepBuilder

Found = Decree | ForgottenInstance | None
"""The outcome for a key: its decree, that it is forgotten, or None for undecided."""
Then = Callable[[StepBuilder, Found], None]
Settle = Callable[[StepBuilder, PendingRequest, Decree], None]


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
    """

    pending: PendingRequest
    claim: Claim
    settle: Settle


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
        self.claims = [candidate for candidate in self.claims if not candidate.pending.done]
        if self.followers:
            self.followers = [f for f in self.followers if not f.pending.done]

    def note_proposed(self) -> None:
        """Mark the claims with the proposal's id as indefinite: from now on they may be chosen."""
        if isinstance(self.state, Proposing):
            for candidate in self.claims:
                if candidate.claim.claim_id == self.state.decree.claim_id:
                    candidate.pending.indefinite = True

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
