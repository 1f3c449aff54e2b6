"""What a coordinator keeps of one key: who waits for it, and where its ballot stands."""

from collections.abc import Callable, Collection

from msgspec import Struct
from msgspec.structs import replace

from ...disk import ForgottenInstance
from ...paxos.proposer import Prepared, Preparing, Proposing
from ...types import Ballot, Claim, Decree, Key, NodeId, Value
from ..step.pending import PendingRequest
from ..step.step_builder import StepBuilder

Found = Decree | ForgottenInstance | None
"""What a key is decided to be, that it is forgotten, or that it is undecided."""
Then = Callable[[StepBuilder, Found], None]
Settle = Callable[[StepBuilder, PendingRequest, Decree], None]


class Progress(Value, frozen=True):
    """How far an attempt has come: what a crash takes of it, as a value.

    Args:
        state: where the ballot stands, all votes counted; None while it pauses.
        heard: the highest ballot that a nack spoke of.
        batch: the number of the batch that it travels in; 0 if it travels in none.
        resends, preemptions: how many so far.
    """

    state: Preparing | Proposing | None
    heard: Ballot | None
    batch: int = 0
    resends: int = 0
    preemptions: int = 0


class Follower(Struct, eq=False):
    """A read that wants to know how an attempt ends.

    Attributes:
        pending: the request behind it.
        then: called with the decree, with None for undecided, or if the key is forgotten.
        joined: the attempt's count of ballots when the read joined. The promises of a ballot that
            had begun by then may be older than the read, so its vacancy says nothing to it.
    """

    pending: PendingRequest
    then: Then
    joined: int


class Candidate(Struct, eq=False):
    """A request that wants the key.

    Attributes:
        pending: the request.
        claim: what it would have the key frozen to.
        settle: called with the request and the decree, which may be another claim's.
    """

    pending: PendingRequest
    claim: Claim
    settle: Settle


class Attempt(Struct, eq=False):
    """The node's work on one key.

    Attributes:
        key: the key.
        serial: of the timer that counts now; earlier ones have been overtaken.
        state: where the present ballot stands; None while pausing between ballots. `Prepared` is
            what may be proposed as soon as all events of the step are handled.
        claims: the claims that joined, in order of arrival.
        followers: the reads that joined.
        batch: the number under which a proposal in a home ballot left, with others or by itself;
            None if none is under way.
        heard: the highest ballot that a nack spoke of.
        sent_ms: when the present state's message was sent last.
        ballots, resends, preemptions: how many so far; pauses grow with the latter two.
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
        """Whether anybody waits for it; those who are done count until they are dropped."""
        return bool(self.claims or self.followers)

    def drop_finished(self) -> None:
        """Drop the claims and reads that are done: a claim that is done is never proposed."""
        self.claims = [candidate for candidate in self.claims if not candidate.pending.done]
        if self.followers:
            self.followers = [f for f in self.followers if not f.pending.done]

    def note_proposed(self) -> None:
        """From here on, a claim whose id is in the proposal may be chosen: say so if time ends."""
        if isinstance(self.state, Proposing):
            for candidate in self.claims:
                if candidate.claim.claim_id == self.state.decree.claim_id:
                    candidate.pending.indefinite = True

    def take_answered(self) -> list[Follower]:
        """Take out the reads that the present ballot began after: that it found nothing tells them."""
        answered = [f for f in self.followers if f.joined < self.ballots]
        self.followers = [f for f in self.followers if f.joined >= self.ballots]
        return answered

    def progress(self, batch: int = 0, votes: Collection[NodeId] = ()) -> Progress:
        """How far it has come, in the batch that it travels in and with the votes on that."""
        state = self.state
        assert not isinstance(state, Prepared), "what boards leaves in the same step"
        if isinstance(state, Proposing):
            state = replace(state, votes=state.votes.union(votes))
        return Progress(state, self.heard, batch, self.resends, self.preemptions)

    def restore(self, progress: Progress) -> None:
        """Come as far as another attempt."""
        self.state, self.heard = progress.state, progress.heard
        self.resends, self.preemptions = progress.resends, progress.preemptions
        self.batch = progress.batch or None
