"""Messages about a step's own changes wait for the disk, and feeds are served and read exactly."""

from hashlib import blake2b

import msgspec
import pytest
from msgspec.structs import replace

from decreed.registry.errors import Damaged
from decreed.registry.paxos.messages import Accept, Commit
from decreed.registry.replica.step.disk_reads import FeedDone
from decreed.registry.replica.step.effects import Reply, Send, UseLink
from decreed.registry.replica.step.events import Event, FromClient, FromPeer, Welcomed
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, decree_digest
from decreed.registry.wire.handshake import Incarnation
from decreed.registry.wire.peers import (
    FeedPage,
    Fetch,
    PeerMessage,
    Pull,
    Query,
    QueryAnswer,
    ScanAnswer,
)
from decreed.registry.wire.requests import (
    Failed,
    GetRequest,
    ListPage,
    ListRequest,
    WatchPage,
    WatchRequest,
)
from decreed.storage.layout import instance_key

from ...support.world import World, claim, config

KEY = Key("k")
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
DECREE = Decree.of(claim(KEY), Ballot(5, Process(N2, 1)), 0)
LEARN = FromPeer(N2, Commit(KEY, DECREE))
ACCEPT = FromPeer(N2, Accept(KEY, DECREE.ballot, DECREE))


def everything(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return True


def nothing(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return False


@pytest.mark.parametrize(
    ("before", "question"),
    [
        (LEARN, FromPeer(N2, Fetch((KEY,)))),
        (LEARN, FromPeer(N2, Query(7, (KEY,)))),
        (ACCEPT, FromPeer(N2, Query(7, (KEY,)))),
        (LEARN, ACCEPT),
    ],
    ids=["fetch", "query", "query of an acceptance", "accept"],
)
def test_a_change_of_this_step_is_reported_after_its_record(before: Event, question: Event) -> None:
    world = World()
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    events = [before, question]
    effects = replica.step(world.moment(), events, storage.load(replica.needs(events)))
    assert effects.records
    told = [item for item in effects.at_once if isinstance(item, Reply | Send)]
    assert not told
    assert effects.after


def test_a_decree_is_sent_before_its_record_is_synced_since_it_is_chosen() -> None:
    world = World()
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    events: list[Event] = [LEARN, FromClient(1, (GetRequest(1, 500, KEY),))]
    effects = replica.step(world.moment(), events, storage.load(replica.needs(events)))
    assert [item.answer for item in effects.at_once if isinstance(item, Reply)]
    assert effects.records and not effects.sync


def test_no_peer_is_sent_a_feed_entry_that_is_not_durable() -> None:
    world = World()
    world.freeze("n1", "earlier")
    world.run(1_000)
    world.crash(N1)  # so that what came before is read from the disk
    world.boot(N1)
    world.run(1_000)
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    before = replica.membership.identity().feed_end
    effects = replica.step(world.moment(), [LEARN], storage.load((KEY,)))
    storage.write(effects.records, sync=effects.sync)
    assert replica.node.feed_end == before + 1
    assert replica.membership.identity().feed_end == before
    pull = FromPeer(N2, Pull(replica.node.identity.disk_id, 0, 10))
    (read,) = replica.step(world.moment(), [pull], {}).reads
    entries, end = storage.feed(0, 10)
    page = replica.step(world.moment(), [FeedDone(read.token, tuple(entries), end)], {})
    assert page.sync and [item for item in page.after if isinstance(item, Send)]
    storage.write(page.records, sync=page.sync)
    replica.step(world.moment(), [], {})
    assert replica.membership.identity().feed_end == before + 1


def test_a_feed_is_served_only_for_this_disk_and_existing_positions() -> None:
    world = World()
    world.freeze("n1", KEY)
    world.run(1_000)
    disk_id = world.replica(N1).node.identity.disk_id
    world.sent.clear()
    for pull in (Pull(b"another disk is!", 0, 10), Pull(disk_id, 2, 10)):
        world.post(N1, FromPeer(N2, pull))
    world.settle()
    assert not [m for _, _, m in world.sent if isinstance(m, FeedPage)]
    world.post(N1, FromPeer(N2, Pull(disk_id, 0, 10)))
    world.settle()
    assert [m.next_start for _, _, m in world.sent if isinstance(m, FeedPage)] == [1]


def test_a_page_from_elsewhere_in_the_feed_moves_no_cursor() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, FeedPage | Commit)
    world.claim("n1", claim("k"), here=True)
    world.run(300)
    catchup, disk_id = world.replica(N3).catchup, world.replica(N1).node.identity.disk_id
    before = catchup.cursor(N1)
    assert N1 in world.replica(N3).pending_work()["pulling"]
    world.post(N3, FromPeer(N1, FeedPage(disk_id, before + 5, before + 6, before + 6, (), b"")))
    world.settle()
    assert catchup.cursor(N1) == before


def test_a_list_needs_no_own_disk_if_the_others_are_a_quorum() -> None:
    world = World()
    world.freeze("n2", KEY)
    world.run(1_000)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.lose = lambda sender, to, message: isinstance(message, ScanAnswer) and sender == N3
    mark = world.send(N1, ListRequest(world.new_id(), 5_000, "", "", 10))
    world.settle()
    assert any("damaged" in alarm for alarm in world.alarms)
    assert not world.answers[mark], "one node beside this one is no quorum"
    world.lose = nothing
    world.run(4_000)
    (page,) = world.answers[mark]
    assert isinstance(page, ListPage) and [d.key for d in page.decrees] == [KEY]


def test_a_list_fails_if_the_own_disk_is_needed_and_cannot_be_read() -> None:
    world = World(config(3, prepare=3, accept=1))
    world.freeze("n2", KEY)
    world.run(1_000)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    answer = world.ask(N1, ListRequest(world.new_id(), 5_000, "", "", 10))
    assert isinstance(answer, Failed) and answer.code == Damaged.code


def test_an_answer_reports_what_is_accepted_and_what_is_learned() -> None:
    world = World()
    world.post(N1, ACCEPT)
    world.settle()
    world.sent.clear()
    world.post(N1, FromPeer(N2, Query(7, (KEY,))))
    world.post(N1, FromPeer(N2, Query(8, (Key("another"),))))
    world.settle()
    said = [m for _, _, m in world.sent if isinstance(m, QueryAnswer)]
    assert said == [QueryAnswer(7, accepted=(KEY,)), QueryAnswer(8)]


def test_a_link_is_used_only_after_its_peer_is_recorded() -> None:
    world = World()
    replica, identity = world.replica(N1), world.replica(N2).membership.identity()
    shown = replace(
        identity, incarnation=identity.incarnation + 1, nonce=b"another incarnation...."
    )
    past = Incarnation(identity.incarnation, identity.nonce)
    key = world.replica(N2).node.identity.signing_key
    assert key is not None
    effects = replica.step(world.moment(), [Welcomed(4711, shown, past, key)], {})
    assert effects.records and not effects.at_once
    assert [item for item in effects.after if isinstance(item, UseLink)]


def test_a_watch_gets_a_decree_before_its_record_is_synced_since_it_is_chosen() -> None:
    world = World()
    replica, storage = world.replica(N1), world.machines[N1].storage
    assert storage is not None
    identity = replica.node.identity
    since = world.at_entry(identity.node, 0)
    world.send(N1, WatchRequest(world.new_id(), 5_000, "", since, 10))
    world.settle()
    effects = replica.step(world.moment(), [LEARN], storage.load(replica.needs([LEARN])))
    pages = [item.answer for item in effects.at_once if isinstance(item, Reply)]
    assert [isinstance(page, WatchPage) and page.decrees for page in pages] == [(DECREE,)]
    assert effects.records and not effects.sync


def test_decrees_that_differ_in_any_field_have_different_digests() -> None:
    changes: list[dict[str, object]] = [
        {"value": b"w"},
        {"content_type": "text/html"},
        {"claimant": "another"},
        {"claim_id": b"another"},
        {"note": "a note"},
        {"time_ms": 1},
        {"ballot": Ballot(6, Process(N2, 1))},
    ]
    digests = {decree_digest(replace(DECREE, **change)) for change in changes}
    assert len(digests | {decree_digest(DECREE)}) == len(changes) + 1


def test_a_digest_is_the_one_that_the_protocol_specifies() -> None:
    texts = [DECREE.content_type, DECREE.claimant, DECREE.claim_id, DECREE.note]
    plain = msgspec.msgpack.encode(["k", DECREE.value, *texts, 0, [5, ["n2", 1]]])
    assert decree_digest(DECREE) == blake2b(plain, digest_size=16).digest()
