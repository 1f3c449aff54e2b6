"""S60, S63, S64, S18: lists and watches show what may be read, key by key, and nothing else counts."""

from typing import Any

import pytest
from msgspec.structs import replace

from decreed.registry.errors import Denied, Unreachable
from decreed.registry.keys import slot_key
from decreed.registry.paxos.messages import Accepted, Commit
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.series import claim_of, policy_key
from decreed.registry.replica.requests.spans import spans_of
from decreed.registry.replica.step.disk_reads import FeedDone
from decreed.registry.replica.step.effects import ReadFeed, Reply
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, Process
from decreed.registry.wire.packed import PackedPage
from decreed.registry.wire.peers import Scan, ScanAnswer
from decreed.registry.wire.requests import Failed, ListPage, WatchPage

from ...policy.samples import ALICE, CI, read
from ...support.changed import N1, N2, N3, of_kind, said, step
from ...support.lookup import look_up
from ...support.scrubbed import damage, lose
from .eve import (
    EVE,
    EveWorld,
    claims,
    code,
    document,
    gets,
    keys,
    lists,
    locks,
    waits,
    watches,
)

HIDDEN = ["hidden/a", "more/hidden", "opened", "open-x", "blind/x", "zz"]
SHOWN = ["more/open", "more/open/y", "open", "open/a", "open/b", "open@1"]
READ_MORE: tuple[dict[str, Any], ...] = (
    {"on": "open", "may": ["read"]},
    {"on": "hidden", "may": ["read"]},
)


@pytest.fixture(scope="module")
def full() -> EveWorld:
    """A cluster that nobody changes."""
    world = EveWorld()
    world.freezes(*HIDDEN, *SHOWN)
    world.run(500)
    return world


# -- lists


@pytest.mark.parametrize("node", [N1, N2, N3])
@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_s64_a_list_has_what_may_be_read_in_the_order_of_keys(
    full: EveWorld, limit: int, node: str
) -> None:
    pages = full.all_pages("", limit, node)
    assert keys(*pages) == SHOWN
    assert all(len(page.decrees) == limit for page in pages[:-1])


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_s64_a_page_is_followed_after_a_key_that_may_be_read(full: EveWorld, limit: int) -> None:
    for page in full.all_pages("", limit)[:-1]:
        assert page.next_after == page.decrees[-1].key


def test_s64_a_prefix_between_the_grants_is_filtered_too(full: EveWorld) -> None:
    assert keys(*full.all_pages("more")) == ["more/open", "more/open/y"]
    assert keys(*full.all_pages("more/open/y")) == ["more/open/y"]


def test_who_may_read_nothing_below_a_prefix_is_denied_whether_keys_exist_or_not(
    full: EveWorld,
) -> None:
    for prefix in ("hidden", "none", "blind", "$locks", "$locks/open", "$members"):
        assert code(full.eve(lists(full, prefix))) == Denied.code
        assert code(full.eve(watches(full, prefix, None))) == Denied.code


def test_an_empty_page_is_not_told_apart(full: EveWorld) -> None:
    """Whether nothing is there, or nothing that may be read."""
    for prefix, after in (("open/none", ""), ("open", "open@1"), ("", "open@9")):
        page = full.eve(lists(full, prefix, after))
        assert isinstance(page, ListPage) and replace(page, id=0) == ListPage(0, (), None)


def test_s64_peers_are_asked_about_what_may_be_read_and_tell_nothing_else() -> None:
    world = EveWorld()
    world.freezes(*HIDDEN, *SHOWN)
    world.run(500)
    world.sent.clear()
    world.all_pages("", 3)
    scans = {message for *_, message in world.sent if isinstance(message, Scan)}
    assert scans and {scan.within for scan in scans if not scan.after} == {("more/open", "open")}
    told = [m for *_, m in world.sent if isinstance(m, ScanAnswer)]
    assert told
    named = {d.key for m in told for d in m.learned} | {k for m in told for k in m.unlearned}
    assert not named & set(HIDDEN) and not {m.end for m in told} & set(HIDDEN)


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_s64_a_peer_reports_no_row_outside_of_what_it_is_asked_about(
    full: EveWorld, limit: int
) -> None:
    """The requester has nothing, so that all rows differ."""
    storage = full.machines[N1].storage
    assert storage is not None
    spans = spans_of([], complete=True)
    scan = Scan(full.number(), 1_000, "", "", limit, spans, ("more/open", "open"))
    [asked] = step(full, N1, FromPeer(N2, scan)).reads
    [told] = of_kind(said(step(full, N1, look_up(storage, asked))), ScanAnswer)
    assert isinstance(told, ScanAnswer)
    found = [decree.key for decree in told.learned]
    assert found == SHOWN[: len(found)] and len(found) >= min(limit, len(SHOWN))
    assert told.end == (None if len(found) == len(SHOWN) else found[-1])


