"""Changes that operators propose: judged, raced for, asked again, and reported."""

from msgspec.structs import replace

from decreed.registry.errors import NotFormed
from decreed.registry.members import change_of, members_key
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Prepare
from decreed.registry.replica.step.events import FromPeer
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.members import (
    ChangePlan,
    ChangeRequest,
    FindingKind,
    MembersReport,
    MembersRequest,
    Role,
    Voter,
)
from decreed.registry.wire.peers import Standing, StatePage
from decreed.registry.wire.requests import Decreed, Failed

from ...support.changing import ChangingWorld
from ...support.world import claim, config, stored

N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))


def request(
    world: ChangingWorld, *names: str, base: int = 0, by: str = "ann", propose: bool = True
) -> ChangeRequest:
    """The request of an operator who wants these voters with majorities."""
    voters = tuple(Voter(NodeId(n), world.disks[NodeId(n)], f"{n}:7400") for n in sorted(names))
    majority = len(names) // 2 + 1
    claim_id = f"{by}/{world.new_id()}".encode()
    return ChangeRequest(
        world.new_id(), 5_000, base, voters, majority, majority, by, claim_id, "why", propose
    )


def plan(answer: object) -> list[tuple[FindingKind, str]]:
    assert isinstance(answer, ChangePlan), answer
    return [(finding.kind, finding.text) for finding in answer.findings]


def decree(answer: object) -> Decree:
    assert isinstance(answer, Decreed), answer
    return answer.decree


def report(world: ChangingWorld, node: str) -> MembersReport:
    answer = world.ask(node, MembersRequest(world.new_id(), 5_000))
    assert isinstance(answer, MembersReport), answer
    return answer


def settled(world: ChangingWorld) -> None:
    world.run(1_000)
    world.meet()
    world.run(1_000)


def test_an_operator_replaces_a_node() -> None:
    world = ChangingWorld([N4])
    world.run(1_000)
    found = decree(world.ask(N1, request(world, N1, N2, N4)))
    assert (found.key, found.claimant, found.note) == (members_key(1), "ann", "why")
    assert change_of(found).addresses == ("n1:7400", "n2:7400", "n4:7400")
    settled(world)
    assert world.voters() == [N1, N2, N4]


def test_a_change_that_is_only_judged_leaves_no_trace() -> None:
    world = ChangingWorld([N4])
    world.run(1_000)
    world.sent.clear()
    assert plan(world.ask(N1, request(world, N1, N2, N4, propose=False))) == []
    assert not [m for _, _, m in world.sent if isinstance(m, Prepare | Accept)]
    assert report(world, N1).epoch == 0


def test_a_change_without_a_quorum_is_refused_and_not_proposed() -> None:
    world = ChangingWorld([N4, N5])
    world.crash(N2)
    world.crash(N3)
    world.run(1_000)
    world.sent.clear()
    [(kind, text)] = plan(world.ask(N1, request(world, N1, N4, N5)))
    assert kind == FindingKind.NO_QUORUM and "1 of 3 up, 2 needed" in text
    assert not [m for _, _, m in world.sent if isinstance(m, Prepare | Accept)]


def test_a_node_that_nobody_knows_is_waited_for() -> None:
    world = ChangingWorld([N4])
    world.crash(N4)
    [(kind, text)] = plan(world.ask(N1, request(world, N1, N2, N4)))
    assert kind == FindingKind.WAITS and "n4 is not linked here" in text


def test_of_two_operators_one_wins_and_the_other_is_told_which() -> None:
    world = ChangingWorld([N4, N5])
    world.run(1_000)
    wanted = [request(world, N1, N2, N4), request(world, N1, N2, N5, by="bob")]
    marks = [world.send(N1, wanted[0]), world.send(N2, wanted[1])]
    world.run(5_000)
    answers = [decree(world.answers[mark][0]) for mark in marks]
    assert answers[0] == answers[1] and answers[0].claimant in ("ann", "bob")
    settled(world)
    late = decree(world.ask(N3, request(world, N2, N4, N5, by="cid")))
    assert late == answers[0]


def test_two_operators_at_one_node_are_told_the_same() -> None:
    world = ChangingWorld([N4, N5])
    world.run(1_000)
    marks = [
        world.send(N1, request(world, N1, N2, N4)),
        world.send(N1, request(world, N1, N2, N5, by="bob")),
    ]
    world.run(5_000)
    first, second = (decree(world.answers[mark][0]) for mark in marks)
    assert first == second


