"""How much an identity may freeze below a prefix: what counts, where it is asked, and what is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.disk import ScanPage
from decreed.registry.errors import OverQuota, error_kind
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.keys import home, sort_key
from decreed.registry.locks.terms import TermClaim
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Commit
from decreed.registry.replica.policy import quotas as module
from decreed.registry.replica.policy.quotas import PrefixCount
from decreed.registry.replica.step.disk_reads import ScanDone
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Claim, Decree, Key, Process
from decreed.registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    Granted,
    LockRequest,
    StatusRequest,
)
from decreed.registry.wire.status import QuotaUse, StatusReport

from ...policy.samples import ALICE, BOB, changed, few, read
from ...support.changed import N1, N2, N3
from ...support.governed import GovernedWorld
from ...support.world import claim

EVE = Identity("client", "eve")
ROLES: dict[str, Any] = {
    "ops": [{"on": "", "may": ["admin", "read", "claim", "lock"]}],
    "all": [{"on": "", "may": ["read", "claim", "lock"]}],
}
MEMBERS = {
    "client/alice": ["ops"],
    "client/bob": ["all"],
    "client/eve": ["all"],
    "anonymous": ["all"],
}


def with_quotas(*quotas: dict[str, Any]) -> dict[str, Any]:
    return changed(roles=ROLES, members=MEMBERS, tokens={}, quotas=list(quotas))


def world_with(*quotas: dict[str, Any]) -> GovernedWorld:
    world = GovernedWorld()
    world.decide(N1, 1, with_quotas(*quotas))
    return world


def wish(world: GovernedWorld, key: str, value: bytes = b"v") -> ClaimRequest:
    number = world.new_id()
    return ClaimRequest(number, 5_000, False, claim(key, value, f"c{number}".encode()))


def freeze(
    world: GovernedWorld, who: Identity, key: str, value: bytes = b"v", node: str = N1
) -> Answer:
    return world.ask_as(who, node, wish(world, key, value))


def is_over(answer: Answer) -> bool:
    """Whether it was refused for the quota; otherwise it must have been decided."""
    assert isinstance(answer, Decreed | Failed)
    if isinstance(answer, Failed):
        assert error_kind(answer.code) is OverQuota, answer
    return isinstance(answer, Failed)


def homed(node: str, count: int) -> list[Key]:
    """Some keys whose home is this node."""
    keys = (Key(f"app/{number}") for number in range(1_000))
    return [key for key in keys if home(key, (N1, N2, N3)) == node][:count]


# -- what is over


def test_new_keys_below_the_prefix_are_refused_when_the_quota_is_used_up() -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 3})
    assert not any(is_over(freeze(world, BOB, f"app/{n}")) for n in range(3))
    for node in (N1, N2, N3):
        assert is_over(freeze(world, BOB, "app/new", node=node))
    assert not is_over(freeze(world, EVE, "app/eves"))
    assert not is_over(freeze(world, BOB, "apple/1")), "prefixes are whole segments"
    assert not is_over(freeze(world, BOB, "other")), "and quotas are for what is below them"


def test_the_refusal_names_the_quota_its_use_and_the_way_out() -> None:
    world = world_with({"on": "app", "of": "anyone", "keys": 1, "bytes": 10})
    freeze(world, BOB, "app/1", b"123456")
    answer = freeze(world, BOB, "app/2")
    assert isinstance(answer, Failed) and OverQuota.definite
    for part in ("client/bob below 'app'", "1 keys are frozen", "quota is 1", "policy 1", "larger"):
        assert part in answer.message


def test_bytes_are_those_of_the_values() -> None:
    world = world_with({"on": "", "of": "client/bob", "bytes": 10})
    assert not is_over(freeze(world, BOB, "a", b"1234567"))
    assert is_over(freeze(world, BOB, "b", b"1234"))
    assert not is_over(freeze(world, BOB, "c", b"123"))
    assert is_over(freeze(world, BOB, "d", b"1"))
    assert not is_over(freeze(world, BOB, "e", b""))


def test_a_quota_of_anyone_is_each_ones_and_a_quota_of_its_own_replaces_it() -> None:
    world = world_with(
        {"on": "app", "of": "anyone", "keys": 1}, {"on": "app", "of": "client/eve", "keys": 2}
    )
    assert not is_over(freeze(world, BOB, "app/bob"))
    assert not is_over(freeze(world, EVE, "app/eve"))
    assert is_over(freeze(world, BOB, "app/more"))
    assert not is_over(freeze(world, EVE, "app/more"))
    assert is_over(freeze(world, EVE, "app/most"))


def test_the_anonymous_have_one_quota_together() -> None:
    world = world_with({"on": "app", "of": "anyone", "keys": 1})
    assert not is_over(freeze(world, ANONYMOUS, "app/1"))
    assert is_over(freeze(world, ANONYMOUS, "app/2", node=N2))


def test_quotas_on_several_prefixes_count_all() -> None:
    world = world_with(
        {"on": "", "of": "client/bob", "keys": 2}, {"on": "a/b", "of": "client/bob", "keys": 1}
    )
    assert not is_over(freeze(world, BOB, "a/b/1"))
    assert is_over(freeze(world, BOB, "a/b/2"))
    assert not is_over(freeze(world, BOB, "a/c"))
    assert is_over(freeze(world, BOB, "z"))


def test_slots_count_and_terms_of_locks_do_not() -> None:
    world = world_with({"on": "", "of": "client/bob", "keys": 2})
    for expected in (False, False, True):
        number = world.new_id()
        wanted = claim("log@1", b"v", f"n{number}".encode())
        answer = world.ask_as(BOB, N1, ClaimNextRequest(number, 5_000, False, wanted))
        assert is_over(answer) is expected
    term = TermClaim("bob", b"lock-1", 1_000, bytes(32), "", b"")
    granted = world.ask_as(BOB, N1, LockRequest(world.new_id(), 5_000, "jobs", False, term))
    assert isinstance(granted, Granted)


# -- what is decided is answered


def test_a_repetition_of_a_claim_that_won_is_answered() -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 1})
    first = wish(world, "app/1")
    assert not is_over(world.ask_as(BOB, N1, first))
    for node in (N1, N2, N3):
        again = ClaimRequest(world.new_id(), 5_000, False, first.claim)
        assert not is_over(world.ask_as(BOB, node, again))
    assert is_over(freeze(world, BOB, "app/2"))
    uses = world.replica(N1).parts.quotas.uses(BOB)
    assert [use.keys for use in uses] == [1], "a repetition counts nothing"


def test_a_decree_that_is_told_again_counts_once() -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 2})
    answer = freeze(world, BOB, "app/1")
    assert isinstance(answer, Decreed)
    for _ in range(3):
        world.post(N2, FromPeer(N1, Commit(answer.decree.key, answer.decree)))
        world.run(10)
    assert [use.keys for use in world.replica(N2).parts.quotas.uses(BOB)] == [1]


def test_so_it_is_at_a_node_that_has_not_learned_it() -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 1})
    one, other = (wish(world, homed(node, 1)[0]) for node in (N1, N2))
    world.speaker = BOB
    world.lose = lambda _, to, message: to == N3 and other.claim.key in str(message)
    for node, each in ((N1, one), (N2, other)):  # both begin before the first counts
        world.send(node, each)
    world.run(300)
    assert [use.keys for use in world.replica(N3).parts.quotas.uses(BOB)] == [1]
    assert [use.keys for use in world.replica(N1).parts.quotas.uses(BOB)] == [2]
    world.lose = lambda *_: False
    again = ClaimRequest(world.new_id(), 5_000, False, other.claim)
    assert not is_over(world.ask_as(BOB, N3, again))


def test_a_key_that_is_lost_is_told_as_ever() -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 0})
    freeze(world, EVE, "app/1")
    answer = freeze(world, BOB, "app/1", b"other")
    assert isinstance(answer, Decreed) and answer.decree.identity == "client/eve"


# -- where it is asked


@pytest.mark.parametrize("count", [1, 3])
def test_a_quota_is_asked_again_when_the_claim_is_first_proposed(count: int) -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 1})
    one, *others = (wish(world, key) for key in homed(N1, 1 + count))
    world.speaker = BOB
    world.delays = lambda *_: (3.0,)
    first = world.send(N1, one)
    world.settle()
    waiting = [world.send(N1, other) for other in others]  # for the batch of the first
    world.settle()
    world.run(1_000)
    assert not is_over(world.answers[first][0])
    assert all(is_over(world.answers[mark][0]) for mark in waiting)


def test_the_home_of_a_key_asks_its_own_count() -> None:
    world = world_with({"on": "app", "of": "client/bob", "keys": 1})
    freeze(world, BOB, "app/0")
    used = world.replica(N2).parts.quotas.counts["app"]
    used.used.clear()  # as if it had learned nothing yet
    [key] = homed(N1, 1)
    assert is_over(freeze(world, BOB, key, node=N2))


# -- counting


def test_what_was_frozen_before_the_policy_counts_and_a_larger_quota_is_the_way_out() -> None:
    world = world_with()
    for number in range(5):
        freeze(world, BOB, f"app/{number}")
    world.decide(N1, 2, with_quotas({"on": "app", "of": "client/bob", "keys": 5}))
    assert is_over(freeze(world, BOB, "app/more"))
    world.decide(N1, 3, with_quotas({"on": "app", "of": "client/bob", "keys": 6}))
    assert not is_over(freeze(world, BOB, "app/more"))
    assert is_over(freeze(world, BOB, "app/most"))
    world.decide(N1, 4, with_quotas())
    assert not is_over(freeze(world, BOB, "app/most"))


def test_a_restart_counts_again_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_KEYS", 2)
    world = world_with({"on": "app", "of": "client/bob", "keys": 9})
    for number in range(9):
        freeze(world, BOB, f"app/{number}")
    world.crash(N1)
    world.boot(N1)
    world.run(2_000)
    [use] = world.replica(N1).parts.quotas.uses(BOB)
    assert use == QuotaUse("app", "client/bob", 9, 9, 9, None, False)
    assert is_over(freeze(world, BOB, "app/more", node=N1))


def test_the_pause_after_a_page_is_as_long_as_the_page_took() -> None:
    world = world_with()
    quotas, step = world.replica(N1).parts.quotas, world.builder()
    quotas.obey(step, read(with_quotas({"on": "app", "of": "client/bob", "keys": 9})).quotas, 2)
    (asked,) = step.finish().reads
    world.run(40)
    later = world.builder()
    quotas.on_read(later, ScanDone(asked.token, ScanPage((), complete=False)))
    (timer,) = later.finish().timers
    assert timer.delay_ms == later.now_ms - step.now_ms >= 40


def test_one_page_is_read_at_a_time_of_the_empty_prefix_too() -> None:
    """Else a page that comes late would be counted twice."""
    world = world_with()
    quotas, step = world.replica(N1).parts.quotas, world.builder()
    for policy in (2, 3):  # the second comes while the first page is read
        named = read(with_quotas({"on": "", "of": "client/bob", "keys": 9})).quotas
        quotas.obey(step, named, policy)
    assert len(step.finish().reads) == 1


KEYS = st.sampled_from([f"app/{letter}{slot}" for letter in "abcdef" for slot in ("", "@2", "@10")])


@few
@given(st.lists(st.one_of(KEYS, st.sampled_from(["ask", "show", "come"])), max_size=60), st.data())
def test_whatever_is_learned_while_it_is_counted_counts_once(steps: list[str], data: Any) -> None:
    """A page shows what is learned at some moment between the question and its answer."""
    count, learned, page = PrefixCount("app"), dict[str, Decree](), None
    for step in [*steps, *["ask", "show", "come"] * 12]:
        match step:
            case "ask":
                if not count.is_read and not count.complete:
                    count.is_read, page = True, None
            case "show" if count.is_read and page is None:
                page = _page(count, learned, data.draw(st.integers(1, 4)))
            case "come" if page is not None:
                count.read(page[0], complete=page[1])
                page = None
            case _ if step.startswith("app") and step not in learned:
                learned[step] = _decree(step)
                count.learned(learned[step])
            case _:
                pass
    assert count.complete
    used = count.used.get("client/bob")
    assert (used.keys if used else 0) == len(learned)


def _page(
    count: PrefixCount, learned: dict[str, Decree], limit: int
) -> tuple[list[tuple[Key, Instance]], bool]:
    keys = sorted(learned, key=sort_key)
    rest = [key for key in keys if sort_key(key) > count.reached]
    shown = [(Key(key), Instance(learned=learned[key])) for key in rest[:limit]]
    return shown, len(rest) <= limit


def _decree(key: str) -> Decree:
    wanted = Claim(Key(key), b"v", "", "bob", b"id")
    return Decree.of(wanted, Ballot(1, Process(N1, 1)), 0, "client/bob")


# -- what is told


def test_status_tells_administrators_all_and_others_their_own() -> None:
    world = world_with(
        {"on": "app", "of": "anyone", "keys": 4}, {"on": "", "of": "client/eve", "bytes": 100}
    )
    freeze(world, BOB, "app/1", b"four")
    freeze(world, EVE, "x", b"12345")

    def told(who: Identity) -> tuple[QuotaUse, ...]:
        report = world.ask_as(who, N1, StatusRequest(world.new_id()))
        assert isinstance(report, StatusReport)
        return report.quotas

    world.run(100)
    bobs = QuotaUse("app", "client/bob", 1, 4, 4, None, False)
    eves = QuotaUse("", "client/eve", 1, None, 5, 100, False)
    assert told(ALICE) == (bobs, eves), "the fullest first"
    assert told(BOB) == (bobs,)
    assert set(told(EVE)) == {eves, QuotaUse("app", "client/eve", 0, 4, 0, None, False)}
