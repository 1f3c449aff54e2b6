"""S19, S61: every way in which a decree leaves a node to a client, and what takes the right to it.

| way | where | test |
|---|---|---|
| an answer at hand | `ClientRequests.open` | `test_get_of_what_is_learned` |
| a read of a quorum | `Reads.get` | `test_get_of_what_is_in_doubt` |
| a wait | `Reads.wait` | `test_wait` |
| the last slot | `Reads.latest` | `test_latest` |
| a page | `Lists` | `test_list` |
| what was learned before | `Watches.on_read` | `test_watch_from_a_position` |
| what is learned now | `Watches.end_turn` | `test_watch_that_is_parked` |
| a lost claim, at hand | `PendingRequests.answer_at_once` | `test_lost_claim_at_hand` |
| a lost claim, coordinated here or by another node | `PendingRequests.answer` | `test_lost_claim` |
| a lost claim, by its decree | `Claims.on_learned` | `test_lost_claim_that_is_learned_first` |
| a lost claim that was put off | `ClientRequests.go_on` | `test_lost_claim_that_waited` |
| a claim id that is used again | `hidden` | `test_ids_and_secrets.py` |
| a slot that is lost on the way | `Claims.settle` | `test_next` |
| who holds a lock | `Granting.tell_held` | `test_lock_that_is_held`, `test_lock_whose_time_is_over` |
| the holder | `LockQueues.begin` | `test_holder` |
| a term that is granted | `Granting.settle` | `test_lock_of_another_with_the_same_claim_id` |
| the terms of a lock | keys below `$locks` | `test_terms_of_locks` |
| decrees of members | `$members` | `test_decrees_of_members` |
| policies | `$policy`, `PolicyRequest` | `test_policies` |
| a snapshot | `ListRequest.whole` | `test_snapshot` |
| an observer, or any other node that is asked | its own policy | `test_every_node_and_observer` |
| a repeated or hedged request | its own policy, each time | `test_repeated_and_hedged_requests` |
| the status | `bare_report` | `test_status` |
| peers: feeds, seeds, commits, answers | proven links alone | `test_peers_are_no_clients` |

Nodes keep no answers. `Recent` has decrees for peers, and what was loaded for a step ends with it. Each
answer of `wire.requests.Answer` is in the last test, so that a new one cannot be forgotten.
"""

from typing import Any, get_args

import pytest
from msgspec.structs import fields, replace

from decreed.registry.errors import Denied, LockHeld
from decreed.registry.identity import ANONYMOUS
from decreed.registry.keys import home
from decreed.registry.paxos.messages import Accepted
from decreed.registry.policy.encoding import encode
from decreed.registry.types import Decree, Key
from decreed.registry.wire import peers
from decreed.registry.wire import requests as wire
from decreed.registry.wire.codec import encode as encode_wire
from decreed.registry.wire.marks import MarkRequest, MarkTold
from decreed.registry.wire.members import ChangePlan, MembersReport, MembersRequest
from decreed.registry.wire.packed import PackedPage
from decreed.registry.wire.policy import PolicyTold
from decreed.registry.wire.requests import (
    Answer,
    Decreed,
    Failed,
    Granted,
    HeldBy,
    ListPage,
    PolicyRequest,
    StatusRequest,
    Undecided,
    WatchPage,
)
from decreed.registry.wire.scrub import ScrubReport, ScrubRequest
from decreed.registry.wire.status import StatusReport

from ...policy.samples import ALICE, CI, read
from ...support.changed import N1, N2, N3, N4
from .eve import (
    EVE,
    EveWorld,
    claims,
    code,
    document,
    gets,
    holder,
    keys,
    latest,
    lists,
    locks,
    nexts,
    waits,
    watches,
)

SECRET = b"nobody may see it"


@pytest.fixture
def world() -> EveWorld:
    """A cluster with a secret at a key that eve may not touch, and at one that she may only claim."""
    world = EveWorld()
    world.freezes("hidden/k", "blind/k", "hidden/s@1", value=SECRET)
    return world


def is_silent(answer: Answer) -> bool:
    """Whether an answer is a denial without anything of a decree."""
    return code(answer) == Denied.code and SECRET not in encode_wire(answer)


def home_at(world: EveWorld, node: str, prefix: str) -> str:
    """A key below this prefix whose home is this node."""
    names = (f"{prefix}/{number}" for number in range(99))
    return next(name for name in names if home(Key(name), world.config.nodes) == node)


