"""A change of members by way of the client: one node at a time, and no end while it is in doubt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from decreed.client.blocking import finish, sender_of
from decreed.client.requests.changing import Change, MembersClient
from decreed.registry.errors import BadRequest, NotFormed, OutcomeUnknown, Unreachable
from decreed.registry.members import MembersChange, claim_of, members_key
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.members import (
    ChangePlan,
    ChangeRequest,
    Finding,
    FindingKind,
    MembersReport,
    MembersRequest,
    Voter,
)
from decreed.registry.wire.requests import Decreed, Failed

from ..fakes import FakeCluster, HangUp, Silence, running_cluster

N1 = NodeId("n1")
DISK = b"n1".ljust(16, b".")
BALLOT = Ballot(1, Process(N1, 2))
REFUSED = Finding(FindingKind.REFUSED, "2 voters")
Answer = Callable[[Any], Any]


def wish() -> Change:
    """Somebody wants n1 alone."""
    return Change.of(0, (Voter(N1, DISK, "n1:7400"),), 1, 1)


def decree(disk: bytes = DISK, number: int = 1) -> Decree:
    """The decree that makes n1 the only voter."""
    before = Epoch(number - 1, Quorums.majority((N1,)), (DISK,))
    change = MembersChange(Epoch(number, Quorums.majority((N1,)), (disk,)), before, ("n1:7400",))
    return Decree.of(claim_of(change, "bob", b"id"), BALLOT, 0)


def decreed(request: ChangeRequest) -> Decreed:
    return Decreed(request.id, decree())


def refused(request: ChangeRequest) -> ChangePlan:
    return ChangePlan(request.id, 0, (REFUSED,))


def says(code: int) -> Answer:
    return lambda request: Failed(request.id, code, "no")


@contextmanager
def members_that(*answers: Answer) -> Iterator[tuple[FakeCluster, MembersClient]]:
    """Two nodes; of all questions about a change the first ones get these answers, then the last."""
    left = list(answers)

    def script(_: object, request: Any) -> Any:
        return (left.pop(0) if len(left) > 1 else left[0])(request)

    with running_cluster(2) as cluster, sender_of(cluster.endpoints, timeout=5.0) as sender:
        for node in cluster.nodes:
            node.script = script
        yield cluster, MembersClient(sender)


def asked(cluster: FakeCluster) -> list[ChangeRequest]:
    return [request for node in cluster.nodes for request in node.asked(ChangeRequest)]


def propose(changing: MembersClient, change: Change, timeout: float = 5.0) -> Decree | ChangePlan:
    return finish(changing.propose(change, changing.deadline(timeout)))


def test_the_decree_that_follows_is_the_answer() -> None:
    change = wish()
    with members_that(decreed) as (cluster, changing):
        found = propose(changing, change)
        assert isinstance(found, Decree) and change.is_made_by(found)
        [request] = asked(cluster)
        assert (request.base, request.propose, request.voters) == (0, True, change.voters)
        assert not changing.in_doubt


def test_a_change_that_is_only_judged_says_so() -> None:
    with members_that(refused) as (cluster, changing):
        found = finish(changing.judge(wish(), changing.deadline()))
        assert isinstance(found, ChangePlan) and found.findings == (REFUSED,)
        assert [request.propose for request in asked(cluster)] == [False]


@pytest.mark.parametrize("trouble", [lambda _: HangUp, says(OutcomeUnknown.code), says(999)])
def test_after_a_lost_answer_the_next_node_is_asked_with_the_same_claim_id(trouble: Answer) -> None:
    with members_that(trouble, decreed) as (cluster, changing):
        assert isinstance(propose(changing, wish()), Decree)
        assert len({request.claim_id for request in asked(cluster)}) == 1
        assert len(asked(cluster)) == 2
        assert not changing.in_doubt


def test_a_plan_is_no_answer_while_an_earlier_try_is_in_doubt() -> None:
    with members_that(lambda _: HangUp, refused) as (_, changing):
        with pytest.raises(OutcomeUnknown):
            propose(changing, wish(), timeout=1.0)
        assert changing.in_doubt


def test_a_decree_ends_the_doubt_after_refusals() -> None:
    with members_that(lambda _: HangUp, refused, refused, decreed) as (_, changing):
        assert isinstance(propose(changing, wish()), Decree)


def test_a_plan_after_a_definite_error_is_the_answer() -> None:
    with members_that(says(NotFormed.code), refused) as (_, changing):
        assert isinstance(propose(changing, wish()), ChangePlan)


def test_without_any_doubt_no_answer_is_unreachable() -> None:
    with members_that(says(NotFormed.code)) as (_, changing):
        with pytest.raises(Unreachable):
            propose(changing, wish(), timeout=0.6)
        assert not changing.in_doubt


def test_a_bad_request_ends_it_unless_it_is_in_doubt() -> None:
    with members_that(says(BadRequest.code)) as (_, changing), pytest.raises(BadRequest):
        propose(changing, wish())
    in_doubt = members_that(lambda _: HangUp, says(BadRequest.code))
    with in_doubt as (_, changing), pytest.raises(OutcomeUnknown):
        propose(changing, wish(), timeout=1.0)


def test_silence_leaves_it_in_doubt() -> None:
    with members_that(lambda _: Silence) as (_, changing):
        with pytest.raises(OutcomeUnknown):
            propose(changing, wish(), timeout=0.5)
        assert changing.in_doubt


def test_a_decree_of_another_epoch_is_no_answer() -> None:
    def other(request: Any) -> Decreed:
        return Decreed(request.id, decree(number=2))

    with members_that(other) as (_, changing), pytest.raises(OutcomeUnknown):
        propose(changing, wish(), timeout=0.5)


def test_the_same_name_with_another_directory_is_another_change() -> None:
    assert wish().is_made_by(decree())
    assert not wish().is_made_by(decree(disk=bytes(16)))


def test_the_report_of_any_member_is_the_answer() -> None:
    def report(request: Any) -> Any:
        assert isinstance(request, MembersRequest)
        return MembersReport(request.id, N1, "c", bytes(16), 3, 1, 1, 1, (), ())

    with members_that(report) as (_, changing):
        assert finish(changing.report(changing.deadline())).epoch == 3


def test_what_followed_an_epoch_is_read_like_any_key() -> None:
    with members_that(lambda _: Silence) as (cluster, changing):
        for node in cluster.nodes:
            node.script = None
        assert finish(changing.change_after(1, changing.deadline())) is None
        cluster.decrees[members_key(1)] = decree()
        change = finish(changing.change_after(0, changing.deadline()))
        assert change is not None and change.epoch.nodes == (N1,)
