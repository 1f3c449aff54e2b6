"""S13, S15, S17 to S19: what a node lets begin under its policy, and what it ends."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from decreed.registry.errors import (
    BadRequest,
    Denied,
    LockHeld,
    NotFormed,
    OutcomeUnknown,
    Unreachable,
)
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.keys import home
from decreed.registry.paxos.messages import Accept, Accepted, AcceptMany, Commit
from decreed.registry.policy.needs import need_of
from decreed.registry.policy.series import policy_key
from decreed.registry.replica.admission import Admission
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.peers import Fetched, PassedClaim, PeerMessage
from decreed.registry.wire.policy import PolicyTold
from decreed.registry.wire.requests import (
    Decreed,
    Failed,
    GetRequest,
    Granted,
    HeldBy,
    HolderRequest,
    ListPage,
    ListRequest,
    Request,
    StatusRequest,
    Undecided,
    WaitRequest,
    WatchPage,
    WatchRequest,
)
from decreed.registry.wire.status import StatusReport
from decreed.storage.memory import MemoryDisk

from ...fuzz.strategies import values_of
from ...policy.samples import ALICE, BOB
from ...support.changed import N1, N2, N3, N4, of_kind, said, step
from ...support.governed import GovernedWorld
from ...support.machine import Machine
from ...support.world import stored
from .asking import (
    CAROL,
    EVE,
    GOVERNED,
    answers,
    at_home,
    claimed,
    code,
    denials,
    locked,
    passed_on,
    policy_decree,
)


@pytest.fixture
def world() -> GovernedWorld:
    world = GovernedWorld()
    world.decide(N1, 1, GOVERNED)
    return world


# -- the opening


def test_s13_what_is_granted_begins_and_nothing_else(world: GovernedWorld) -> None:
    assert isinstance(world.ask_as(BOB, N1, claimed(world, "app/x")), Decreed)
    assert isinstance(
        world.ask_as(BOB, N2, GetRequest(world.new_id(), 1_000, Key("app/x"))), Decreed
    )
    assert code(world.ask_as(BOB, N1, claimed(world, "apple"))) == Denied.code
    assert code(world.ask_as(ANONYMOUS, N1, claimed(world, "app/x"))) == Denied.code


def test_s19_a_denial_names_the_right_and_the_prefix_whatever_is_stored(
    world: GovernedWorld,
) -> None:
    world.ask_as(ALICE, N1, claimed(world, "other/k"))
    for key in ("other/k", "other/no"):
        denied = world.ask_as(BOB, N1, GetRequest(world.new_id(), 1_000, Key(key)))
        assert isinstance(denied, Failed) and denied.code == Denied.code
        assert denied.message == f"'read' on '{key}' is not granted to client/bob by policy 1"


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_s19_no_kind_of_request_gets_past_the_policy_without_a_right(data: st.DataObject) -> None:
    world = GovernedWorld()
    world.decide(N1, 1, GOVERNED)
    for kind in get_args(Request):
        request: Any = data.draw(values_of(kind))
        if need_of(request) is None:
            continue
        refused = world.replica(N1)._client_requests.admission  # pyright: ignore[reportPrivateUsage]
        assert refused is not None
        found = refused.refusal(world.builder(), ANONYMOUS, request)
        assert found is not None and found.error is Denied


def test_a_list_and_a_watch_take_the_right_on_anything_above_or_below_their_prefix(
    world: GovernedWorld,
) -> None:
    world.ask_as(ALICE, N1, claimed(world, "other/k"))
    world.ask_as(BOB, N1, claimed(world, "app/k"))
    page = world.ask_as(BOB, N1, ListRequest(world.new_id(), 1_000, "app", "", 10))
    assert isinstance(page, ListPage) and [each.key for each in page.decrees] == ["app/k"]
    watched = world.ask_as(BOB, N1, WatchRequest(world.new_id(), 10, "app", None, 10))
    assert isinstance(watched, WatchPage)
    above = world.ask_as(BOB, N1, ListRequest(world.new_id(), 1_000, "", "", 10))
    assert isinstance(above, ListPage) and above.decrees == page.decrees
    for prefix in ("other", "ap", "application", "$locks", "$members"):
        listed = ListRequest(world.new_id(), 1_000, prefix, "", 10)
        assert code(world.ask_as(BOB, N1, listed)) == Denied.code
        watch = WatchRequest(world.new_id(), 10, prefix, None, 10)
        assert code(world.ask_as(BOB, N1, watch)) == Denied.code


def test_everybody_is_told_whether_a_node_takes_part_and_no_more(world: GovernedWorld) -> None:
    report = world.ask_as(EVE, N1, StatusRequest(world.new_id()))
    assert isinstance(report, StatusReport) and report.voting and report.version
    assert (report.peers, report.address, report.cluster_id, report.decrees) == ((), "", "", 0)


def test_who_may_not_read_is_not_told_what_another_froze_or_holds(world: GovernedWorld) -> None:
    assert isinstance(world.ask_as(EVE, N1, claimed(world, "app/mine")), Decreed)
    world.ask_as(BOB, N1, claimed(world, "app/x", b"secret"))
    for node in (N1, N2):
        assert code(world.ask_as(EVE, node, claimed(world, "app/x"))) == Denied.code
    assert isinstance(world.ask_as(BOB, N1, locked(world, "app/l")), Granted)
    assert code(world.ask_as(EVE, N1, locked(world, "app/l"))) == LockHeld.code
    assert isinstance(world.ask_as(BOB, N1, locked(world, "app/l")), HeldBy)
    assert code(world.ask_as(EVE, N1, HolderRequest(world.new_id(), 1_000, "app/l"))) == Denied.code


# -- confirmation


def test_s15_a_node_that_is_cut_off_begins_nothing_and_goes_on_reading(
    world: GovernedWorld,
) -> None:
    world.ask_as(BOB, N1, claimed(world, "app/x"))
    world.run(1_000)
    world.cut_off(N3)
    world.run_out()
    begins = (claimed(world, "app/y"), locked(world, "app/l"))
    for request in begins:
        refused = world.ask_as(BOB, N3, request)
        assert code(refused) == Unreachable.code
    get = GetRequest(world.new_id(), 1_000, Key("app/x"))
    assert isinstance(world.ask_as(BOB, N3, get), Decreed)
    assert code(world.ask_as(CAROL, N3, GetRequest(world.new_id(), 1_000, Key("app/x")))) == 4
    assert isinstance(
        world.ask_as(CAROL, N1, GetRequest(world.new_id(), 1_000, Key("app/x"))), Decreed
    )


def test_s15_without_a_policy_a_node_that_is_cut_off_begins_nothing_either() -> None:
    world = GovernedWorld()
    world.cut_off(N3)
    world.run_out()
    assert code(world.ask_as(BOB, N3, claimed(world, "k"))) == Unreachable.code


def test_s17_what_is_under_way_when_the_confirmation_ends_is_proposed_no_more(
    world: GovernedWorld,
) -> None:
    key = at_home(world, N1)
    world.cut_off(N3)
    # coordinated here, so that it waits for promises: only the home of a key proposes without
    mark = world.send(N3, replace(claimed(world, key, ms=60_000), here=True))
    world.run_out()
    [ended] = world.answers[mark]
    assert code(ended) == Unreachable.code
    world.lose = lambda *_: False
    world.run(5_000)
    get = GetRequest(world.new_id(), 1_000, Key(key))
    assert isinstance(world.ask_as(ALICE, N1, get), Undecided)


def test_s17_what_was_proposed_before_is_in_doubt_and_can_be_finished(world: GovernedWorld) -> None:
    world.lose = lambda sender, to, m: isinstance(m, Accepted)
    world.speaker = BOB
    mark = world.send(N1, claimed(world, "app/k", ms=60_000))
    world.run(500)
    without_bob = {**GOVERNED, "members": {"client/alice": ["ops"]}}
    world.lose = lambda sender, to, m: isinstance(m, Accepted) and not m.key.startswith("$")
    world.decide(N2, 2, without_bob)
    [ended] = world.answers[mark]
    assert code(ended) == OutcomeUnknown.code
    world.lose = lambda *_: False
    world.run(10_000)  # R22
    get = GetRequest(world.new_id(), 1_000, Key("app/k"))
    assert isinstance(world.ask_as(ALICE, N1, get), Decreed)


def test_s13_a_node_that_joins_under_a_policy_serves_nothing_before_it_knows_of_one(
    world: GovernedWorld,
) -> None:
    def tells_of_it(_: NodeId, to: NodeId, message: PeerMessage) -> bool:
        decrees = message.decrees if isinstance(message, Fetched) else ()
        policy = any(decree.key == policy_key(1) for decree in decrees)
        return to == N4 and (policy or isinstance(message, PolicyTold))

    world.ask_as(ALICE, N1, claimed(world, "app/k", b"secret"))
    world.run(1_000)
    world.lose = tells_of_it
    world.machines[NodeId(N4)] = Machine(MemoryDisk(N4))
    world.joiners.add(NodeId(N4))
    world.boot(NodeId(N4))
    decree = stored(world, N1, "app/k").learned
    assert decree is not None
    learn = Commit(Key("app/k"), decree)
    world.post(NodeId(N4), FromPeer(N1, learn))
    world.run(1_000)
    assert world.replica(N4).node.feed_end == 1 and world.obeyed()[N4] == 0
    get = GetRequest(world.new_id(), 1_000, Key("app/k"))
    assert code(world.ask_as(ANONYMOUS, N4, get)) == Unreachable.code
    lost = claimed(world, "app/k", ms=100)
    assert code(world.ask_as(ANONYMOUS, N4, lost)) == Unreachable.code, "else it would be told"
    report = world.ask_as(ANONYMOUS, N4, StatusRequest(world.new_id()))
    assert isinstance(report, StatusReport) and not report.address
    world.lose = lambda *_: False
    world.run(3_000)
    get = GetRequest(world.new_id(), 1_000, Key("app/k"))
    assert code(world.ask_as(ANONYMOUS, N4, get)) == Denied.code
    assert isinstance(world.ask_as(BOB, N4, get), Decreed)


# -- S18


def test_s18_what_waits_ends_with_its_right(world: GovernedWorld) -> None:
    world.ask_as(ALICE, N1, locked(world, "app/l"))
    world.speaker = BOB
    prefix = "app"
    marks = [
        world.send(N1, WaitRequest(world.new_id(), 60_000, Key("app/k"))),
        world.send(N1, locked(world, "app/l", queue=True, ms=60_000)),
    ]
    position = world.ask_as(BOB, N1, WatchRequest(world.new_id(), 10, prefix, None, 10))
    assert isinstance(position, WatchPage)
    watch = WatchRequest(world.new_id(), 60_000, prefix, position.position, 10)
    marks.append(world.send(N1, watch))
    world.run(500)
    assert [world.answers[mark] for mark in marks] == [[], [], []]
    world.decide(N2, 2, {**GOVERNED, "refused": ["client/bob"]})
    for mark in marks:
        [ended] = world.answers[mark]
        assert code(ended) == Denied.code
    assert not world.replica(N1).parts.requests.all()


def test_s18_what_waits_ends_when_its_token_does(world: GovernedWorld) -> None:
    ci = Identity("token", "ci")
    ends = {"sha256": "ab" * 32, "expires": "2023-11-14T22:13:25Z"}  # in 5 s at this node
    with_token = {**GOVERNED, "members": {**GOVERNED["members"], "token/ci": ["app"]}}
    world.decide(N1, 2, {**with_token, "tokens": {"ci": ends}})
    world.speaker = ci
    mark = world.send(N1, WaitRequest(world.new_id(), 60_000, Key("app/k")))
    world.run(1_000)
    assert world.answers[mark] == []
    world.run(5_000)
    [ended] = world.answers[mark]
    assert code(ended) == Denied.code


def test_s18_a_claim_that_may_not_read_any_more_is_not_told_who_came_first(
    world: GovernedWorld,
) -> None:
    world.lose = lambda sender, to, m: isinstance(m, Accepted) and not m.key.startswith("$")
    world.ask_as(ALICE, N1, claimed(world, "app/x", b"secret", ms=100))
    world.speaker = BOB
    mark = world.send(N1, claimed(world, "app/x", ms=60_000))
    world.run(500)
    assert world.answers[mark] == []
    world.decide(N2, 2, {**GOVERNED, "members": {"client/alice": ["ops"], "client/bob": ["blind"]}})
    world.lose = lambda *_: False
    world.run(10_000)
    [ended] = world.answers[mark]
    assert code(ended) == Denied.code


def test_s18_what_keeps_its_right_goes_on(world: GovernedWorld) -> None:
    world.speaker = BOB
    mark = world.send(N1, WaitRequest(world.new_id(), 60_000, Key("app/k")))
    world.decide(N2, 2, {**GOVERNED, "refused": ["client/eve"]})
    assert world.answers[mark] == []
    world.ask_as(ALICE, N2, claimed(world, "app/k"))
    world.run(1_000)
    assert isinstance(world.answers[mark][0], Decreed)


# -- claims between nodes


def test_s08_a_claim_that_is_passed_on_has_the_identity_of_its_connection(
    world: GovernedWorld,
) -> None:
    key = at_home(world, N2)
    world.sent.clear()
    decided = world.ask_as(BOB, N1, claimed(world, key))
    [passed] = {m for *_, m in world.sent if isinstance(m, PassedClaim)}
    assert (passed.identity, passed.policy) == ("client/bob", 1)
    assert isinstance(decided, Decreed) and decided.decree.identity == "client/bob"


def test_s08_the_node_that_coordinates_asks_its_own_policy(world: GovernedWorld) -> None:
    for identity in ("client/carol", ""):
        [failed] = of_kind(said(step(world, N1, passed_on(world, identity, 1))), Failed)
        assert isinstance(failed, Failed) and failed.code == Denied.code
    assert not of_kind(said(step(world, N1, passed_on(world, "client/bob", 1))), Failed)
    no_identity = step(world, N1, passed_on(world, "client/../bob", 1))
    [failed] = of_kind(said(no_identity), Failed)
    assert isinstance(failed, Failed) and failed.code == BadRequest.code


def test_s08_what_a_newer_policy_has_admitted_is_not_judged_by_an_older_one(
    world: GovernedWorld,
) -> None:
    [failed] = of_kind(said(step(world, N1, passed_on(world, "client/new", 2))), Failed)
    assert isinstance(failed, Failed) and failed.code == NotFormed.code, "it looks elsewhere"


def test_s17_what_an_older_policy_has_admitted_elsewhere_is_not_opened_by_a_newer_one(
    world: GovernedWorld,
) -> None:
    """It may be proven by a token that the newer one has replaced, or by a certificate it refuses."""
    world.decide(N1, 2, {**GOVERNED, "refused": ["serial:1f"]})
    [failed] = of_kind(said(step(world, N1, passed_on(world, "client/bob", 1))), Failed)
    assert isinstance(failed, Failed) and failed.code == NotFormed.code, (
        "its sender judges it again"
    )
    [failed] = of_kind(said(step(world, N1, passed_on(world, "client/carol", 1))), Failed)
    assert isinstance(failed, Failed) and failed.code == Denied.code
    assert not of_kind(said(step(world, N1, passed_on(world, "client/bob", 2))), Failed)


def test_s17_what_was_passed_on_under_an_older_policy_is_not_proposed_after_a_newer_one(
    world: GovernedWorld,
) -> None:
    passed = passed_on(world, "client/bob", 1, at_home(world, N1))
    newer = Commit(policy_key(2), policy_decree(2, {**GOVERNED, "refused": ["serial:1f"]}))
    effects = step(world, N1, passed, FromPeer(N2, newer))
    assert not of_kind(said(effects), Accept, AcceptMany)
    [failed] = of_kind(said(effects), Failed)
    assert isinstance(failed, Failed) and failed.code == NotFormed.code


def test_a_claim_goes_on_when_the_policy_is_renewed_at_the_home_of_its_key(
    world: GovernedWorld,
) -> None:
    key = at_home(world, N1)
    world.lose = lambda sender, to, m: sender == N1 and not isinstance(m, Failed)
    world.speaker = BOB
    mark = world.send(N2, claimed(world, key, ms=60_000))
    world.run(20)
    world.lose = lambda *_: False
    world.decide(N3, 2, {**GOVERNED, "refused": ["client/eve"]})
    world.run(20_000)
    [decided] = world.answers[mark]
    assert isinstance(decided, Decreed) and decided.decree.identity == "client/bob"


def test_s15_a_node_whose_policy_is_not_confirmed_takes_no_claim_of_another_node(
    world: GovernedWorld,
) -> None:
    world.cut_off(N1)
    world.run_out()
    [failed] = of_kind(said(step(world, N1, passed_on(world, "client/bob", 1))), Failed)
    assert isinstance(failed, Failed) and failed.code == NotFormed.code


def test_s07_a_request_has_no_identity_but_that_of_its_connection(world: GovernedWorld) -> None:
    get = GetRequest(world.new_id(), 1_000, Key("app/k"))
    assert not of_kind(answers(step(world, N1, FromClient(9, (get,), BOB))), Failed)
    [failed] = of_kind(answers(step(world, N1, FromClient(9, (get,)))), Failed)
    assert isinstance(failed, Failed) and failed.code == Denied.code


# -- what is told


def test_s22_every_denial_is_told_before_it_is_answered(world: GovernedWorld) -> None:
    world.ask_as(BOB, N1, claimed(world, "app/x", b"secret"))
    turned_away = step(world, N1, FromClient(9, (claimed(world, "other/x"),), BOB))
    assert denials(turned_away) == [(9, "claim", "other/x", 1)]
    hidden = step(world, N1, FromClient(9, (claimed(world, "app/x"),), EVE))
    assert denials(hidden) == [(9, "read", "app/x", 1)]
    waiting = WaitRequest(world.new_id(), 60_000, Key("app/k"))
    assert denials(step(world, N1, FromClient(9, (waiting,), BOB))) == []
    newer = Commit(policy_key(2), policy_decree(2, {**GOVERNED, "refused": ["client/bob"]}))
    assert denials(step(world, N1, FromPeer(N2, newer))) == [(9, "read", "app/k", 2)]
    of_another = step(world, N1, passed_on(world, "client/carol", 1))
    assert denials(of_another) == [], "the node tells it whose client it is"


def test_s18_a_policy_ends_what_would_be_proposed_in_the_step_in_which_it_is_learned(
    world: GovernedWorld,
) -> None:
    """The claim comes before the policy in that step, and its proposal would leave at the end of it."""
    key = next(f"app/{n}" for n in range(99) if home(Key(f"app/{n}"), world.config.nodes) == N1)
    asked = claimed(world, key)
    newer = Commit(policy_key(2), policy_decree(2, {**GOVERNED, "refused": ["client/bob"]}))
    events = (FromClient(9, (asked,), BOB), FromPeer(N2, newer))
    effects = step(world, N1, *events)
    assert not of_kind(said(effects), Accept, AcceptMany)
    [failed] = of_kind(answers(effects), Failed)
    assert isinstance(failed, Failed) and failed.code == Denied.code


def test_s15_a_confirmation_of_the_epoch_before_lets_nothing_begin_in_the_rest_of_its_step() -> (
    None
):
    world = GovernedWorld()
    world.run(1_000)
    replica = world.replica(N1)
    admission = Admission(replica.parts)
    step, request = world.builder(), claimed(world, "k")
    assert admission.refusal(step, BOB, request) is None
    node = replica.node
    node.sit(node.seat, replace(node.epoch, number=1), node.epoch)
    refused = admission.refusal(step, BOB, request)
    assert refused is not None and refused.error is Unreachable