# -- reads


def test_get_of_what_is_learned(world: EveWorld) -> None:
    for key in ("hidden/k", "blind/k", "hidden/none"):
        denied = world.eve(gets(world, key))
        assert is_silent(denied) and isinstance(denied, Failed)
        assert denied.message == f"'read' on '{key}' is not granted to client/eve by policy 1"


def test_get_of_what_is_in_doubt(world: EveWorld) -> None:
    world.lose = lambda _, __, message: isinstance(message, Accepted)
    world.speaker = ALICE
    world.send(N1, claims(world, "hidden/doubt", SECRET))
    world.run(100)
    assert is_silent(world.eve(gets(world, "hidden/doubt")))


def test_wait(world: EveWorld) -> None:
    world.speaker = EVE
    mark = world.send(N1, waits(world, "hidden/later"))
    world.run(5)
    [denied] = world.answers[mark]
    assert is_silent(denied)


def test_latest(world: EveWorld) -> None:
    assert is_silent(world.eve(latest(world, "hidden/s")))
    assert is_silent(world.eve(latest(world, "hidden/none")))
    assert isinstance(world.eve(latest(world, "open/s")), Undecided)


def test_list(world: EveWorld) -> None:
    assert keys(*world.all_pages("")) == []
    assert is_silent(world.eve(lists(world, "hidden")))


def test_watch_from_a_position(world: EveWorld) -> None:
    page = world.eve(watches(world, "", world.at_entry(N1, 0), ms=100))
    assert isinstance(page, WatchPage) and page.decrees == ()
    assert is_silent(world.eve(watches(world, "hidden", world.at_entry(N1, 0), ms=100)))


def test_watch_that_is_parked(world: EveWorld) -> None:
    world.speaker = EVE
    end = world.replica(N1).node.feed_end
    mark = world.send(N1, watches(world, "", world.at_entry(N1, end), ms=1_000))
    world.run(50)
    world.freezes("hidden/new", "blind/new", value=SECRET)
    world.run(2_000)
    [page] = world.answers[mark]
    assert isinstance(page, WatchPage) and page.decrees == ()


# -- claims


def test_lost_claim_at_hand(world: EveWorld) -> None:
    for node in (N1, N2, N3):
        assert is_silent(world.eve(claims(world, "blind/k"), node))
        same = world.eve(claims(world, "blind/k", SECRET), node)
        assert is_silent_of(same, "another claim came first; what it froze takes the right 'read'")


def is_silent_of(answer: Answer, message: str) -> bool:
    """Whether it is a denial in these words, which do not depend on what is frozen."""
    return isinstance(answer, Failed) and (answer.code, answer.message) == (Denied.code, message)


@pytest.mark.parametrize("coordinator", [N1, N2])
def test_lost_claim(world: EveWorld, coordinator: str) -> None:
    """Two claims meet at the home of the key: eve's loses after it was opened."""
    key = home_at(world, coordinator, "blind")
    world.speaker = ALICE
    world.send(coordinator, claims(world, key, SECRET))
    world.speaker = EVE
    mark = world.send(N1, claims(world, key))
    world.run(1_000)
    [denied] = world.answers[mark]
    assert is_silent(denied)


def test_lost_claim_that_is_learned_first(world: EveWorld) -> None:
    key = home_at(world, N2, "blind")
    world.lose = lambda _, to, message: to == N1 and isinstance(message, Decreed)
    world.speaker = ALICE
    world.send(N2, claims(world, key, SECRET))
    world.speaker = EVE
    mark = world.send(N1, claims(world, key))
    world.run(2_000)
    [denied] = world.answers[mark]
    assert is_silent(denied)


def test_lost_claim_that_waited(world: EveWorld) -> None:
    """It is opened when the policy is confirmed, at a node that has had the decree all the time."""
    world.crash(N1)
    world.lose = lambda _, to, message: to == N1 and isinstance(message, PolicyTold)
    world.boot(N1)
    world.run(100)
    world.speaker = EVE
    mark = world.send(N1, replace(claims(world, "blind/k"), timeout_ms=60_000))
    world.run(500)
    assert world.answers[mark] == []
    world.lose = lambda *_: False
    world.run(1_000)
    [denied] = world.answers[mark]
    assert is_silent(denied)


