"""What speaks against a change of members: each refusal shows its arithmetic."""

import pytest
from msgspec.structs import replace

from decreed.registry.members import MembersChange, claim_of
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.replica.members.preflight import (
    CAUGHT_UP,
    Situation,
    WantedEpoch,
    is_clear,
    judge,
)
from decreed.registry.types import Ballot, Decree, NodeId, Process
from decreed.registry.wire.handshake import VERSION
from decreed.registry.wire.members import FindingKind, Voter
from decreed.registry.wire.peers import Standing

REFUSED, NO_QUORUM = FindingKind.REFUSED, FindingKind.NO_QUORUM
WAITS, WARNING = FindingKind.WAITS, FindingKind.WARNING


def disk(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def epoch(number: int, *names: str, prepare: int = 0, accept: int = 0) -> Epoch:
    nodes, majority = tuple(map(NodeId, names)), len(names) // 2 + 1
    quorums = Quorums(nodes, prepare or majority, accept or majority)
    return Epoch(number, quorums, tuple(map(disk, names)))


def wanted(*names: str, prepare: int = 0, accept: int = 0) -> WantedEpoch:
    majority = len(names) // 2 + 1
    voters = tuple(Voter(NodeId(name), disk(name), f"{name}:7400") for name in names)
    return WantedEpoch(voters, prepare or majority, accept or majority)


def standing(name: str, behind: int = 0, *, votes: bool = True) -> Standing:
    return Standing(1, VERSION, disk(name), f"{name}:7400", 3, 3, votes, behind)


def situation(*up: str, of: Epoch | None = None, known: str = "n1 n2 n3 n4 n5") -> Situation:
    """Nodes n1 to n3 vote in epoch 3, and those in `up` have answered."""
    return Situation(
        of or epoch(3, "n1", "n2", "n3"),
        tuple((NodeId(name), disk(name)) for name in known.split()),
        tuple((NodeId(name), standing(name)) for name in up),
    )


def said(now: Situation, change: WantedEpoch) -> list[tuple[FindingKind, str]]:
    return [(finding.kind, finding.text) for finding in judge(now, change)]


def test_nothing_speaks_against_the_replacement_of_a_node_that_is_down() -> None:
    assert said(situation("n1", "n3", "n4"), wanted("n1", "n3", "n4")) == []


def test_a_second_directory_under_the_name_of_a_voter_does_not_count_as_that_voter() -> None:
    """n3's disk has died, and an empty one joins under its name: it has no vote in either epoch."""
    now = situation("n1", "n3", "n4")
    namesake = replace(standing("n3", votes=False), disk_id=disk("other"))
    now = replace(now, standings=(*now.standings[:1], (NodeId("n3"), namesake), *now.standings[2:]))
    kinds = [kind for kind, _ in said(now, wanted("n1", "n3", "n4"))]
    assert NO_QUORUM in kinds, "of the old voters n1 alone is up"
    alone = situation("n1", "n2", "n3", known="n1 n2 n3")
    alone = replace(alone, standings=(*alone.standings[:2], (NodeId("n3"), namesake)))
    found = said(alone, wanted("n3"))
    assert (REFUSED, "n3 is not up: the new set could not go on: 0 of 1 up, 1 needed") in found


@pytest.mark.parametrize("size", [2, 4, 6])
def test_an_even_number_of_voters_is_refused(size: int) -> None:
    names = [f"n{number}" for number in range(1, size + 1)]
    [(kind, text)] = said(situation(*names), wanted(*names))
    assert kind == REFUSED
    assert f"{' '.join(names)} are {size} voters, and there may be 1, 3, 5 or 7" in text
    assert text.endswith("replace a node, or add two")


def test_quorums_that_need_not_meet_are_refused_with_the_sum() -> None:
    [(kind, text)] = said(
        situation("n1", "n2", "n3"), wanted("n1", "n2", "n3", prepare=1, accept=2)
    )
    assert kind == REFUSED and "1 + 2 = 3, and the sum must exceed 3" in text


def test_an_impossible_size_of_a_quorum_is_refused() -> None:
    found = said(situation("n1", "n2", "n3"), wanted("n1", "n2", "n3", prepare=4, accept=2))
    assert found == [(REFUSED, "prepare = 4 is impossible with 3 voters")]


def test_voters_that_are_named_twice_are_refused() -> None:
    [(kind, text), *_] = said(situation("n1", "n2", "n3"), wanted("n1", "n1", "n3"))
    assert kind == REFUSED and "not distinct and in order" in text


def test_too_few_voters_of_the_present_epoch_are_no_quorum() -> None:
    [(kind, text)] = said(situation("n1", "n4", "n5"), wanted("n1", "n4", "n5"))
    assert kind == NO_QUORUM
    assert text == "no quorum: 1 of 3 up, 2 needed to agree and to seal; start n2 n3"


def test_one_that_may_have_chosen_alone_is_not_replaced_while_it_is_down() -> None:
    now = situation("n1", "n3", "n4", of=epoch(3, "n1", "n2", "n3", prepare=3, accept=1))
    [(kind, text)] = said(now, wanted("n1", "n3", "n4"))
    assert kind == NO_QUORUM and "2 of 3 up, 3 needed" in text
    assert "with accept = 1 the votes of n2 alone may have chosen" in text
    assert text.endswith("without it nothing can be replaced without loss")


def test_one_whose_word_may_have_been_a_read_must_seal() -> None:
    now = situation("n1", "n3", "n4", of=epoch(3, "n1", "n2", "n3", prepare=1, accept=3))
    [(kind, text)] = said(now, wanted("n1", "n3", "n4"))
    assert kind == NO_QUORUM and "a read may have asked n2 alone, and 3 of 3 must seal" in text


def test_a_new_set_that_could_not_go_on_is_refused() -> None:
    [(kind, text)] = said(situation("n1", "n2", "n3"), wanted("n1", "n4", "n5"))
    assert kind == REFUSED
    assert text == "n4 n5 are not up: the new set could not go on: 1 of 3 up, 2 needed"


def test_a_node_that_is_not_linked_here_yet_is_waited_for() -> None:
    [(kind, text)] = said(situation("n1", "n2", "n3"), wanted("n1", "n2", "n9"))
    assert kind == WAITS
    assert "n9 is not linked here with the directory that was named: start it with" in text


def test_another_directory_than_the_one_that_was_named_is_refused() -> None:
    other = wanted("n1", "n2", "n4")
    other = replace(other, voters=(*other.voters[:2], replace(other.voters[2], disk_id=bytes(16))))
    [(kind, text)] = said(situation("n1", "n2", "n3", "n4"), other)
    assert kind == REFUSED and "n4 has another directory than the one that was named" in text


FRESH = bytes(16)


def with_fresh_n3(*up: str) -> tuple[Situation, WantedEpoch]:
    """An empty directory of n3 is linked, and is wanted in the place of the first one."""
    now, change = situation(*up), wanted("n1", "n2", "n3")
    met = (NodeId("n3"), replace(standing("n3", votes=False), disk_id=FRESH))
    fresh = Voter(NodeId("n3"), FRESH, "n3:7400")
    now = replace(now, standings=(*now.standings, met))
    return now, replace(change, voters=(*change.voters[:2], fresh))


def test_M20_an_empty_directory_takes_the_place_of_the_first_one_of_its_name() -> None:
    assert said(*with_fresh_n3("n1", "n2")) == []


def test_M20_an_empty_directory_is_not_counted_as_the_voter_whose_name_it_has() -> None:
    (kind, text), *_ = said(*with_fresh_n3("n1"))
    assert kind == NO_QUORUM and "1 of 3 up, 2 needed to agree and to seal; start n2 n3" in text


def test_M20_a_voter_that_is_down_is_not_up_since_its_name_is() -> None:
    """To keep n3 as it was is to keep a voter that is down."""
    now, _ = with_fresh_n3("n1", "n2")
    [(kind, text)] = said(now, wanted("n1", "n2", "n3", prepare=1, accept=3))
    assert kind == REFUSED and "n3 is not up: the new set could not go on" in text


def test_M20_a_directory_that_votes_and_is_up_keeps_its_place() -> None:
    _, change = with_fresh_n3()
    [(kind, text)] = said(situation("n1", "n2", "n3"), change)
    assert kind == REFUSED
    assert (
        text == "n3 is up with the directory that votes: stop it before another one takes its place"
    )


def test_M20_a_directory_that_is_not_linked_here_yet_is_waited_for() -> None:
    _, change = with_fresh_n3()
    [(kind, text)] = said(situation("n1", "n2"), change)
    assert kind == WAITS and "n3 is not linked here with the directory that was named" in text


def test_a_node_that_speaks_an_older_protocol_is_refused() -> None:
    now = situation("n1", "n3", "n4")
    old = replace(standing("n2"), version=VERSION - 1)
    now = replace(now, standings=(*now.standings, (NodeId("n2"), old)))
    [(kind, text)] = said(now, wanted("n1", "n3", "n4"))
    assert kind == REFUSED and f"n2 speaks version {VERSION - 1} of the protocol" in text


def test_another_change_under_way_is_refused_and_the_same_one_goes_on() -> None:
    change = MembersChange(epoch(4, "n1", "n2", "n4"), epoch(3, "n1", "n2", "n3"), ("a:1",) * 3)
    claim = claim_of(change, "ann@host", b"id")
    under_way = Decree.of(claim, Ballot.first(Process(NodeId("n1"), 1), 3), 0)
    now = replace(situation("n1", "n2", "n3", "n4", "n5"), under_way=under_way)
    [(kind, text)] = said(now, wanted("n1", "n2", "n5"))
    assert kind == REFUSED
    assert "a change is under way: ann@host proposed n1 n2 n4 for epoch 4" in text
    assert "propose just that again" in text
    assert said(now, wanted("n1", "n2", "n4")) == []


def test_a_node_that_joins_is_waited_for_until_it_has_caught_up() -> None:
    now = situation("n1", "n2", "n3")
    late = (NodeId("n4"), standing("n4", CAUGHT_UP + 1))
    found = said(replace(now, standings=(*now.standings, late)), wanted("n1", "n2", "n4"))
    assert found == [(WAITS, f"n4 is {CAUGHT_UP + 1:,} behind")]
    soon = (NodeId("n4"), standing("n4", CAUGHT_UP))
    assert said(replace(now, standings=(*now.standings, soon)), wanted("n1", "n2", "n4")) == []


def test_a_voter_that_is_behind_is_waited_for_only_if_it_is_needed() -> None:
    late = (NodeId("n3"), standing("n3", 50_000))
    two = situation("n1", "n2")
    assert said(replace(two, standings=(*two.standings, late)), wanted("n1", "n2", "n3")) == []
    one = situation("n2")
    found = said(replace(one, standings=(*one.standings, late)), wanted("n1", "n2", "n3"))
    assert (WAITS, "n3 is 50,000 behind") in found


def test_an_epoch_that_is_not_ready_at_a_quorum_is_waited_for() -> None:
    now = situation("n1")
    waiting = tuple((NodeId(n), standing(n, votes=False)) for n in ("n2", "n3"))
    found = said(replace(now, standings=(*now.standings, *waiting)), wanted("n1", "n2", "n3"))
    assert found == [(WAITS, "epoch 3 is ready at 1 of 3, 2 needed")]


def test_it_is_a_warning_that_no_voter_may_fail() -> None:
    findings = judge(situation("n1", "n2"), wanted("n1", "n2", "n3"))
    [finding] = findings
    assert finding.kind == WARNING and is_clear(findings)
    assert finding.text == "no voter may fail after this: 2 of 3 up, 2 needed (n3 is not up)"
    assert said(situation("n1", "n2", "n3"), wanted("n1"))[0][0] == WARNING


def test_a_voter_that_is_down_and_spare_is_a_warning() -> None:
    now = situation("n1", "n2", "n3", "n4")
    assert said(now, wanted("n1", "n2", "n3", "n4", "n5")) == [(WARNING, "n5 is not up")]