def test_a_change_whose_epoch_ends_while_it_is_judged_is_told_what_came_first() -> None:
    """Otherwise its words, which were about epoch 0, would be about the voters of epoch 1."""
    world = ChangingWorld([N4, N5])
    world.run(1_000)
    world.lose = lambda _, to, message: isinstance(message, Standing) and to == N1
    mark = world.send(N1, request(world, N1, N2, N5))
    world.run(50)
    first = decree(world.ask(N2, request(world, N1, N2, N4, by="bob")))
    world.run(5_000)
    assert decree(world.answers[mark][0]) == first
    assert report(world, N1).epoch == 1


def test_an_epoch_that_was_over_long_ago_is_refused_with_the_present_members() -> None:
    world = ChangingWorld([N4, N5])
    world.change(N1, N1, N2, N4)
    world.change(N1, N1, N4, N5)
    world.change(N1, N1, N2, N5)
    fresh = world.replica(N3)
    answer = world.ask(N3, request(world, N1, N2, N3))
    if isinstance(answer, Decreed):
        assert answer.decree.key == members_key(1)
    else:
        [(kind, text)] = plan(answer)
        assert kind == FindingKind.REFUSED
        assert f"epoch 0 is over: the voters of epoch {fresh.node.epoch.number} are" in text


def test_an_epoch_that_the_node_does_not_know_yet_is_waited_for() -> None:
    world = ChangingWorld()
    [(kind, text)] = plan(world.ask(N1, request(world, N1, base=3)))
    assert (kind, text) == (FindingKind.WAITS, "n1 knows epoch 0, and not 3 yet")


def test_after_a_lost_answer_the_same_change_at_another_node_tells_how_it_went() -> None:
    world = ChangingWorld([N4])
    world.run(1_000)
    wanted = request(world, N1, N2, N4)
    world.send(N1, wanted)
    world.settle()
    world.run(600)
    world.crash(N1)
    again = replace(wanted, id=world.new_id())
    assert decree(world.ask(N2, again)).claim_id == wanted.claim_id


def test_a_half_done_change_is_finished_by_nobody_but_who_proposes_it_again() -> None:
    """M03: n1 and n2 have accepted it, its proposer is gone, and nobody knows."""
    world = ChangingWorld([N4])
    world.run(1_000)
    world.lose = lambda _, __, message: isinstance(message, Accepted | Commit)
    wanted = replace(request(world, N1, N2, N4), timeout_ms=700)
    mark = world.send(N1, wanted)
    world.run(800)
    failed = world.answers[mark][0]
    assert isinstance(failed, Failed) and failed.code == 6
    world.crash(N1)
    world.lose = lambda *_: False
    world.run(10_000)
    world.boot(N1)
    world.run(10_000)
    assert stored(world, N2, members_key(1)).learned is None
    assert report(world, N2).under_way == (N1, N2, N4)
    [(kind, text)] = plan(world.ask(N2, request(world, N1, N2, N3, by="bob")))
    assert kind == FindingKind.REFUSED and "ann proposed n1 n2 n4 for epoch 1" in text
    again = request(world, N1, N2, N4, by="bob")
    assert decree(world.ask(N2, again)).claim_id == wanted.claim_id
    settled(world)
    assert world.voters() == [N1, N2, N4]


def test_a_change_waits_for_the_last_one() -> None:
    world = ChangingWorld([N4])
    world.lose = lambda _, __, message: isinstance(message, StatePage)
    world.change(N1, N1, N2, N4, ms=300)
    found = plan(world.ask(N1, request(world, N1, base=1)))
    assert (FindingKind.WAITS, "epoch 1 is ready at 0 of 3, 2 needed") in found


def test_a_node_that_lost_its_vote_leaves_a_change_to_others() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    answer = world.ask(N3, request(world, N1, base=1))
    assert isinstance(answer, Failed) and "n3 has no vote" in answer.message


