"""M18: what is withheld is shown later, and released then; a decree that nobody can read has a name."""

import pytest
from msgspec.structs import replace

from decreed.registry.disk import CursorRecord, InstanceRecord, WithheldRecord
from decreed.registry.errors import Damaged
from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.messages import Accept, Commit, Prepare, Promise
from decreed.registry.replica.step.events import FromClient, FromPeer
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process, Proposal, decree_digest
from decreed.registry.wire.members import MembersReport, MembersRequest, Role
from decreed.registry.wire.peers import AskState, FeedPage, Fetched, ScanAnswer, StatePage
from decreed.registry.wire.requests import Decreed, Failed, GetRequest, StatusRequest
from decreed.registry.wire.status import StatusReport
from decreed.storage.layout import instance_key

from ...support.changed import N1, N2, N3, N4, decree_of, of_kind, said, step
from ...support.changing import ChangingWorld
from ...support.scrubbed import scrub
from ...support.world import stored
from .test_withholding import BALLOT, DECREE, KEY, half_done, is_withheld, withheld

LONG_MS = 20_000


def read(world: ChangingWorld, node: NodeId) -> object:
    return world.ask(node, GetRequest(world.new_id(), 5_000, KEY))


def shown_by(
    world: ChangingWorld, node: NodeId, *, named: bool = False, whole: bool = False
) -> StatePage:
    """The page with which a node answers the question that n4 has open for what it withholds."""
    token = world.replica(N4).parts.releasing.token
    end = world.replica(N4).parts.catchup.cursor(node)
    names = (KEY,) if named else ()
    shown = () if named else (Proposal(BALLOT, DECREE),)
    return StatePage(token, 1, None, 1, whole, shown, names, None, end)


def asking() -> ChangingWorld:
    """n2 and n4 withhold the key, and n4 has asked again; no page of a node arrives by itself."""
    world = withheld()
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    before = world.replica(N4).parts.releasing.token
    world.run(10 * world.config.timing.finish_ms)
    assert world.replica(N4).parts.releasing.token > before, "it has begun again"
    return world


def released_by(world: ChangingWorld, *pages: tuple[NodeId, StatePage]) -> bool:
    """Whether n4 releases the key after these pages, in the steps that they make."""
    effects = step(world, N4, *(FromPeer(node, page) for node, page in pages))
    effects = step(world, N4, *effects.again)
    return any(isinstance(each, InstanceRecord) and each.key == KEY for each in effects.records)


# ---- sound pages that come later ----


def test_M18_a_voter_of_the_epoch_before_that_comes_back_shows_what_was_withheld() -> None:
    """KEY was chosen by n1, whose record is damaged, and n3, which was off."""
    world = withheld()
    world.run(2_000)
    assert is_withheld(world, N2) and is_withheld(world, N4)
    world.boot(N3)
    world.run(LONG_MS)
    for node in (N2, N4):
        assert stored(world, node, KEY).learned == DECREE
        answer = read(world, node)
        assert isinstance(answer, Decreed) and answer.decree == DECREE
        assert "withheld" not in world.replica(node).pending_work()
    assert world.alarms == [alarm for alarm in world.alarms if "nobody could show" in alarm]


def test_R14_what_is_released_is_durable_before_anything_relies_on_it() -> None:
    """The node is ready, so it votes on the key from the next step on."""
    world = asking()
    pages = [(node, shown_by(world, node)) for node in (N1, N3)]
    first = step(world, N4, *(FromPeer(node, page) for node, page in pages))
    released = step(world, N4, *first.again)
    assert any(isinstance(each, InstanceRecord) and each.key == KEY for each in released.records)
    assert released.sync


def test_M18_it_comes_back_after_a_restart_of_those_who_withhold() -> None:
    world = withheld()
    for node in (N2, N4):
        world.crash(node)
    for node in (N2, N4):
        world.boot(node)
    world.boot(N3)
    world.run(LONG_MS)
    assert all(stored(world, node, KEY).learned == DECREE for node in (N2, N4))


def test_M18_what_nobody_accepted_is_released_and_may_be_claimed() -> None:
    """n1 alone had accepted something, which was not chosen. n2 and n3 show that they have nothing."""
    world = half_done(N1)
    world.crash(N3)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.change(N1, N1, N2, N4)
    assert is_withheld(world, N2) and is_withheld(world, N4)
    world.boot(N3)
    world.run(LONG_MS)
    assert not is_withheld(world, N2) and not is_withheld(world, N4)
    assert world.freeze(N4, KEY, b"new").decree.value == b"new"