def test_next(world: EveWorld) -> None:
    """Slots of others are passed over, and none of them is told."""
    world.freezes("blind/s@1", value=SECRET)
    answer = world.eve(nexts(world, "blind/s"))
    assert isinstance(answer, Decreed) and answer.decree.key == "blind/s@2"
    assert SECRET not in encode_wire(answer)


def test_s17_what_a_lost_claim_is_told_is_judged_by_the_newest_policy(world: EveWorld) -> None:
    """Eve may read the key when she claims it, and not any more when she is answered."""
    world.lose = lambda _, __, m: isinstance(m, Accepted) and not m.key.startswith("$")
    world.speaker = ALICE
    world.send(N1, replace(claims(world, "open/race", SECRET), here=True, timeout_ms=60_000))
    world.run(100)
    world.speaker = EVE
    mark = world.send(N1, replace(claims(world, "open/race"), here=True, timeout_ms=60_000))
    world.run(100)
    world.decide(N2, 2, document({"on": "open", "may": ["claim"]}))
    assert world.answers[mark] == []
    world.lose = lambda *_: False
    world.run(10_000)
    [denied] = world.answers[mark]
    assert is_silent(denied)


# -- locks


def test_lock_that_is_held(world: EveWorld) -> None:
    assert isinstance(world.ask_as(ALICE, N1, locks(world, "blind/l", "alice")), Granted)
    for node in (N1, N2):
        held = world.eve(locks(world, "blind/l", "eve"), node)
        assert code(held) == LockHeld.code and b"alice" not in encode_wire(held)


def test_lock_whose_time_is_over(world: EveWorld) -> None:
    world.ask_as(ALICE, N1, locks(world, "blind/l", "alice"))
    world.speaker = EVE
    mark = world.send(N1, replace(locks(world, "blind/l", "eve", queue=True), timeout_ms=1_000))
    world.run(3_000)
    [held] = world.answers[mark]
    assert code(held) == LockHeld.code and b"alice" not in encode_wire(held)


def test_holder(world: EveWorld) -> None:
    world.ask_as(ALICE, N1, locks(world, "blind/l", "alice"))
    assert is_silent(world.eve(holder(world, "blind/l")))
    assert is_silent(world.eve(holder(world, "blind/none")))
    world.ask_as(ALICE, N1, locks(world, "open/l", "alice"))
    assert isinstance(world.eve(holder(world, "open/l")), HeldBy)


def test_lock_of_another_with_the_same_claim_id(world: EveWorld) -> None:
    """The claim id is public; without the secret behind its hash it opens nothing."""
    theirs = locks(world, "blind/l", "alice")
    world.ask_as(ALICE, N1, theirs)
    forged = replace(theirs.claim, secret_hash=b"e" * 32)
    held = world.eve(replace(theirs, id=world.number(), claim=forged))
    assert code(held) == LockHeld.code and b"alice" not in encode_wire(held)


def test_terms_of_locks(world: EveWorld) -> None:
    """The stricter of the rules: they take a grant of their own, beside that on the lock."""
    world.ask_as(ALICE, N1, locks(world, "open/l", "alice"))
    for request in (
        gets(world, "$locks/open/l@1"),
        waits(world, "$locks/open/l@1"),
        latest(world, "$locks/open/l"),
        lists(world, "$locks"),
        lists(world, "$locks/open"),
        watches(world, "$locks", None),
    ):
        assert is_silent(world.eve(request))
    world.decide(N1, 2, document({"on": "$locks/open", "may": ["read"]}))
    assert isinstance(world.eve(gets(world, "$locks/open/l@1")), Decreed)
    assert keys(*world.all_pages("$locks")) == ["$locks/open/l@1"]


# -- what is for administrators


def test_decrees_of_members(world: EveWorld) -> None:
    """They name the disks of voters (S20)."""
    requests = (
        gets(world, "$members@1"),
        waits(world, "$members@1"),
        latest(world, "$members"),
        lists(world, "$members"),
        watches(world, "$members", None),
        MembersRequest(world.number(), 1_000),
        ScrubRequest(world.number(), True, 0),
        MarkRequest(world.number()),
    )
    for request in requests:
        assert is_silent(world.eve(request))
    answer = world.ask_as(ALICE, N1, gets(world, "$members@1"))
    assert isinstance(answer, Undecided)


