"""Interleavings that break changes of members if one rule is left out, written out on the pure rules.

Each was found on paper, or by a checker, in an earlier form of the rules. The nodes here run the
shipped values: seats, series, gathering, adopting. Feeds are lists, and a crash takes what a test says.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from decreed.registry.paxos import acceptor, epochs
from decreed.registry.paxos.epochs import Epoch, Gathering, Page, Seat
from decreed.registry.paxos.instance import EMPTY, Instance
from decreed.registry.paxos.learner import learn
from decreed.registry.paxos.messages import Accept, Accepted
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal

from ..support.world import claim


@dataclass
class Node:
    """One node: what it holds for each key, its feed, and how far it has read others'.

    Attributes:
        feed: the keys that it learned; None where an entry was deleted.
    """

    name: NodeId
    seat: Seat = field(default_factory=lambda: Seat(0, None))
    held: dict[Key, Instance] = field(default_factory=dict[Key, Instance])
    feed: list[Key | None] = field(default_factory=list[Key | None])
    cursors: dict[NodeId, int] = field(default_factory=dict[NodeId, int])
    gathering: Gathering | None = None
    life: int = 1

    def instance(self, key: Key) -> Instance:
        return self.held.get(key, EMPTY)

    def learn(self, decree: Decree) -> None:
        if self.instance(decree.key).learned is None:
            self.feed.append(decree.key)
        self.held[decree.key] = learn(self.instance(decree.key), decree)


class Cluster:
    """Nodes, and the voters of each epoch: their names, one letter each, and the quorum sizes."""

    def __init__(self, *sets: tuple[str, int, int]) -> None:
        self.epochs = [_epoch(number, *each) for number, each in enumerate(sets)]
        names = dict.fromkeys(name for each, _, _ in sets for name in each)
        self.nodes = {name: Node(NodeId(name)) for name in names}
        for name in sets[0][0]:
            self.nodes[name].seat = Seat()

    def votes(self, name: str, epoch: int) -> bool:
        """M04."""
        return self.nodes[name].seat.votes_in(epoch) and name in self.epochs[epoch].nodes

    def choose(self, key: str, voters: str, epoch: int, learners: str = "") -> Decree:
        """An accept quorum accepts one value, and some nodes learn that it is chosen."""
        ballot = Ballot.first(Process(NodeId(voters[0]), 1), epoch)
        decree = Decree.of(claim(key, key.encode()), ballot, 0)
        for name in voters:
            assert self.votes(name, epoch), f"{name} does not vote in {epoch}"
            node = self.nodes[name]
            node.held[decree.key], answer = acceptor.on_accept(
                node.instance(decree.key), Accept(decree.key, ballot, decree)
            )
            assert isinstance(answer, Accepted)
        assert self.epochs[epoch].quorums.accepted(voters)
        for name in learners:
            self.nodes[name].learn(decree)
        return decree

    def seal(self, names: str, known: int) -> None:
        """M05, and the beginning of taking over."""
        for name in names:
            node = self.nodes[name]
            node.seat = node.seat.sealed(known)
            node.gathering = Gathering(self.epochs[known - 1])
            if name in self.epochs[known - 1].nodes:
                node.gathering = node.gathering.with_own(node.name, node.life)

    def page(self, source: str, after: str | None = None, upto: str | None = None) -> "Shown":
        """M06: a page of a source, up to the key `upto` if more follows."""
        node = self.nodes[source]
        whole = node.seat.ready == node.seat.known
        first = Key(after) if after is not None else None
        keys = [key for key in sorted(node.held) if after is None or key > after]
        keys = [key for key in keys if upto is None or key <= upto]
        shown = {key: node.held[key] for key in keys}
        page = Page(first, whole, Key(upto) if upto is not None else None, len(node.feed))
        return Shown(node.name, node.life, page, shown)

    def take(self, name: str, shown: "Shown") -> None:
        """M07 for a page that has come, if it is the one that is awaited."""
        node = self.nodes[name]
        assert node.gathering is not None
        before = node.gathering
        node.gathering = before.with_page(shown.source, shown.life, shown.page)
        if shown.page.after == before.awaited(shown.source, shown.life):
            for key, instance in shown.held.items():
                if instance.accepted is not None and instance.learned is None:
                    node.held[key] = epochs.adopt(node.instance(key), instance.accepted)

    def read(self, name: str, source: str, upto: int) -> None:
        """Read a feed; a page with fewer keys than positions shows a gap (M08)."""
        node, feed = self.nodes[name], self.nodes[source].feed
        start = node.cursors.get(NodeId(source), 0)
        for key in feed[start:upto]:
            decree = self.nodes[source].held[key].learned if key is not None else None
            if decree is not None:
                node.learn(decree)
        node.cursors[NodeId(source)] = max(start, upto)
        if None in feed[start:upto]:
            assert node.gathering is not None
            node.gathering = node.gathering.after_gap(NodeId(source), len(feed))

    def take_all(self, name: str, *sources: str) -> None:
        """Whole series, and the feeds as far as they say."""
        for source in sources:
            shown = self.page(source)
            self.take(name, shown)
            self.read(name, source, shown.page.feed_end)

    def is_ready(self, name: str) -> bool:
        """M09: become ready if enough is taken."""
        node = self.nodes[name]
        assert node.gathering is not None
        if node.gathering.is_ready(node.cursors):
            node.seat = node.seat.taken()
        return node.seat.ready == node.seat.known

    def blank(self, key: str, epoch: int) -> bool:
        """Whether a prepare quorum would say that nothing is there."""
        said = [
            name
            for name, node in self.nodes.items()
            if self.votes(name, epoch) and node.instance(Key(key)) == EMPTY
        ]
        return self.epochs[epoch].quorums.prepared(said)


@dataclass
class Shown:
    """A page on its way, with what it shows."""

    source: NodeId
    life: int
    page: Page
    held: dict[Key, Instance]


def _epoch(number: int, names: str, prepare: int, accept: int) -> Epoch:
    members = tuple(NodeId(name) for name in sorted(names))
    disks = tuple(name.encode() * 16 for name in members)
    return Epoch(number, Quorums(members, prepare, accept), disks)


def test_M01_M09_one_source_fewer_than_a_seal_quorum_misses_what_was_chosen() -> None:
    """a was not asked for its vote. Alone it is no seal quorum, and with b it knows the value."""
    cluster = Cluster(("abc", 2, 2), ("ajl", 2, 2))
    cluster.choose("k", "bc", 0)
    cluster.seal("abcjl", 1)
    assert not cluster.is_ready("a")
    cluster.take_all("a", "b")
    assert cluster.is_ready("a") and not cluster.blank("k", 1)


def test_M05_who_has_sealed_gives_no_vote_that_a_source_did_not_show() -> None:
    cluster = Cluster(("abc", 2, 2), ("abj", 2, 2))
    cluster.seal("a", 1)
    assert not cluster.votes("a", 0)


def test_M17_a_cursor_that_was_moved_to_a_base_would_lose_a_decree_for_the_next_epoch() -> None:
    """p learns k before it is ready for 1: k stands below its base, and H must read it nevertheless."""
    cluster = Cluster(("Hpqrs", 3, 3), ("Hpqrs", 3, 3), ("H", 1, 1))
    cluster.seal("Hpqrs", 1)
    for name in "Hqrs":
        cluster.take_all(name, *[other for other in "Hqrs" if other != name])
        assert cluster.is_ready(name)
    decree = cluster.choose("k", "qrs", 1, learners="qrs")
    cluster.nodes["p"].learn(decree)
    cluster.take_all("p", "q", "r")
    assert cluster.is_ready("p")
    base = len(cluster.nodes["p"].feed)
    cluster.seal("Hp", 2)
    cluster.seal("qr", 2)
    cluster.take_all("p", "q", "r")
    assert cluster.is_ready("p")
    cluster.take("H", cluster.page("p"))
    assert base == 1 and not cluster.is_ready("H"), "p's feed is not read, wherever its base is"
    cluster.read("H", "p", base)
    assert cluster.is_ready("H") and not cluster.blank("k", 2)


def test_M08_a_gap_in_a_feed_is_followed_to_the_floor_that_made_it() -> None:
    """Term 10 was chosen by a, d and x; a shows nothing half-done, and forgets it after its page."""
    cluster = Cluster(("abcdx", 3, 3), ("bIJ", 2, 2))
    cluster.choose("l@10", "adx", 0, learners="adx")
    cluster.seal("a", 1)
    shown = cluster.page("a")
    a = cluster.nodes["a"]
    for term in ("l@11", "l@12", "l@13"):
        a.learn(cluster.choose(term, "bcd", 0))
    a.feed[:3] = [None, None, None]  # the floor stands at the end of the feed
    a.feed.append(Key("floor"))
    a.held[Key("floor")] = EMPTY
    cluster.seal("bcIJ", 1)
    cluster.take("J", shown)
    cluster.read("J", "a", shown.page.feed_end)
    cluster.take_all("J", "b", "c")
    assert not cluster.is_ready("J"), "what deleted the entry is not read yet"
    cluster.read("J", "a", len(a.feed))
    assert cluster.is_ready("J")


def test_M06_a_page_for_another_question_does_not_end_a_series() -> None:
    """The last page of an earlier try is slow; the new try begins again, and the late page comes."""
    cluster = Cluster(("abc", 2, 2), ("bJI", 2, 2))
    cluster.choose("k1", "ac", 0)
    cluster.choose("k2", "ac", 0)
    cluster.seal("abcJI", 1)
    late = cluster.page("a", after="k1")
    cluster.take("J", late)
    cluster.take_all("J", "b")
    assert not cluster.is_ready("J"), "the page with k1 is missing"
    cluster.take_all("J", "a")
    assert cluster.is_ready("J") and cluster.nodes["J"].instance(Key("k1")) != EMPTY


def test_M09_a_source_that_becomes_ready_between_its_pages_is_not_whole() -> None:
    cluster = Cluster(("abc", 2, 2), ("JIb", 2, 2))
    cluster.choose("k", "ac", 0)
    cluster.choose("z", "ab", 0)
    cluster.seal("abcJI", 1)
    first = cluster.page("b", upto="m")
    cluster.take_all("b", "a")
    assert cluster.is_ready("b")
    cluster.take("J", first)
    cluster.take("J", cluster.page("b", after="m"))
    assert not cluster.is_ready("J"), "b showed its first keys before it had adopted k"
    cluster.take_all("J", "a")
    assert cluster.is_ready("J") and cluster.nodes["J"].instance(Key("k")) != EMPTY


def test_M06_another_life_of_a_source_begins_its_series_again() -> None:
    """a learned k, and its page left before that was durable: after the crash k is half-done again."""
    cluster = Cluster(("abc", 2, 2), ("JIb", 2, 2))
    decree = cluster.choose("k", "ac", 0)
    cluster.choose("l", "ac", 0)
    cluster.seal("abcJI", 1)
    a = cluster.nodes["a"]
    half_done = dict(a.held)
    a.learn(decree)
    cluster.take("J", cluster.page("a", upto="k"))
    a.held, a.feed, a.life = half_done, [], 2
    cluster.take("J", cluster.page("a", after="k"))
    cluster.take_all("J", "b")
    assert not cluster.is_ready("J")
    cluster.take_all("J", "a")
    assert cluster.is_ready("J") and cluster.nodes["J"].instance(Key("k")) != EMPTY


def test_M02_an_old_ballot_with_a_high_round_does_not_beat_one_of_a_later_epoch() -> None:
    ballot = Ballot.first(Process(NodeId("a"), 1), 1)
    decree = Decree.of(claim("k"), ballot, 0)
    held = epochs.adopt(EMPTY, proposed(decree, ballot))
    old = Ballot(999, Process(NodeId("z"), 9))
    late = replace(decree, value=b"late", ballot=old)
    assert epochs.adopt(held, proposed(late, old)) == held


def proposed(decree: Decree, ballot: Ballot) -> Proposal:
    """A proposal of a decree in a ballot."""
    return Proposal(ballot, decree)