def test_M18_what_is_accepted_after_a_release_outlives_a_restart() -> None:
    """The row of the silence is an empty one then; an acceptance must not be kept under it."""
    world = half_done(N1)
    world.crash(N3)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.change(N1, N1, N2, N4)
    world.boot(N3)
    world.run(LONG_MS)
    world.lose = lambda *_: True
    ballot = Ballot.first(Process(N2, 9), 1)
    accept = Accept(KEY, ballot, decree_of(KEY, ballot, b"short"))
    world.post(N4, FromPeer(N2, accept))
    world.settle()
    world.crash(N4)
    world.boot(N4)
    held = stored(world, N4, KEY).accepted
    assert held is not None and held.decree == accept.decree


@pytest.mark.parametrize(
    ("sources", "released"),
    [
        (((N3, False, False),), False),
        (((N3, False, False), (N2, False, False)), True),
        (((N3, False, False), (N1, True, False)), False),
        (((N2, False, True),), True),
        (((N2, True, True),), False),
        (((N2, True, True), (N3, False, False)), False),
    ],
    ids=["one", "two", "one that names it", "whole", "whole that names it", "one beside a whole"],
)
def test_M18_a_seal_quorum_of_sound_pages_or_one_sound_whole_one_releases(
    sources: tuple[tuple[NodeId, bool, bool], ...], released: bool
) -> None:
    world = asking()
    pages = [(n, shown_by(world, n, named=named, whole=whole)) for n, named, whole in sources]
    assert released_by(world, *pages) is released


def test_M18_a_whole_page_of_a_node_that_withholds_the_key_too_is_not_whole_for_it() -> None:
    """It shows what it holds itself, so it counts for one."""
    world = asking()
    own = replace(shown_by(world, N2, whole=True), proposals=(), withheld=(KEY,))
    assert not released_by(world, (N2, own))
    assert released_by(world, (N3, shown_by(world, N3)))


def test_M18_a_node_that_withholds_shows_what_it_holds_itself() -> None:
    """n3 comes back, and takes a page over that names the key: it must not hide what it accepted."""
    world = withheld()
    world.lose = lambda sender, _, message: isinstance(message, StatePage) and sender != N1
    world.boot(N3)
    world.run(2_000)
    assert is_withheld(world, N3)
    [page] = of_kind(said(step(world, N3, FromPeer(N2, AskState(1, 1, None)))), StatePage)
    assert isinstance(page, StatePage)
    assert (page.proposals, page.unreadable, page.withheld) == (
        (Proposal(BALLOT, DECREE),),
        (),
        (KEY,),
    )


def test_M18_a_page_counts_only_when_its_senders_feed_is_read() -> None:
    world = asking()
    ahead = shown_by(world, N2, whole=True)
    later = replace(ahead, feed_end=ahead.feed_end + 1)
    assert not released_by(world, (N2, later))


def test_M08_a_late_page_of_a_directory_that_was_replaced_releases_nothing() -> None:
    """The feed that is read under its name is another one."""
    world = asking()
    pages = [(node, shown_by(world, node)) for node in (N2, N3)]
    world.replica(N4).parts.releasing.on_replaced(world.builder(), N3)
    assert not released_by(world, *pages)


def test_M18_the_own_state_counts_only_for_the_epoch_in_which_it_was_withheld() -> None:
    """With P = A = 3 one source is enough, and n2, which withholds since epoch 1, is none for it."""
    world = half_done(N1, N3)
    world.crash(N3)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.change(N1, N1, N2, N4, prepare=3, accept=3)
    assert is_withheld(world, N2)
    world.change(N1, N1, N2, N4, prepare=2, accept=2)
    world.run(LONG_MS)
    assert world.replica(N2).node.seat.ready == 2
    assert is_withheld(world, N2) and is_withheld(world, N4)


def test_M18_what_was_learned_here_and_cannot_be_read_is_never_released_as_empty() -> None:
    """All have learned KEY. n1 has read n2's feed beyond it and n3's not, and its record is damaged."""
    world = ChangingWorld([N4])
    world.lose = lambda sender, to, _: to == N1 and sender == N3
    world.post(N2, FromPeer(N3, Commit(KEY, DECREE)))
    world.post(N3, FromPeer(N2, Commit(KEY, DECREE)))
    world.run(5_000)
    assert stored(world, N1, KEY).learned == DECREE
    assert (world.replica(N1).catchup.cursor(N2), world.replica(N1).catchup.cursor(N3)) == (1, 0)
    world.crash(N1)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.boot(N1)
    world.lose = lambda _, to, message: (
        to == N1 and isinstance(message, Fetched) and DECREE in message.decrees
    )
    world.run(5_000)
    assert world.replica(N1).catchup.passed_over() == {KEY}
    world.change(N1, N1, N2, N4)
    world.run(10_000)
    assert is_withheld(world, N1), "n2 and n4 have learned it, so their whole pages leave it out"
    world.lose = lambda _, to, message: to == N1 and isinstance(message, Fetched | ScanAnswer)
    scrub(world, N1)  # its own feed names the key, so this releases nothing either
    world.run(10_000)
    assert is_withheld(world, N1)
    world.change(N1, N1)
    read = world.ask(N1, GetRequest(world.new_id(), 1_000, KEY))
    assert isinstance(read, Failed) and read.code == Damaged.code
    world.lose = lambda *_: False
    world.run(10_000)
    assert stored(world, N1, KEY).learned == DECREE