def test_policies(world: EveWorld) -> None:
    data = encode(read(document()))
    applied = PolicyRequest(world.number(), 1_000, 0, data, "eve", b"e", "")
    denied = world.eve(applied)
    assert is_silent(denied) and b"client/alice" not in encode_wire(denied)
    for request in (gets(world, "$policy@1"), latest(world, "$policy"), lists(world, "$policy")):
        answer = world.eve(request)
        assert isinstance(answer, Failed) and b"client/alice" not in encode_wire(answer)


def test_snapshot(world: EveWorld) -> None:
    for prefix in ("", "open", "hidden"):
        assert is_silent(world.eve(lists(world, prefix, whole=True)))


def test_status(world: EveWorld) -> None:
    """Health, name and version, and nothing of members, of disks or of how much there is."""
    reports = [world.ask_as(who, N1, StatusRequest(7)) for who in (EVE, CI, ANONYMOUS)]
    bare = encode_wire(reports[0])
    assert all(encode_wire(report) == bare for report in reports)
    for text in (b"127.0.0.1", b"n2", b"test-cluster", world.disks[N1], world.disks[N2]):
        assert text not in bare
    full = world.ask_as(ALICE, N1, StatusRequest(7))
    for disk in world.disks.values():
        assert disk not in encode_wire(full), "no disk, for those who may read it either"


def test_s20_a_position_tells_nothing_of_the_disk(world: EveWorld) -> None:
    page = world.eve(watches(world, "", None))
    assert isinstance(page, WatchPage)
    for disk in world.disks.values():
        assert disk not in encode_wire(page)
    before = replace(page.position, feed=world.disks[N1])  # as nodes told it once
    answer = world.eve(watches(world, "", before, ms=100))
    assert isinstance(answer, WatchPage) and answer.lost


# -- other nodes


def test_every_node_and_observer() -> None:
    """One that waits for no vote learns the policy by the feed, as all do."""
    joined = EveWorld(joiners=[N4])
    joined.freezes("hidden/k", value=SECRET)
    joined.run(5_000)
    for node in (N1, N2, N3, N4):
        assert is_silent(joined.eve(gets(joined, "hidden/k"), node))
        assert is_silent(joined.eve(watches(joined, "hidden", None), node))
        page = joined.eve(watches(joined, "", joined.at_entry(node, 0), ms=100), node)
        assert isinstance(page, WatchPage) and page.decrees == ()


def test_repeated_and_hedged_requests(world: EveWorld) -> None:
    get = gets(world, "hidden/k")
    assert is_silent(world.eve(get, N1))
    assert is_silent(world.eve(get, N1))
    assert is_silent(world.eve(get, N2))
    position = world.at_entry(N1, 0)
    page = world.eve(watches(world, "", position, ms=100), N2)
    assert isinstance(page, WatchPage) and page.lost and page.decrees == ()


def test_peers_are_no_clients() -> None:
    """Whatever carries decrees between nodes is in no union of requests."""
    asked = set(get_args(wire.Request))
    for message in (peers.Fetch, peers.Pull, peers.Query, peers.Scan, peers.PassedClaim):
        assert message not in asked


# -- all of them


CARRIES: dict[type[Any], str] = {
    Decreed: "test_lost_claim",
    ListPage: "test_list",
    PackedPage: "test_list",
    WatchPage: "test_watch_that_is_parked",
    Granted: "test_lock_of_another_with_the_same_claim_id",
    HeldBy: "test_lock_that_is_held",
    wire.PolicyApplied: "test_policies",
    ChangePlan: "test_decrees_of_members",
    MembersReport: "test_decrees_of_members",
    StatusReport: "test_status",
    ScrubReport: "test_decrees_of_members",
    MarkTold: "test_decrees_of_members",
}
"""The answers that have something to hide, and where that is tested."""
BARE: set[type[Any]] = {
    *(Undecided, Failed, wire.ClientPong, wire.Kept, wire.Superseded, wire.Ended, wire.GivenUp),
}
"""The answers that have nothing of a decree."""


def test_every_kind_of_answer_is_tested_here_or_has_nothing_to_hide() -> None:
    assert set(get_args(Answer)) == CARRIES.keys() | BARE
    for name in CARRIES.values():
        assert name in globals()
    for kind in BARE:
        assert Decree not in {field.type for field in fields(kind)}