def test_s64_what_is_accepted_and_may_not_be_read_is_not_finished_for_a_list() -> None:
    world = EveWorld()
    world.lose = lambda _, __, message: isinstance(message, Accepted)
    world.speaker = ALICE
    for key in ("hidden/doubt", "open/doubt"):
        world.send(N1, claims(world, key))
    world.run(200)
    world.lose = lambda *_: False
    assert keys(*world.all_pages("open")) in ([], ["open/doubt"])
    world.run(10_000)  # R22
    assert keys(*world.all_pages()) == ["open/doubt"]


def test_a_hidden_record_that_is_damaged_shows_in_nothing_that_eve_asks() -> None:
    world = EveWorld()
    world.freezes("hidden/a", "open/a", "zz")
    world.run(500)
    for node in (N1, N2, N3):
        damage(world, node, "hidden/a")
        lose(world, node, "zz")
    assert keys(*world.all_pages("")) == ["open/a"]
    page = world.eve(watches(world, "", world.at_entry(N1, 0)))
    assert isinstance(page, WatchPage) and keys(page) == ["open/a"]
    assert code(world.eve(gets(world, "hidden/a"))) == Denied.code


def test_s15_a_list_is_refused_at_a_node_that_is_cut_off_if_anything_on_it_is() -> None:
    strict = {"on": "open/strict", "may": ["read"], "when_cut_off": "refuse"}
    world = EveWorld({"on": "open", "may": ["read"]}, strict)
    world.cut_off(N3)
    world.run_out()
    for prefix in ("", "open", "open/strict/x"):
        assert code(world.eve(lists(world, prefix), N3)) == Unreachable.code
        assert code(world.eve(watches(world, prefix, None), N3)) == Unreachable.code
    assert isinstance(world.eve(watches(world, "open/other", None), N3), WatchPage)
    assert isinstance(world.eve(lists(world, ""), N1), ListPage)


def test_a_page_of_a_snapshot_takes_admin_and_everything_that_it_has() -> None:
    world = EveWorld()
    world.freezes("open/a", "hidden/a")
    for prefix in ("", "open"):
        assert code(world.eve(lists(world, prefix, whole=True))) == Denied.code
    page = world.ask_as(ALICE, N1, lists(world, "", whole=True))
    assert isinstance(page, PackedPage) and keys(page) == ["hidden/a", "open/a"]
    partial = document({"on": "open", "may": ["read"]}, {"on": "", "may": ["admin"]})
    world.decide(N1, 2, partial)
    denied = world.eve(lists(world, "", whole=True))
    assert isinstance(denied, Failed) and denied.code == Denied.code
    assert denied.message == "'read' is not granted to client/eve by policy 2"
    assert isinstance(world.eve(lists(world, "open", whole=True)), PackedPage)


# -- a policy that is learned while a page is made


def test_s18_a_page_under_way_has_what_the_newest_policy_shows() -> None:
    world = EveWorld()
    world.freezes("open/a", "hidden/a")
    world.lose = lambda _, to, m: isinstance(m, ScanAnswer) and to == N1
    world.speaker = EVE
    mark = world.send(N1, lists(world, ""))
    world.run(50)
    assert world.answers[mark] == []
    world.decide(N2, 2, document({"on": "hidden", "may": ["read"]}))
    world.lose = lambda *_: False
    world.run(2_000)
    [page] = world.answers[mark]
    assert isinstance(page, ListPage) and keys(page) == ["hidden/a"]


def test_s18_a_page_under_way_ends_with_the_last_right_to_it() -> None:
    world = EveWorld()
    world.lose = lambda _, to, m: isinstance(m, ScanAnswer) and to == N1
    world.speaker = EVE
    mark = world.send(N1, lists(world, ""))
    world.run(50)
    world.decide(N2, 2, document({"on": "blind", "may": ["claim"]}))
    [denied] = world.answers[mark]
    assert code(denied) == Denied.code
    assert not world.replica(N1).parts.lists.pending()["who lists"]


# -- watches


def here(world: EveWorld, prefix: str = "") -> WatchPage:
    page = world.eve(watches(world, prefix, None))
    assert isinstance(page, WatchPage)
    return page