def own_vote_unreadable() -> ChangingWorld:
    """n1 and n2 have accepted KEY, and nobody has learned it; n1 cannot read that, n4 replaces n3."""
    world = half_done(N1, N2)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.lose = lambda _, __, message: (
        isinstance(message, Prepare | Promise | Accept | Commit) and (message.key == KEY)
    )
    world.change(N1, N1, N2, N4)
    world.run(LONG_MS)
    return world


def test_M18_a_vote_that_cannot_be_read_is_released_once_a_scrub_has_read_the_whole_feed() -> None:
    """It was of an earlier epoch, and no decree: so n1 stands where any node stands that takes over."""
    world = own_vote_unreadable()
    assert is_withheld(world, N1) and not is_withheld(world, N4)
    assert scrub(world, N1).is_sound
    world.run(LONG_MS)
    held = stored(world, N1, KEY)
    assert held.accepted == Proposal(BALLOT, DECREE) and held.learned is None
    assert "withheld" not in world.replica(N1).pending_work()
    world.crash(N1)
    world.boot(N1)
    assert stored(world, N1, KEY) == held
    world.lose = lambda *_: False
    world.run(LONG_MS)
    assert all(stored(world, node, KEY).learned == DECREE for node in (N1, N2, N4))


def test_M18_what_a_scrub_has_seen_of_a_key_is_of_the_past_once_the_silence_ends() -> None:
    """The key may be learned, damaged and withheld again; then the next scrub is to be waited for."""
    world = withheld()
    withholding, builder = world.replica(N4).parts.withholding, world.builder()
    withholding.on_unnamed([KEY, Key("another")])
    assert withholding.was_never_learned(KEY)
    withholding.on_learned(builder, (DECREE,))
    assert not withholding.was_never_learned(KEY)
    withholding.on_unnamed([KEY])
    assert not withholding.was_never_learned(KEY), "it is not withheld"


def test_M18_its_own_unreadable_vote_is_no_page_for_the_node_that_releases() -> None:
    """Two voters of epoch 0 are needed, and n2 is one."""
    world = own_vote_unreadable()
    lost = world.lose
    world.lose = lambda s, to, message: isinstance(message, StatePage) or lost(s, to, message)
    scrub(world, N1)
    world.run(10 * world.config.timing.finish_ms)
    parts = world.replica(N1).parts

    def shows(node: NodeId) -> FromPeer:
        end, shown = parts.catchup.cursor(node), (Proposal(BALLOT, DECREE),)
        page = StatePage(parts.releasing.token, 1, None, 1, False, shown, (), None, end)
        return FromPeer(node, page)

    for node, releases in ((N2, False), (N3, True)):
        effects = step(world, N1, shows(node))
        records = step(world, N1, *effects.again).records
        assert any(isinstance(r, InstanceRecord) and r.key == KEY for r in records) is releases


# ---- decrees that nobody can read ----


def unreadable() -> ChangingWorld:
    """KEY was chosen by n1 and n3, and learned by n1, which cannot read it any more. n3 is off."""
    world = half_done(N1, N3)
    world.lose = lambda *_: True
    world.post(N1, FromPeer(N3, Commit(KEY, DECREE)))
    world.settle()
    world.crash(N3)
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.lose = lambda *_: False
    return world


def test_M18_a_decree_that_nobody_can_read_is_withheld_and_all_others_are_served() -> None:
    """n2 and n4 read n1's feed to take over; without a name for the key they would wait permanently."""
    world = unreadable()
    world.change(N1, N1, N2, N4)
    world.run(2_000)
    assert world.voters() == [N1, N2, N4]
    assert is_withheld(world, N2) and is_withheld(world, N4)
    assert world.freeze(N4, "other").decree.ballot.epoch == 1
    for node in (N2, N4):
        answer = read(world, node)
        assert isinstance(answer, Failed) and answer.code == Damaged.code
        assert "it is decided" in answer.message


