"""Which instances a step must be given: those that its events speak of."""

from collections.abc import Collection, Iterable
from functools import lru_cache

from ..errors import BadRequest
from ..keys import parse_readable, slot_before
from ..locks.terms import term_key
from ..paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Nack,
    Prepare,
    Promise,
)
from ..types import Key
from ..wire.peers import (
    AskLease,
    EndTerm,
    FeedPage,
    Fetch,
    Fetched,
    ForgottenTerms,
    GiveUp,
    GiveUpTaken,
    LeaseAnswer,
    PeerMessage,
    Query,
    QueryAnswer,
    Renew,
    Renewed,
)
from ..wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    EndRequest,
    GetRequest,
    HolderRequest,
    KeepAliveRequest,
    LockRequest,
    Request,
    WaitRequest,
)
from .catchup import SERVE_KEYS, CatchUp
from .coordinator import Coordinator
from .events import (
    Contend,
    Coordinate,
    Depart,
    Event,
    FeedDone,
    FetchOn,
    Finish,
    Fired,
    FromClient,
    FromPeer,
    ReadOn,
    Resend,
    ResendFlight,
    Retry,
)
from .locks import Locks
from .reads import Reads
from .watches import Watches


class Needs:
    """Knows what each part needs for an event.

    Args:
        coordinator, reads, watches, catchup, locks: the parts whose own state decides it.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        reads: Reads,
        watches: Watches,
        catchup: CatchUp,
        locks: Locks,
    ) -> None:
        self._locks = locks
        self._coordinator = coordinator
        self._reads = reads
        self._watches = watches
        self._catchup = catchup

    def of_events(self, events: Collection[Event]) -> set[Key]:
        """The keys whose instances must be loaded for a step with these events."""
        keys: set[Key] = set()
        for event in events:
            keys.update(self._of_event(event))
        boarding = self._coordinator.boarding.keys
        if boarding and any(map(_is_vote, events)):
            # who leaves if a flight lands; once, however many votes there are
            keys.update(boarding)
        return keys

    def _of_event(self, event: Event) -> Iterable[Key]:
        match event:
            case FromClient():
                return self._of_requests(event.requests)
            case FromPeer():
                return self._of_message(event.message)
            case Fired(Resend() | Retry() as timer):
                return self._coordinator.needs(timer)
            case Fired(ResendFlight(number)):
                return self._coordinator.flights.aboard(number)
            case Fired(Depart()):
                return self._coordinator.boarding.keys
            case FeedDone():
                return self._watches.needs(event)
            case Coordinate(_, _, key):
                return with_slot_before(key)
            case Finish(key) | ReadOn(_, _, key):
                return (key,)
            case FetchOn(_, keys):
                return keys[:SERVE_KEYS]
            case Contend(lock, term):
                known = (term_key(lock, term),) if term else ()
                return (*known, term_key(lock, term + 1))
            case _:
                return ()

    def _of_message(self, message: PeerMessage) -> Iterable[Key]:
        match message:
            # the most frequent first: to be none of a type costs more than to be of it
            case AcceptedMany():
                return self._coordinator.flights.aboard(message.number)
            case Accepted() | Accept() | Commit() | Query() | Prepare() | Promise() | Nack():
                return (message.key,)
            case AcceptMany():
                return [decree.key for decree in message.decrees]
            case CommitMany():
                return message.keys
            case QueryAnswer():
                return self._reads.needs(message)
            case FeedPage():
                return self._catchup.needs(message)
            case Fetched(decrees):
                return [decree.key for decree in decrees]
            case Fetch(keys):
                return keys[:SERVE_KEYS]
            case ClaimRequest() | ClaimNextRequest():
                return with_slot_before(message.claim.key)
            case AskLease() | LeaseAnswer() | Renew() | Renewed() | EndTerm() | ForgottenTerms():
                return self._locks.needs(message)
            case GiveUp() | GiveUpTaken():
                return self._locks.needs(message)
            case _:
                return ()

    def _of_requests(self, requests: Iterable[Request]) -> Iterable[Key]:
        return [key for request in requests for key in self._of_request(request)]

    def _of_request(self, request: Request) -> Iterable[Key]:
        match request:
            case GetRequest() | WaitRequest():
                return with_slot_before(request.key)
            case ClaimRequest() | ClaimNextRequest():
                return with_slot_before(request.claim.key)
            case LockRequest() | HolderRequest():
                return self._locks.contests.latest.needs(request.lock)
            case KeepAliveRequest():
                return with_slot_before(request.tenure.key)
            case EndRequest(tenure=ended):
                following = self._locks.contests.latest.needs(ended.lock)
                return (*with_slot_before(ended.key), *following)
            case _:
                return ()


_VOTES = (Accepted, AcceptedMany)


def _is_vote(event: Event) -> bool:
    return isinstance(event, FromPeer) and type(event.message) in _VOTES


@lru_cache(maxsize=16_384)
def with_slot_before(key: Key) -> tuple[Key, ...]:
    """`key`, and the slot before it if it is a slot of a series; nothing if it is no key."""
    try:
        parse_readable(key)
    except BadRequest:
        return ()  # refused before its instance is looked at
    before = slot_before(key)
    return (key,) if before is None else (before, key)
