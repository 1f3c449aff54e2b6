"""Checks of the names in a request, which came from outside."""

from ..errors import BadRequest
from ..keys import parse_key, parse_prefix, parse_readable, parse_series, slot_key
from ..locks.terms import parse_lock
from ..types import Key
from ..wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    EndRequest,
    GetRequest,
    GiveUpRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    WaitRequest,
    WatchRequest,
)
from .requests import Lasting


def check_names(request: Lasting) -> None:
    """Refuse a request whose key, series or prefix is none.

    Raises:
        BadRequest: naming what is wrong.
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
            parse_lock(request.tenure.lock)


def _check_slot(key: Key) -> None:
    series, at, slot = parse_key(key).partition("@")
    if not at or slot_key(parse_series(series), int(slot)) != key:
        raise BadRequest(f"{key!a} is no slot of a series")