def test_s63_what_is_hidden_neither_wakes_a_watch_nor_fills_its_page() -> None:
    world = EveWorld()
    since = here(world).position
    world.speaker = EVE
    mark = world.send(N1, watches(world, "", since))
    world.run(50)
    world.freezes(*HIDDEN)
    assert world.answers[mark] == []
    world.freezes("open/a")
    [page] = world.answers[mark]
    assert isinstance(page, WatchPage) and keys(page) == ["open/a"]
    world.freezes(*HIDDEN, "open/b")
    following = world.eve(watches(world, "", page.position))
    assert isinstance(following, WatchPage) and keys(following) == ["open/b"]


def test_s63_a_watch_is_parked_under_what_may_be_read() -> None:
    world = EveWorld()
    since = here(world).position
    world.speaker = EVE
    world.send(N1, watches(world, "", since))
    world.run(50)
    assert set(world.replica(N1).parts.watches.parked) == {"open", "more/open"}


def test_s63_a_watch_of_very_many_prefixes_is_parked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decreed.registry.replica.feed.watches.MAX_PARKED", 1)
    world = EveWorld()
    since = here(world).position
    world.speaker = EVE
    mark = world.send(N1, watches(world, "", since))
    world.run(50)
    assert set(world.replica(N1).parts.watches.parked) == {""}
    world.freezes(*HIDDEN)
    assert world.answers[mark] == []
    world.freezes("open/a")
    [page] = world.answers[mark]
    assert isinstance(page, WatchPage) and keys(page) == ["open/a"]


def test_s63_what_is_read_from_the_feed_is_filtered_too() -> None:
    world = EveWorld()
    since = here(world).position
    world.freezes("hidden/a", "open/a", "opened", "open/b")
    page = world.eve(watches(world, "", since))
    assert isinstance(page, WatchPage) and keys(page) == ["open/a", "open/b"]
    first = world.eve(watches(world, "", since, limit=1))
    assert isinstance(first, WatchPage) and keys(first) == ["open/a"]
    rest = world.eve(watches(world, "", first.position))
    assert isinstance(rest, WatchPage) and keys(rest) == ["open/b"]


def test_s18_a_policy_applies_to_the_decrees_that_a_parked_watch_is_told_of() -> None:
    world = EveWorld()
    since = here(world).position
    world.speaker = EVE
    mark = world.send(N1, watches(world, "", since))
    world.run(50)
    world.decide(N2, 2, document({"on": "hidden", "may": ["read"]}))
    world.freezes("open/a")
    assert world.answers[mark] == []
    world.freezes("hidden/a")
    [page] = world.answers[mark]
    assert isinstance(page, WatchPage) and keys(page) == ["hidden/a"]


def newer(*grants: dict[str, Any]) -> FromPeer:
    """A commit of policy 2."""
    made = claim_of(1, encode(read(document(*grants))), "alice", b"x")
    decree = Decree.of(made, Ballot.first(Process(N2, 9)), 0)
    return FromPeer(N2, Commit(policy_key(2), decree))


def committed(world: EveWorld, key: str) -> FromPeer:
    """A commit of a key."""
    decree = Decree.of(claims(world, key).claim, Ballot.first(Process(N2, 9)), 0)
    return FromPeer(N2, Commit(decree.key, decree))


@pytest.mark.parametrize("is_first", [True, False])
def test_s18_in_the_step_in_which_a_policy_is_learned_a_watch_is_judged_by_it(
    is_first: bool,
) -> None:
    world = EveWorld()
    since = here(world).position
    step(world, N1, FromClient(9, (watches(world, "", since),), EVE))
    events = [newer({"on": "more", "may": ["read"]}), committed(world, "open/a")]
    effects = step(world, N1, *(events if is_first else reversed(events)))
    assert not [item for item in effects.at_once if isinstance(item, Reply)]
    shown = step(world, N1, committed(world, "more/b"))
    [page] = [item.answer for item in shown.at_once if isinstance(item, Reply)]
    assert isinstance(page, WatchPage) and keys(page) == ["more/b"]