def test_the_report_has_everybody_and_how_he_is() -> None:
    world = ChangingWorld([N4, N5])
    world.change(N1, N1, N2, N4)
    world.crash(N2)
    found = report(world, N1)
    assert (found.epoch, found.prepare, found.accept, found.earlier_seal) == (1, 2, 2, 2)
    roles = {seat.node: seat.role for seat in found.seats}
    voter, earlier, guest = Role.VOTER, Role.EARLIER, Role.GUEST
    assert roles == {N1: voter, N2: voter, N4: voter, N3: earlier, N5: guest}
    seats = {seat.node: seat for seat in found.seats}
    assert [seats[n].up for n in (N1, N2, N3, N4)] == [True, False, True, True]
    assert (seats[N2].known, seats[N2].ready, seats[N2].behind) == (1, 1, None)
    assert seats[N4].disk_id == world.disks[N4] and seats[N4].votes
    assert not seats[N3].votes
    assert [seat.node for seat in found.ready] == [N1, N2, N4]


def test_the_node_that_reports_says_how_far_it_is_behind_too() -> None:
    world = ChangingWorld()
    world.crash(N3)
    for number in range(20):
        world.freeze(N1, f"k{number}")
    world.boot(N3)
    world.meet()
    read = world.replica(N3).catchup
    while not read.ends.lag:
        world.run(1)
    behind = {seat.node: seat.behind for seat in report(world, N3).seats}
    assert behind == {N1: 0, N2: 0, N3: 20}


def test_no_voter_is_behind_a_node_without_a_vote() -> None:
    world = ChangingWorld([N4])
    world.freeze(N1, "k")
    settled(world)
    world.change(N1, N1)
    settled(world)
    behind = {seat.node: seat.behind for seat in report(world, N1).seats}
    assert behind[N1] == 0 and world.replica(N1).catchup.ends.lag is None


def test_a_removed_node_reports_too() -> None:
    world = ChangingWorld([N4])
    world.change(N1, N1, N2, N4)
    assert report(world, N3).epoch == 1


def test_a_request_whose_operator_is_gone_proposes_nothing() -> None:
    world = ChangingWorld([N4])
    world.run(1_000)
    world.lose = lambda _, __, message: isinstance(message, Standing)
    wanted = replace(request(world, N1, N2, N4), timeout_ms=100)
    mark = world.send(N1, wanted)
    world.run(150)
    failed = world.answers[mark][0]
    assert isinstance(failed, Failed) and failed.code == 4, "nothing was proposed"
    world.lose = lambda *_: False
    world.run(5_000)
    assert report(world, N1).epoch == 0
    assert world.replica(N1).pending_work() == {} or "inquiries" not in (
        world.replica(N1).pending_work()
    )


def with_empty_directory(world: ChangingWorld, node: NodeId) -> bytes:
    """A disk has died, and its name joins with an empty one; returns the disk that died."""
    before = world.disks[node]
    world.wipe(node)
    world.joiners.add(node)
    world.boot(node)
    world.run(1_000)
    world.disks[node] = world.replica(node).node.identity.disk_id
    return before


def test_M20_an_operator_gives_the_place_of_a_disk_that_died_to_an_empty_one_of_its_name() -> None:
    world = ChangingWorld()
    before = with_empty_directory(world, N3)
    places = [(seat.node, seat.role, seat.disk_id, seat.up) for seat in report(world, N1).seats]
    assert places == [
        (N1, Role.VOTER, world.disks[N1], True),
        (N2, Role.VOTER, world.disks[N2], True),
        (N3, Role.VOTER, before, False),
        (N3, Role.GUEST, world.disks[N3], True),
    ]
    decree(world.ask(N1, request(world, N1, N2, N3)))
    settled(world)
    assert world.voters() == [N1, N2, N3]
    seats = [(seat.node, seat.role, seat.ready) for seat in report(world, N1).seats]
    assert seats == [(node, Role.VOTER, 1) for node in (N1, N2, N3)]


def test_M20_of_a_second_disk_that_died_the_report_has_both() -> None:
    world = ChangingWorld()
    with_empty_directory(world, N3)
    decree(world.ask(N1, request(world, N1, N2, N3)))
    settled(world)
    second = with_empty_directory(world, N3)
    decree(world.ask(N1, request(world, N1, N2, N3, base=1)))
    settled(world)
    seats = [(seat.node, seat.role, seat.disk_id, seat.up) for seat in report(world, N1).seats]
    assert seats[2:] == [
        (N3, Role.VOTER, world.disks[N3], True), (N3, Role.EARLIER, second, False),
    ]  # fmt: skip


