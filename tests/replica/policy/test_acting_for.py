"""S08: a gateway asks for somebody else, and both must be allowed to, wherever the policy is asked."""

import pytest

from decreed.registry.audit import AuditEvent
from decreed.registry.errors import BadRequest, Denied
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.keys import home
from decreed.registry.locks.secret import hash_of
from decreed.registry.locks.terms import Ending, How, LeaseId, TermClaim, lock_and_term
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Key
from decreed.registry.wire.peers import PassedClaim
from decreed.registry.wire.requests import (
    Answer,
    Cancel,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Ended,
    EndRequest,
    Failed,
    GetRequest,
    Granted,
    KeepAliveRequest,
    Kept,
    LockRequest,
    StatusRequest,
    WaitRequest,
)
from decreed.registry.wire.status import StatusReport

from ...policy.samples import ALICE, BOB, changed
from ...support.changed import N1, N2, step
from ...support.governed import GovernedWorld
from ...support.world import World, claim

GW = Identity("client", "gw")
EVE = Identity("client", "eve")
GATEWAY = [{"on": "app", "may": ["act-for", "read", "claim", "lock"]}]
ROLES = {
    "ops": [{"on": "", "may": ["admin", "read", "claim", "lock"]}],
    "app": [{"on": "app", "may": ["read", "claim", "lock"]}],
    "all": [{"on": "", "may": ["read", "claim", "lock"]}],
    "gateway": GATEWAY,
    "narrow": [{"on": "app", "may": ["act-for"]}],
}
MEMBERS = {
    "client/alice": ["ops"],
    "client/bob": ["app"],
    "client/gw": ["gateway"],
    "client/dan": ["all"],
    "client/eve": ["narrow"],
}
GOVERNED = changed(roles=ROLES, members=MEMBERS, tokens={})
SECRET = bytes(range(32))


@pytest.fixture
def world() -> GovernedWorld:
    world = GovernedWorld()
    world.decide(N1, 1, GOVERNED)
    return world


def for_bob(gateway: Identity = GW) -> Identity:
    return gateway.acts_for("client/bob")


def claimed(world: World, key: str, *, here: bool = False) -> ClaimRequest:
    number = world.new_id()
    return ClaimRequest(number, 5_000, here, claim(key, b"v", f"c{number}".encode()))


def code(answer: Answer) -> tuple[int, str]:
    assert isinstance(answer, Failed), answer
    return answer.code, answer.message


def at_home(world: World, node: str) -> str:
    keys = (f"app/{n}" for n in range(99))
    return next(key for key in keys if home(Key(key), world.config.nodes) == node)


def test_s08_what_a_gateway_claims_is_the_named_ones_at_home_and_passed_on(
    world: GovernedWorld,
) -> None:
    for node in (N1, N2):
        answer = world.ask_as(for_bob(), N1, claimed(world, at_home(world, node)))
        assert isinstance(answer, Decreed) and answer.decree.identity == "client/bob"
    number = world.new_id()
    following = ClaimNextRequest(number, 5_000, False, claim("app/s@1", b"v", b"n"))
    slot = world.ask_as(for_bob(), N1, following)
    assert isinstance(slot, Decreed) and slot.decree.identity == "client/bob"
    passed = [m for *_, m in world.sent if isinstance(m, PassedClaim)]
    assert passed and {(m.identity, m.gateway) for m in passed} == {("client/bob", "client/gw")}


@pytest.mark.parametrize(
    ("identity", "key", "missing"),
    [
        (
            BOB.acts_for("client/gw"),
            "app/x",
            "'act-for' on 'app/x' is not granted to client/bob for",
        ),
        (ALICE.acts_for("client/bob"), "app/x", "'act-for'"),
        (ANONYMOUS.acts_for("client/bob"), "app/x", "to anonymous for client/bob"),
        (GW.acts_for("client/dan"), "far", "'act-for' on 'far'"),
        (GW.acts_for("client/nobody"), "app/x", "'claim' on 'app/x' is not granted to both"),
        (EVE.acts_for("client/bob"), "app/x", "'claim' on 'app/x' is not granted to both"),
        (GW.acts_for("node/n1"), "app/x", "'act-for'"),
        (Identity("node", "n1").acts_for("client/bob"), "app/x", "'act-for'"),
        (GW.acts_for("token/none"), "app/x", "'claim'"),
    ],
)
def test_s08_it_takes_act_for_of_the_gateway_and_the_right_of_both(
    world: GovernedWorld, identity: Identity, key: str, missing: str
) -> None:
    number, message = code(world.ask_as(identity, N1, claimed(world, key)))
    assert number == Denied.code and missing in message
    # the coordinator asks its own policy again about both, and believes no other node
    gateway, named = str(identity.through), str(identity)
    passed = PassedClaim(claimed(world, at_home(world, N1)), named, 1, gateway)
    if key == "app/x":
        effects = step(world, N1, FromPeer(N2, passed))
        [refused] = [each.message for each in effects.at_once if hasattr(each, "message")]
        assert isinstance(refused, Failed) and refused.code == Denied.code