def test_s18_what_a_policy_of_the_step_shows_is_not_missed_in_what_was_read_before() -> None:
    """The records were loaded by what the policy before has shown."""
    world = EveWorld()
    since = here(world).position
    world.freezes("hidden/a", "open/a")
    storage = world.machines[N1].storage
    assert storage is not None
    begun = step(world, N1, FromClient(9, (watches(world, "", since),), EVE))
    [asked] = of_kind(begun.reads, ReadFeed)
    assert isinstance(asked, ReadFeed)
    found = look_up(storage, asked)
    assert isinstance(found, FeedDone)
    both = step(world, N1, newer(*READ_MORE), found)
    [again] = of_kind(both.reads, ReadFeed)
    assert isinstance(again, ReadFeed) and again.start == asked.start
    shown = step(world, N1, look_up(storage, again))
    [page] = [item.answer for item in shown.at_once if isinstance(item, Reply)]
    assert isinstance(page, WatchPage) and keys(page) == ["hidden/a", "open/a"]


def test_s18_what_waits_ends_when_its_token_expires() -> None:
    world = EveWorld()
    tokened = document()
    expires = "2023-11-14T22:13:50Z"  # half a minute after the world begins
    tokened["tokens"] = {"ci": {"sha256": "ab" * 32, "expires": expires}}
    tokened["members"]["token/ci"] = ["eve"]
    world.decide(N1, 2, tokened)
    position = world.at_entry(N1, world.replica(N1).node.feed_end)
    world.speaker = CI
    marks = [
        world.send(N1, waits(world, "open/k")),
        world.send(N1, watches(world, "", position)),
        world.send(N1, watches(world, "open", position)),
    ]
    world.run(20_000)
    assert [world.answers[mark] for mark in marks] == [[], [], []]
    world.run(15_000)
    for mark in marks:
        [denied] = world.answers[mark]
        assert code(denied) == Denied.code
    assert code(world.ask_as(CI, N1, lists(world, ""))) == Denied.code


# -- nothing is loaded


def test_s60_nothing_is_loaded_for_what_is_denied(full: EveWorld) -> None:
    replica = full.replica(N1)
    denied = (
        gets(full, "hidden/a"),
        claims(full, "hidden/a"),
        claims(full, "open/none"),
        locks(full, "hidden", "eve"),
        gets(full, "open/a"),
    )
    assert replica.needs([FromClient(9, denied, EVE)]) == {"open/none", "open/a"}


def test_s60_a_watch_loads_no_record_that_it_does_not_show(full: EveWorld) -> None:
    storage, replica = full.machines[N1].storage, full.replica(N1)
    assert storage is not None
    begun = step(full, N1, FromClient(9, (watches(full, "", full.at_entry(N1, 0)),), EVE))
    [asked] = of_kind(begun.reads, ReadFeed)
    assert isinstance(asked, ReadFeed)
    assert replica.needs([look_up(storage, asked)]) == set(SHOWN)


def test_s60_what_a_policy_of_the_step_lets_begin_is_loaded_in_the_next() -> None:
    world = EveWorld()
    world.freezes("hidden/a")
    asked = FromClient(9, (gets(world, "hidden/a"),), EVE)
    effects = step(world, N1, newer(*READ_MORE), asked)
    assert effects.again == [asked] and not of_kind(said(effects), Failed)
    [answer] = [i.answer for i in step(world, N1, asked).at_once if isinstance(i, Reply)]
    assert not isinstance(answer, Failed)


@pytest.mark.parametrize("prefix", ["$policy", "$members"])
def test_s20_an_administrator_lists_and_watches_what_is_for_administrators(prefix: str) -> None:
    world = EveWorld()
    world.change(N1, N1, N2, N3)
    number = 2 if prefix == "$policy" else 1
    if number == 2:
        world.decide(N2, 2, document())
    every = [slot_key(prefix, each) for each in range(1, number + 1)]
    page = world.ask_as(ALICE, N1, lists(world, prefix))
    assert isinstance(page, ListPage) and keys(page) == every
    start = world.ask_as(ALICE, N1, watches(world, prefix, None))
    assert isinstance(start, WatchPage)
    beginning = replace(start.position, index=0)
    page = world.ask_as(ALICE, N1, watches(world, prefix, beginning))
    assert isinstance(page, WatchPage) and keys(page)[: len(every)] == every
    for asked in (lists(world, prefix), watches(world, prefix, beginning)):
        assert code(world.eve(asked)) == Denied.code


def test_s18_who_is_no_administrator_any_more_watches_no_policies() -> None:
    world = EveWorld()
    start = world.ask_as(ALICE, N1, watches(world, "$policy", None))
    assert isinstance(start, WatchPage)
    world.speaker = ALICE
    mark = world.send(N1, watches(world, "$policy", start.position))
    world.run(100)
    without = document()
    without["members"] = {"client/bob": ["ops"]}
    world.decide(N2, 2, without)
    [answer] = world.answers[mark]
    assert code(answer) == Denied.code
