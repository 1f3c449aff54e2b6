"""Requests at the door: checked, led to the part that works at them, and ended when time runs out."""

from typing import assert_never

from ..errors import BadRequest
from ..locks.terms import is_term
from ..types import Decree
from ..wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    EndRequest,
    GetRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    Undecided,
    WaitRequest,
    WatchRequest,
)
from .claims import Claims
from .events import Origin
from .lists import Lists
from .locks import Locks
from .names import check_names
from .node import Node, refusal
from .reads import Reads
from .requests import Lasting, Live, Requests, address, out_of_time
from .turn import Turn
from .watches import Watches


class Intake:
    """Where requests that take time begin and end.

    Args:
        node: who we are; nobody is served before the cluster has formed.
        requests: keeps what is live.
        claims, reads, lists, watches, locks: the parts that work at them.
    """

    def __init__(
        self,
        node: Node,
        requests: Requests,
        claims: Claims,
        reads: Reads,
        lists: Lists,
        watches: Watches,
        locks: Locks,
    ) -> None:
        self._locks = locks
        self._node = node
        self._requests = requests
        self._claims = claims
        self._reads = reads
        self._lists = lists
        self._watches = watches

    def open(self, turn: Turn, origin: Origin, request: Lasting) -> None:
        """Answer at the door what is decided here; of the rest check the names, then lead it on."""
        decree = self._at_hand(turn, request) if self._node.formed else None
        if decree is not None:
            turn.at_once(address(origin, Decreed(request.id, decree)))
        else:
            self._open(turn, origin, request)

    def _at_hand(self, turn: Turn, request: Lasting) -> Decree | None:
        """The decree that answers a request for one key, if it is learned here: it is final (R08)."""
        match request:
            case GetRequest():
                return turn.decree(request.key)
            case ClaimRequest():
                claim = request.claim
                fits = len(claim.value) <= self._node.config.limits.max_value_bytes
                return turn.decree(claim.key) if fits and not is_term(claim.key) else None
            case _:
                return None

    def _open(self, turn: Turn, origin: Origin, request: Lasting) -> None:
        live = self._requests.open(turn, origin, request)
        try:
            check_names(request)
        except BadRequest as error:
            self._requests.fail(turn, live, type(error), str(error))
            return
        if not self._node.formed:
            error_type, message = refusal(self._node)
            self._requests.fail(turn, live, error_type, message)
            return
        self._begin(turn, live, request)

    def _begin(self, turn: Turn, live: Live, request: Lasting) -> None:
        match request:
            case ClaimRequest() | ClaimNextRequest():
                self._claims.begin(turn, live, request)
            case GetRequest():
                self._reads.get(turn, live, request)
            case WaitRequest():
                self._reads.wait(turn, live, request)
            case LatestRequest():
                self._reads.latest(turn, live, request)
            case ListRequest():
                self._lists.begin(turn, live, request)
            case WatchRequest():
                self._watches.begin(turn, live, request)
            case LockRequest() | HolderRequest() | KeepAliveRequest():
                self._locks.begin(turn, live, request)
            case EndRequest() | GiveUpRequest():
                self._locks.begin(turn, live, request)
            case _:
                assert_never(request)

    def expire(self, turn: Turn, live: Live) -> None:
        """A request has run out of time: say how things stand."""
        match live.request:
            case WaitRequest() if live.undecided:
                self._requests.answer(turn, live, Undecided(live.request.id))
            case WatchRequest():
                self._watches.expire(turn, live, live.request)
            case LockRequest() | HolderRequest():
                self._locks.contests.expire(turn, live)
            case _:
                self._requests.fail(turn, live, *out_of_time(live))
