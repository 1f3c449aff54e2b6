"""``member add``, ``remove``, ``replace``, ``promote`` and ``quorums``."""

from typing import Any

import pytest
from msgspec.structs import replace

from decreed.client.requests.changing import Change
from decreed.registry.errors import OutcomeUnknown, Unreachable
from decreed.registry.members import MembersChange, change_of, claim_of
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Decree, NodeId
from decreed.registry.wire.members import ChangePlan, Finding, FindingKind, MembersReport, Role

from ..fakes import BALLOT, Cli, FakeRegistry
from .test_members import DOWN, report, seat

GUEST: dict[str, Any] = {"role": Role.GUEST, "ready": None, "votes": False}
GONE: dict[str, Any] = DOWN | {"role": Role.EARLIER}
CLEAR = ChangePlan(1, 0, ())
NAMES = ("n1", "n2", "n3")


def plan(kind: FindingKind, text: str) -> ChangePlan:
    return ChangePlan(1, 0, (Finding(kind, text),))


def epoch(number: int, *names: str) -> Epoch:
    nodes = tuple(map(NodeId, names))
    disks = tuple(name.encode().ljust(16, b".") for name in names)
    return Epoch(number, Quorums.majority(nodes), disks)


def decided(*names: str, by: str = "bob@there", before: Epoch | None = None) -> Decree:
    """The decree that makes these the voters of epoch 1."""
    following = epoch(1, *names)
    change = MembersChange(following, before or epoch(0, *NAMES), ("a:1",) * len(names))
    return Decree.of(claim_of(change, by, b"id"), BALLOT, 0)


def changed(*names: str, left: str = "", ready: int = 1) -> Any:
    """The report after the change; those who left know it."""
    seats = [seat(name, known=1, ready=ready) for name in names]
    gone = [seat(name, role=Role.EARLIER, known=1, votes=False) for name in left.split()]
    return report(*seats, *gone, epoch=1, prepare=len(names) // 2 + 1, accept=len(names) // 2 + 1)


@pytest.fixture(autouse=True)
def three_and_two_that_follow(registry: FakeRegistry) -> None:
    """The last of them waits for no vote, and may be given one all the same."""
    guests = [seat("n4", **GUEST), seat("n5", **GUEST | {"role": Role.OBSERVER})]
    registry.members.reports = [report(*map(seat, NAMES), *guests)]


FRESH = b"n2 is empty now."


@pytest.fixture
def empty_n2(registry: FakeRegistry) -> None:
    """The disk of n2 has died, and its name has joined again."""
    guests = [seat("n4", **GUEST), seat("n2", **GUEST, disk_id=FRESH)]
    registry.members.reports = [report(seat("n1"), seat("n2", **DOWN), seat("n3"), *guests)]


def replaced_n2() -> Decree:
    """The decree that gives the place of n2 to its empty directory."""
    done = decided(*NAMES)
    change = change_of(done)
    following = replace(change.epoch, disks=(change.epoch.disks[0], FRESH, change.epoch.disks[2]))
    return Decree.of(claim_of(replace(change, epoch=following), "bob@there", b"id"), BALLOT, 0)


def after_n2() -> MembersReport:
    seats = [seat(name, known=1, ready=1) for name in NAMES]
    return report(seats[0], replace(seats[1], disk_id=FRESH), seats[2], epoch=1)


def wanted(registry: FakeRegistry) -> Change:
    [change] = registry.members.proposed
    found: Change = change
    return found


def expect(registry: FakeRegistry, *names: str, left: str = "") -> None:
    """The change goes through at once."""
    registry.members.answers = [CLEAR, decided(*names)]
    registry.members.reports.append(changed(*names, left=left))


def test_a_node_is_replaced_in_one_step_and_what_happens_is_told(
    cli: Cli, registry: FakeRegistry
) -> None:
    expect(registry, "n1", "n3", "n4", left="n2")
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 0
    assert result.text.splitlines() == [
        "epoch 1: n1 n3 n4 (ready: n1 n3 n4)",
        "n2 may be switched off",
    ]
    assert result.err.splitlines() == [
        "epoch 0 -> 1: n1 n3 n4",
        "epoch 1 is decided",
        "sealed 2 of 2, ready 3 of 3, serving",
    ]
    change = wanted(registry)
    assert (change.base, change.prepare, change.accept) == (0, 2, 2)
    assert [voter.address for voter in change.voters][-1] == "n4.example:7400"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("add n5 n4", "n1 n2 n3 n4 n5"),
        ("remove n2 n3", "n1"),
        ("promote n4 --for n3", "n1 n2 n4"),
        ("quorums --prepare 2", "n1 n2 n3"),
    ],
)
def test_each_command_means_a_set_of_voters(
    cli: Cli, registry: FakeRegistry, command: str, names: str
) -> None:
    expect(registry, *names.split())
    assert cli("member", *command.split()).code == 0
    assert [voter.node for voter in wanted(registry).voters] == names.split()
    majority = len(names.split()) // 2 + 1
    assert (wanted(registry).prepare, wanted(registry).accept) == (majority, majority)