def test_s08_nobody_is_named_by_who_was_named_or_by_words(world: GovernedWorld) -> None:
    for text in ("", "bob", "user/bob", "client/b/c", "anonymous"):
        with pytest.raises(ValueError):
            GW.acts_for(text)
    with pytest.raises(ValueError):
        for_bob().acts_for("client/dan")
    passed = PassedClaim(claimed(world, "app/x"), "", 1, "client/gw")
    effects = step(world, N1, FromPeer(N2, passed))
    [refused] = [each.message for each in effects.at_once if hasattr(each, "message")]
    assert isinstance(refused, Failed) and refused.code == BadRequest.code


@pytest.mark.parametrize("kind", [GovernedWorld, World])
def test_s08_without_a_policy_nobody_acts_for_another(kind: type[World]) -> None:
    world = kind()
    for request in (claimed(world, "app/x"), GetRequest(world.new_id(), 1_000, Key("app/x"))):
        world.answers[N1, request.id] = []
        world.post(N1, FromClient(9, (request,), for_bob()))
        world.run(100)
        [answer] = world.answers[N1, request.id]
        assert code(answer) == (Denied.code, code(answer)[1]) and "act-for" in code(answer)[1]


def test_s08_locks_are_held_kept_and_released_for_the_named_one(world: GovernedWorld) -> None:
    number = world.new_id()
    wish = TermClaim("me", b"l1", 10_000, hash_of(SECRET))
    granted = world.ask_as(for_bob(), N1, LockRequest(number, 5_000, "app/lock", False, wish))
    assert isinstance(granted, Granted) and granted.decree.identity == "client/bob"
    lock, term = lock_and_term(granted.decree.key)
    lease = LeaseId(lock, term, b"l1")
    keep = KeepAliveRequest(world.new_id(), 1_000, lease, SECRET)
    assert isinstance(world.ask_as(for_bob(), N2, keep), Kept)
    for who in (ALICE.acts_for("client/bob"), GW.acts_for("client/nobody")):
        keep = KeepAliveRequest(world.new_id(), 1_000, lease, SECRET)
        assert code(world.ask_as(who, N2, keep))[0] == Denied.code
    end = EndRequest(world.new_id(), 1_000, lease, Ending(How.RELEASED), SECRET)
    assert isinstance(world.ask_as(for_bob(), N2, end), Ended)


@pytest.mark.parametrize("lost", [{"client/gw": ["app"]}, {"client/bob": []}])
def test_s18_what_waits_for_the_named_one_ends_when_either_loses_the_right(
    world: GovernedWorld, lost: dict[str, list[str]]
) -> None:
    world.speaker = for_bob()
    mark = world.send(N1, WaitRequest(world.new_id(), 60_000, Key("app/wait")))
    world.run(100)
    assert not world.answers[mark]
    world.decide(N1, 2, changed(roles=ROLES, members={**MEMBERS, **lost}, tokens={}))
    [answer] = world.answers[mark]
    assert code(answer)[0] == Denied.code


def test_s08_a_cancel_names_the_request_and_nobody(world: GovernedWorld) -> None:
    request = WaitRequest(world.new_id(), 60_000, Key("app/wait"))
    world.answers[N1, request.id] = []
    world.post(N1, FromClient(9, (request,), for_bob()))
    world.run(50)
    world.post(N1, FromClient(9, (Cancel(request.id),), GW))
    world.run(50)
    assert len(world.answers[N1, request.id]) == 1


def test_s08_the_audit_log_has_both(world: GovernedWorld) -> None:
    world.ask_as(GW.acts_for("client/nobody"), N1, claimed(world, "app/x"))
    denied = world.audited[N1][-1]
    assert (denied.event, denied.acting_for) == (AuditEvent.DENIED, "client/nobody")
    world.ask_as(BOB, N1, claimed(world, "far"))
    assert world.audited[N1][-1].acting_for == ""


def test_s19_a_status_for_another_tells_what_both_may_see(world: GovernedWorld) -> None:
    for who in (for_bob(), ALICE.acts_for("client/bob")):
        answer = world.ask_as(who, N1, StatusRequest(world.new_id()))
        assert isinstance(answer, StatusReport) and answer.peers == ()
