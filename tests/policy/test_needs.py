"""S19: what right each kind of request takes, and on what."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.identity import ANONYMOUS
from decreed.registry.locks.terms import Ending, How, LeaseId, TermClaim
from decreed.registry.policy.document import Right
from decreed.registry.policy.needs import ROWS, need_of
from decreed.registry.policy.rights import CLUSTER, Denial, Rights
from decreed.registry.types import Claim, Key
from decreed.registry.wire.marks import MarkRequest
from decreed.registry.wire.members import MembersRequest
from decreed.registry.wire.requests import (
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
from decreed.registry.wire.scrub import ScrubRequest

from ..fuzz.strategies import values_of
from .samples import SMALL, few, read

CLAIM = Claim(Key("a/b@3"), b"v", "text/plain", "me", b"id")
LEASE = LeaseId("jobs/x", 3, b"id")
WITHOUT = {Cancel, ClientPing}
"""The kinds that take no right, whatever they say."""


def ends(how: How) -> EndRequest:
    return EndRequest(1, 10, LEASE, Ending(how), None)


def test_every_kind_of_request_has_a_row_and_no_other_kind_has_one() -> None:
    assert set(ROWS) == set(get_args(Request))


@pytest.mark.parametrize(
    ("request_", "right", "name"),
    [
        (ClaimRequest(1, 10, False, CLAIM), Right.CLAIM, "a/b"),
        (ClaimNextRequest(1, 10, False, CLAIM), Right.CLAIM, "a/b"),
        (GetRequest(1, 10, Key("a/b@3")), Right.READ, "a/b"),
        (GetRequest(1, 10, Key("$locks/a@3")), Right.READ, "$locks/a"),
        (GetRequest(1, 10, Key("$policy@3")), Right.ADMIN, CLUSTER),
        (WaitRequest(1, 10, Key("a")), Right.READ, "a"),
        (LatestRequest(1, 10, "a/b"), Right.READ, "a/b"),
        (LatestRequest(1, 10, "$policy"), Right.ADMIN, CLUSTER),
        (ListRequest(1, 10, "a", "", 1), Right.READ, "a"),
        (ListRequest(1, 10, "", "", 1), Right.READ, ""),
        (ListRequest(1, 10, "a", "", 1, whole=True), Right.ADMIN, CLUSTER),
        (WatchRequest(1, 10, "$policy", None, 1), Right.ADMIN, CLUSTER),
        (WatchRequest(1, 10, "$members", None, 1), Right.ADMIN, CLUSTER),
        (ListRequest(1, 10, "$members", "", 1), Right.ADMIN, CLUSTER),
        (GetRequest(1, 10, Key("$members@3")), Right.ADMIN, CLUSTER),
        (StatusRequest(1), Right.READ, "$status"),
        (MarkRequest(1), Right.ADMIN, CLUSTER),
        (KeepAliveRequest(1, 10, LEASE, b"s" * 32), Right.LOCK, "jobs/x"),
        (GiveUpRequest(1, 10, "jobs/x", b"id", 10_000, b"s" * 32), Right.LOCK, "jobs/x"),
        (ends(How.BROKEN), Right.BREAK, "jobs/x"),
        (ends(How.FORCED), Right.BREAK, "jobs/x"),
        (HolderRequest(1, 10, "jobs/x"), Right.READ, "jobs/x"),
        (MembersRequest(1, 10), Right.ADMIN, CLUSTER),
        (ScrubRequest(1, True, 0), Right.ADMIN, CLUSTER),
        (PolicyRequest(1, 10, 0, b"", "me", b"id", ""), Right.ADMIN, CLUSTER),
    ],
    ids=str,
)
def test_what_a_request_takes(request_: Request, right: Right, name: str) -> None:
    need = need_of(request_)
    assert need is not None and (need.right, need.name) == (right, name)


def test_a_release_takes_the_secret_alone() -> None:
    assert need_of(ends(How.RELEASED)) is None


@few
@given(st.data())
def test_who_has_no_right_is_denied_every_request_that_takes_one(data: st.DataObject) -> None:
    kind: Any = data.draw(st.sampled_from(sorted(get_args(Request), key=lambda k: k.__name__)))
    request: Request = data.draw(values_of(kind))
    need = need_of(request)
    if need is None:
        assert kind in WITHOUT or kind is EndRequest
    else:
        verdict = Rights(read(SMALL)).may(ANONYMOUS, need.right, need.name, 0)
        assert verdict == Denial(need.right, need.name.partition("@")[0])


def test_what_begins_something_takes_a_policy_that_is_confirmed() -> None:
    """S15: reads go on, everything else does not."""
    begin = {LockRequest, KeepAliveRequest, ClaimRequest, ClaimNextRequest, PolicyRequest}
    for kind in begin:
        need = need_of(next(iter(_samples(kind))))
        assert need is not None and need.begins
    for kind in (GetRequest, WaitRequest, LatestRequest, ListRequest, WatchRequest, StatusRequest):
        need = need_of(next(iter(_samples(kind))))
        assert need is not None and not need.begins


def _samples(kind: type[Any]) -> list[Any]:
    known: list[Any] = [
        ClaimRequest(1, 10, False, CLAIM),
        ClaimNextRequest(1, 10, False, CLAIM),
        GetRequest(1, 10, Key("a")),
        WaitRequest(1, 10, Key("a")),
        LatestRequest(1, 10, "a"),
        ListRequest(1, 10, "a", "", 1),
        WatchRequest(1, 10, "a", None, 1),
        StatusRequest(1),
        KeepAliveRequest(1, 10, LEASE, b"s" * 32),
        PolicyRequest(1, 10, 0, b"", "me", b"id", ""),
        LockRequest(1, 10, "jobs", True, TermClaim("me", b"id", 1_000, b"h" * 32)),
    ]
    return [each for each in known if type(each) is kind]