def test_a_node_that_nobody_knows_is_named_although_the_time_is_up_while_it_is_awaited(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.members.reports.append(Unreachable("no answer in time"))
    result = cli("member", "replace", "n2", "n44")
    assert result.code == 7
    assert "n44 is not known" in result.err and "no answer" not in result.err


@pytest.mark.usefixtures("empty_n2")
@pytest.mark.parametrize("command", ["replace n2", "replace n2 n2", "promote n2 --for n2"])
def test_a_name_whose_disk_died_gets_its_place_back_with_an_empty_directory(
    cli: Cli, registry: FakeRegistry, command: str
) -> None:
    registry.members.answers = [CLEAR, replaced_n2()]
    registry.members.reports.append(after_n2())
    result = cli("member", *command.split())
    assert result.code == 0
    assert [voter.disk_id for voter in wanted(registry).voters if voter.node == "n2"] == [FRESH]
    assert result.text.splitlines() == [
        "epoch 1: n1 n2 n3 (ready: n1 n2 n3)",
        "the first directory of n2 was not told, and is of no use any more: wipe it",
    ]
    assert "sealed 2 of 2, ready 3 of 3, serving" in result.err


@pytest.mark.usefixtures("empty_n2")
def test_the_replacement_of_a_directory_goes_on_from_the_epoch_that_is_over(
    cli: Cli, registry: FakeRegistry
) -> None:
    """No decree has the first disk of n2, which voted in epoch 0."""
    registry.members.reports = [after_n2()]
    registry.members.following = [change_of(replaced_n2())]
    registry.members.answers = [replaced_n2()]
    result = cli("member", "replace", "n2", "--epoch", "0", "--json")
    assert result.code == 0
    assert (result.json["not_told"], result.json["may_be_switched_off"]) == (["n2"], [])
    assert result.json["sealed"] == ["n1", "n3"]


@pytest.mark.usefixtures("empty_n2")
def test_of_a_later_epoch_the_first_disk_of_a_name_is_known_and_is_not_the_one_that_came(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.members.reports = [report(*after_n2().seats, seat("n2", **GONE), epoch=1)]
    first = replace(epoch(1, *NAMES), number=0)
    following = replace(change_of(replaced_n2()), before=first)
    registry.members.following = [following]
    registry.members.answers = [replaced_n2()]
    result = cli("member", "replace", "n2", "--epoch", "0", "--json")
    assert (result.code, result.json["not_told"]) == (0, ["n2"])


@pytest.mark.usefixtures("empty_n2")
def test_a_directory_that_still_waits_for_its_place_did_not_get_it(
    cli: Cli, registry: FakeRegistry
) -> None:
    """Epoch 1 has the same names, by another's change; the empty directory of n2 joins still."""
    seats = [seat(name, known=1, ready=1) for name in NAMES]
    guest = seat("n2", **GUEST, disk_id=FRESH)
    registry.members.reports = [report(*seats, guest, epoch=1)]
    registry.members.following = [change_of(decided(*NAMES))]
    registry.members.answers = [decided(*NAMES)]
    result = cli("member", "replace", "n2", "--epoch", "0")
    assert result.code == 7 and "another change came first: bob@there" in result.err


@pytest.mark.usefixtures("empty_n2")
def test_a_directory_that_has_just_been_started_is_waited_for(
    cli: Cli, registry: FakeRegistry
) -> None:
    before = report(seat("n1"), seat("n2", **DOWN), seat("n3"))
    registry.members.reports = [before, before, *registry.members.reports, after_n2()]
    registry.members.answers = [CLEAR, replaced_n2()]
    result = cli("member", "replace", "n2")
    assert result.code == 0
    assert result.err.splitlines()[:2] == ["waiting for n2 to join", "epoch 0 -> 1: n1 n2 n3"]


def test_without_an_empty_directory_a_name_that_is_down_is_not_replaced_by_itself(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.members.reports = [report(seat("n1"), seat("n2", **DOWN), seat("n3"))]
    result = cli("member", "replace", "n2")
    assert (result.code, registry.members.proposed) == (7, [])
    assert "n2 is down, and no other directory of it is known: start n2 with an empty" in result.err
    assert "--node n2 --data DIR --join HOST:PORT'" in result.err


@pytest.mark.usefixtures("empty_n2")
def test_an_empty_directory_is_not_added_under_the_name_of_a_voter(
    cli: Cli, registry: FakeRegistry
) -> None:
    result = cli("member", "add", "n2", "n4")
    assert result.code == 7 and "n2 is a voter of epoch 0 already" in result.err


def test_sizes_may_be_named(cli: Cli, registry: FakeRegistry) -> None:
    registry.members.answers = [CLEAR, OutcomeUnknown("lost")]
    cli("member", "add", "n4", "n5", "--prepare", "4", "--accept", "2")
    assert (wanted(registry).prepare, wanted(registry).accept) == (4, 2)


def test_sizes_must_be_named_when_they_were_no_majorities(cli: Cli, registry: FakeRegistry) -> None:
    registry.members.reports = [report(*map(seat, NAMES), prepare=3, accept=1)]
    result = cli("member", "remove", "n2", "n3")
    assert (result.code, registry.members.proposed) == (2, [])
    assert "say with --prepare and --accept what they are to be with 1" in result.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("replace n9 n4", "n9 is no voter of epoch 0, whose voters are n1 n2 n3"),
        ("replace n2 n3", "n3 is a voter of epoch 0 already"),
        ("replace n2 n9", "n9 is not known (known are n1 n2 n3 n4 n5)"),
        ("replace n1", "n1 is up with the directory that votes: to give its place to an empty one"),
        ("replace n22", "n22 is no voter of epoch 0, whose voters are n1 n2 n3"),
        ("add n1 n4", "n1 is a voter of epoch 0 already"),
        ("remove n4", "n4 is no voter"),
        ("remove n1 n2 n3", "nobody would be left"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    cli: Cli, registry: FakeRegistry, command: str, said: str
) -> None:
    result = cli("member", *command.split())
    assert result.code == 7
    assert said in result.err and result.err.endswith("nothing was proposed\n")
    assert registry.members.proposed == []
    assert "no voter" not in said or "waiting" not in result.err, "nothing helps but another name"


@pytest.mark.parametrize(
    ("kind", "code"), [(FindingKind.REFUSED, 7), (FindingKind.NO_QUORUM, 5)], ids=["7", "5"]
)
def test_what_speaks_against_it_ends_it(
    cli: Cli, registry: FakeRegistry, kind: FindingKind, code: int
) -> None:
    registry.members.answers = [plan(kind, "1 of 3 up, 2 needed")]
    result = cli("member", "replace", "n2", "n4")
    assert (result.code, registry.members.proposed) == (code, [])
    assert "member replace n2 n4: 1 of 3 up, 2 needed; nothing was proposed" in result.err


def test_what_is_only_late_is_waited_for_and_told_once(cli: Cli, registry: FakeRegistry) -> None:
    late = plan(FindingKind.WAITS, "n4 is 12,034 behind")
    expect(registry, "n1", "n3", "n4", left="n2")
    registry.members.answers[:0] = [late, late, plan(FindingKind.WAITS, "n4 is 9 behind")]
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 0
    waits = [line for line in result.err.splitlines() if line.startswith("waiting")]
    assert waits == ["waiting: n4 is 12,034 behind", "waiting: n4 is 9 behind"]


def test_what_is_late_for_too_long_ends_it_before_anything_is_proposed(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.members.answers = [plan(FindingKind.WAITS, "n4 is 12,034 behind")] * 9
    result = cli("member", "replace", "n2", "n4", "--timeout", "3s")
    assert (result.code, registry.members.proposed) == (5, [])
    assert "still waiting: n4 is 12,034 behind; nothing was proposed" in result.err


def test_a_warning_is_told_and_no_obstacle(cli: Cli, registry: FakeRegistry) -> None:
    expect(registry, "n1", left="n2 n3")
    registry.members.answers[0] = plan(FindingKind.WARNING, "no voter may fail after this")
    result = cli("member", "remove", "n2", "n3")
    assert result.code == 0
    assert "warning: no voter may fail after this" in result.err
    assert "n2 n3 may be switched off" in result.text


def test_who_left_must_stay_up_while_voters_withhold_what_it_may_have_to_show(
    cli: Cli, registry: FakeRegistry
) -> None:
    expect(registry, "n1", "n3", "n4", left="n2")
    after = registry.members.reports[-1]
    seats = [replace(s, withheld=1) if s.node in ("n3", "n4") else s for s in after.seats]
    registry.members.reports[-1] = replace(after, seats=tuple(seats))
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 0
    assert "n2 must stay up" in result.text and "switched off" not in result.text


def test_a_node_that_was_not_told_is_named(cli: Cli, registry: FakeRegistry) -> None:
    expect(registry, "n1", "n3", "n4")
    gone = seat("n2", **DOWN | {"role": Role.EARLIER})
    after = registry.members.reports[-1]
    registry.members.reports[-1] = report(*after.seats, gone, epoch=1)
    text = cli("member", "replace", "n2", "n4").text
    assert "not told: n2; wipe its directory, or let it meet a member once" in text
    assert "switched off" not in text


def test_one_that_was_told_and_has_stopped_since_may_be_switched_off(
    cli: Cli, registry: FakeRegistry
) -> None:
    """n2 is heard once, before the others are ready; then it is down, and nobody remembers it."""
    expect(registry, "n1", "n3", "n4", left="n2")
    early = changed("n1", "n3", "n4", left="n2", ready=0)
    after = report(*registry.members.reports[-1].seats[:3], seat("n2", **GONE), epoch=1)
    registry.members.reports[-1:] = [early, after]
    assert "n2 may be switched off" in cli("member", "replace", "n2", "n4").text


def test_one_that_is_up_and_has_not_been_told_yet_is_waited_for(
    cli: Cli, registry: FakeRegistry
) -> None:
    expect(registry, "n1", "n3", "n4", left="n2")
    after = registry.members.reports[-1]
    late = report(*after.seats[:3], seat("n2", role=Role.EARLIER), epoch=1)
    registry.members.reports[-1:] = [late, after]
    text = cli("member", "replace", "n2", "n4").text
    assert "n2 may be switched off" in text and "not told" not in text


def test_another_change_that_came_first_is_told_with_its_members(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.members.answers = [CLEAR, decided("n1", "n2", "n5", by="bob@there")]
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 7
    assert "another change came first: bob@there had epoch 1 decided" in result.err
    assert "its voters are n1 n2 n5" in result.err


def test_a_change_in_doubt_says_how_to_go_on(cli: Cli, registry: FakeRegistry) -> None:
    registry.members.answers = [CLEAR, OutcomeUnknown("no answer in time")]
    registry.members.in_doubt = True
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 6
    assert "whether it is decided is unknown" in result.err
    assert "'decreed member replace n2 n4 --epoch 0'" in result.err


def test_the_same_command_with_the_epoch_tells_how_it_went(
    cli: Cli, registry: FakeRegistry
) -> None:
    """Epoch 1 is there by now, so the words are about the voters of epoch 0."""
    registry.members.reports = [changed("n1", "n3", "n4", left="n2")]
    done = decided("n1", "n3", "n4")
    following = MembersChange(epoch(1, "n1", "n3", "n4"), epoch(0, *NAMES), ("a:1",) * 3)
    registry.members.following = [following]
    registry.members.answers = [done]
    result = cli("member", "replace", "n2", "n4", "--epoch", "0")
    assert (result.code, registry.members.proposed) == (0, [])
    assert "epoch 1: n1 n3 n4 (ready: n1 n3 n4)" in result.text


def test_an_epoch_that_never_was_is_refused(cli: Cli) -> None:
    result = cli("member", "replace", "n2", "n4", "--epoch", "5")
    assert result.code == 7 and "the epoch is 0, and not 5" in result.err


def test_a_decided_change_whose_voters_are_not_ready_in_time(
    cli: Cli, registry: FakeRegistry
) -> None:
    expect(registry, "n1", "n3", "n4", left="n2")
    registry.members.reports[-1] = changed("n1", "n3", "n4", left="n2", ready=0)
    result = cli("member", "replace", "n2", "n4", "--timeout", "3s")
    assert result.code == 5
    assert "epoch 1 is decided, and ready at 0 of 3 so far, 2 needed" in result.err
    assert "goes on without this command" in result.err and "--epoch 0" in result.err


def test_a_dry_run_proposes_nothing(cli: Cli, registry: FakeRegistry) -> None:
    registry.members.answers = [plan(FindingKind.WARNING, "n3 is not up")]
    result = cli("member", "replace", "n2", "n4", "--dry-run")
    assert (result.code, registry.members.proposed) == (0, [])
    assert result.text.splitlines() == [
        "epoch 0 -> 1: n1 n2 n3 -> n1 n3 n4 (prepare = 2, accept = 2)",
        "warning: n3 is not up",
    ]


def test_a_dry_run_of_what_is_refused_ends_like_it(cli: Cli, registry: FakeRegistry) -> None:
    registry.members.answers = [plan(FindingKind.REFUSED, "2 voters")]
    result = cli("member", "remove", "n2", "--dry-run", "--json")
    assert result.code == 7
    assert result.json["findings"] == [{"kind": "refused", "text": "2 voters"}]
    assert result.error["way_out"] == "nothing was proposed"


def test_the_outcome_as_json(cli: Cli, registry: FakeRegistry) -> None:
    expect(registry, "n1", "n3", "n4", left="n2")
    result = cli("member", "replace", "n2", "n4", "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json == {
        **{"epoch": 1, "voters": ["n1", "n3", "n4"], "prepare": 2, "accept": 2},
        **{"before": ["n1", "n2", "n3"], "sealed": ["n1", "n2", "n3"], "not_told": []},
        **{"ready": ["n1", "n3", "n4"], "may_be_switched_off": ["n2"], "warnings": []},
        "still_needed": [],
    }


def test_a_member_that_cannot_say_how_far_it_is_does_no_harm(
    cli: Cli, registry: FakeRegistry
) -> None:
    expect(registry, "n1", "n3", "n4", left="n2")
    registry.members.reports.insert(1, Unreachable("nobody answered"))
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 0
    assert "waiting for a member that answers: nobody answered" in result.err


def test_quorums_without_a_size_is_bad_usage(cli: Cli) -> None:
    assert cli("member", "quorums").code == 2