def test_M19_a_joiner_that_does_not_know_who_votes_leaves_reports_to_others() -> None:
    world = ChangingWorld([N4])
    with_empty_directory(world, N3)
    for node in (N3, N4):
        answer = world.ask(node, MembersRequest(world.new_id(), 5_000))
        assert isinstance(answer, Failed) and answer.code == NotFormed.code
    world.change(N1, N1, N2, N3)
    assert report(world, N3).epoch == 1


def test_M22_the_replacement_of_a_directory_that_was_rolled_back_is_heard() -> None:
    world = ChangingWorld()
    with_empty_directory(world, N3)
    world.replica(N1).parts.seats.refused[N3] = "an older copy"
    decree(world.ask(N1, request(world, N1, N2, N3)))


def test_a_report_that_is_asked_for_in_the_step_that_ends_an_epoch_is_of_the_next() -> None:
    """The instances of a step are loaded before it is known that the epoch ends in it."""
    world = ChangingWorld()
    world.lose = lambda _, to, __: to == N3
    found = decree(world.ask(N1, request(world, N1, N2, N3)))
    world.lose = lambda *_: False
    world.post(N3, FromPeer(N1, Commit(found.key, found)))
    mark = world.send(N3, MembersRequest(world.new_id(), 5_000))
    world.run(2_000)
    [answer] = world.answers[mark]
    assert isinstance(answer, MembersReport) and (answer.epoch, answer.under_way) == (1, ())


def test_sizes_change_alone() -> None:
    world = ChangingWorld(cluster=config(3))
    wanted = replace(request(world, N1, N2, N3), prepare=1, accept=3)
    decree(world.ask(N1, wanted))
    settled(world)
    assert world.replica(N2).node.quorums.accept == 3
    assert report(world, N3).prepare == 1


def test_a_half_done_change_of_last_week_is_not_finished_past_all_judgement() -> None:
    """M03: n3 alone has accepted that n4 votes alone; n4 is gone, and n1 needs the promise of n3."""
    world = ChangingWorld([N4, N5])
    world.run(1_000)
    world.lose = lambda _, to, message: isinstance(message, Accept) and to != N3
    mark = world.send(N3, replace(request(world, N4), timeout_ms=700))
    world.run(800)
    failed = world.answers[mark][0]
    assert isinstance(failed, Failed) and failed.code == 6
    for node in (N2, N3, N4):
        world.crash(node)
    world.lose = lambda *_: False
    world.boot(N3)
    world.run(1_000)
    [(kind, text)] = plan(world.ask(N1, request(world, N1, N3, N5, by="bob")))
    assert kind == FindingKind.REFUSED and "ann proposed n4 for epoch 1" in text
    world.run(10_000)
    assert stored(world, N1, members_key(1)).learned is None
    world.crash(N3)
    world.boot(N2)
    world.run(1_000)
    found = decree(world.ask(N1, request(world, N1, N2, N5, by="bob")))
    assert found.claimant == "bob", "a quorum that has not seen it decides"


def test_a_half_done_change_that_this_version_cannot_read_is_refused_in_words() -> None:
    """M03: n3 alone has accepted it. n1 meets it by a ballot, and n3 knows of it from the start."""
    world = ChangingWorld([N4])
    key, ballot = members_key(1), Ballot.first(Process(N2, 1))
    future = Decree.of(claim(key, b"\x99 of a later version"), ballot, 0)
    world.post(N3, FromPeer(N2, Accept(key, ballot, future)))
    world.settle()
    assert stored(world, N3, key).accepted is not None
    world.crash(N2)
    world.run(1_000)
    for asked in (N1, N3):
        [(kind, text)] = plan(world.ask(asked, request(world, N1, N3, N4)))
        assert kind == FindingKind.REFUSED, asked
        assert (
            "tester proposed one as '$members@1' that this version of decreed cannot read" in text
        )
    assert report(world, N3).under_way == ()
    assert stored(world, N1, key).learned is None


def test_a_node_that_is_asked_how_it_is_reads_on_immediately() -> None:
    """A change waits for its new voters, so they do not wait for the next interval."""
    world = ChangingWorld([N4])
    world.run(1_000)
    for number in range(20):
        world.freeze(N1, f"k{number}")
    began_ms = world.now_ms
    read = world.replica(N4).catchup
    while read.cursor(N1) < world.replica(N1).node.settled_feed_end:
        report(world, N1)
        world.settle()
        assert world.now_ms - began_ms < config().timing.pull_ms / 2
    assert read.cursor(N1) >= 19