def test_M18_the_cursor_moves_on_in_the_batch_of_the_silence() -> None:
    world = unreadable()
    world.lose = lambda _, to, message: (
        to == N4 and isinstance(message, Fetched) and KEY in message.unreadable
    )
    world.change(N1, N1, N2, N4, ms=500)
    assert world.replica(N4).catchup.cursor(N1) == 0
    effects = step(world, N4, FromPeer(N1, Fetched((), (KEY,))))
    [silence] = [each for each in effects.records if isinstance(each, WithheldRecord)]
    assert silence.digest == decree_digest(DECREE)
    assert any(isinstance(each, CursorRecord) and each.node == N1 for each in effects.records)
    assert effects.sync


def test_M18_no_page_releases_what_is_decided_but_a_proposal_with_its_digest_is_the_decree() -> (
    None
):
    world = unreadable()
    world.change(N1, N1, N2, N4)
    world.run(LONG_MS)
    assert is_withheld(world, N2) and is_withheld(world, N4), "pages of n1, n2 and n4 have come"
    world.boot(N3)
    world.run(LONG_MS)
    for node in (N2, N4):
        assert stored(world, node, KEY).learned == DECREE
        assert "withheld" not in world.replica(node).pending_work()


def test_M18_another_proposal_than_the_one_that_was_decided_does_not_end_the_silence() -> None:
    world = unreadable()
    world.change(N1, N1, N2, N4)
    world.run(2 * world.config.timing.finish_ms)
    other = Proposal(BALLOT, decree_of(KEY, BALLOT, b"other"))
    page = replace(shown_by(world, N3), proposals=(other,), whole=True)
    effects = step(world, N4, FromPeer(N3, page), FromPeer(N2, replace(page, feed_end=0)))
    effects = step(world, N4, *effects.again)
    assert (effects.records, effects.alarms) == ([], []), "it is not taken for a decree"
    assert is_withheld(world, N4)


def test_M18_a_node_that_votes_withholds_nothing_and_asks_the_others() -> None:
    """Its own vote is as good as before, and with n3's it may decide the key."""
    world = ChangingWorld()
    world.lose = lambda sender, to, message: (
        to == N2
        and (isinstance(message, Commit) or (sender == N3 and isinstance(message, FeedPage)))
    )
    for node in (N1, N3):
        world.post(node, FromPeer(N3, Commit(KEY, DECREE)))
    world.settle()
    world.machines[N1].disk.flip(instance_key(KEY), 9)
    world.run(5_000)
    assert stored(world, N2, KEY).learned == DECREE
    assert world.replica(N2).catchup.cursor(N1) == 1

    lonely = unreadable()
    lonely.run(5_000)
    assert not is_withheld(lonely, N2)
    assert lonely.replica(N2).catchup.cursor(N1) == 0


# ---- what is said of it ----


def test_M18_the_report_and_the_status_say_how_many_keys_are_withheld() -> None:
    world = withheld()
    for settled in (False, True):
        report = world.ask(N1, MembersRequest(world.new_id(), 5_000))
        assert isinstance(report, MembersReport)
        counts = {seat.node: seat.withheld for seat in report.of(Role.VOTER)}
        assert counts == {N1: 0, N2: 0 if settled else 1, N4: 0 if settled else 1}
        assert report.is_settled is settled
        status = world.ask(N4, StatusRequest(world.new_id()))
        assert isinstance(status, StatusReport) and status.withheld == counts[N4]
        world.boot(N3) if not settled else None
        world.run(LONG_MS)


def test_M18_a_node_that_withholds_does_not_leave_the_voters_of_the_epoch_before() -> None:
    world = withheld()
    world.meet()
    world.run(2_000)
    assert N3 in world.replica(N2).node.sources and N3 in world.replica(N4).node.sources
    assert N3 not in world.replica(N1).node.sources
    world.boot(N3)
    world.run(LONG_MS)
    assert N3 not in world.replica(N2).node.sources


def test_a_report_in_the_step_that_seals_an_epoch_is_made() -> None:
    world = ChangingWorld([N4])
    before = world.replica(N1).node.epoch
    change = MembersChange(world.epoch(1, N1, N2, N4), before, ("a:1",) * 3)
    decree = Decree.of(claim_of(change, "operator", b"id"), BALLOT, 0)
    asked = FromClient(1, (MembersRequest(world.new_id(), 1_000),))
    step(world, N1, FromPeer(N2, Commit(decree.key, decree)), asked)
    assert world.replica(N1).node.seat.known == 1
