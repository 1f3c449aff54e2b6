"""Checks of the names in requests, which come from outside.

They are made once, where a frame becomes requests: a request in a `FromClient` has valid names or is
`Misnamed`. A claim that a peer forwards is checked when it is opened.
"""

from typing import assert_never

from ...errors import BadRequest
from ...keys import parse_key, parse_prefix, parse_readable, parse_series, slot_key
from ...locks.terms import parse_lock
from ...types import Key
from ...wire.marks import MarkRequest
from ...wire.members import ChangeRequest, MembersRequest
from ...wire.requests import (
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    ClientPing,
    EndRequest,
    GetRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    PolicyRequest,
    Request,
    StatusRequest,
    WaitRequest,
    WatchRequest,
)
from ...wire.scrub import ScrubRequest
from ..step.events import Misnamed


def named(request: Request) -> Request | Misnamed:
    """The request, or a `Misnamed` if its key, series or prefix is invalid."""
    try:
        check_names(request)
    except BadRequest as error:
        return Misnamed(request.id, str(error))
    return request


def check_names(request: Request) -> None:
    """Refuse a request with an invalid key, series, prefix or lock name.

    Raises:
        BadRequest: with the name and the reason.
    """
    match request:
        case ClaimRequest():
            parse_key(request.claim.key)
        case ClaimNextRequest():
            _check_slot(request.claim.key)
        case GetRequest() | WaitRequest():
            parse_readable(request.key)
        case LatestRequest():
            parse_series(request.series)
        case ListRequest() | WatchRequest():
            if parse_prefix(request.prefix) != request.prefix:
                raise BadRequest(f"{request.prefix!a} is no prefix: leave out the last '/'")
        case LockRequest() | HolderRequest() | GiveUpRequest():
            parse_lock(request.lock)
        case KeepAliveRequest() | EndRequest():
            parse_lock(request.lease_id.lock)
        case StatusRequest() | Cancel() | ClientPing() | ScrubRequest() | MarkRequest():
            pass
        case MembersRequest() | ChangeRequest() | PolicyRequest():
            pass
        case _:
            assert_never(request)


def _check_slot(key: Key) -> None:
    series, at, slot = parse_key(key).partition("@")
    if not at or slot_key(parse_series(series), int(slot)) != key:
        raise BadRequest(f"{key!a} is no slot of a series")
