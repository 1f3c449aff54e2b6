"""What a hand-over costs each node, counted; `python -m tests.support.hand_overs` prints it.

At the home it is one synced write, and one frame to each peer. At a peer it is one turn, one write, and
one frame: the accept of a term brings the end of the term before, and its commit.
"""

import pytest

from ...support.hand_overs import COUNTED, HandOvers

SPARE = 1 / 8
"""Of a turn, for timers that fire meanwhile."""


@pytest.mark.parametrize("pace", [1.0, 2.0])
def test_a_hand_over_is_one_turn_one_write_and_one_frame_at_a_peer(pace: float) -> None:
    counted = HandOvers(8, pace).count(COUNTED)
    each = {what: count / COUNTED / 2 for what, count in counted["peers"].items()}
    assert 1 <= each["turns"] <= 1 + SPARE
    assert 1 <= each["syncs"] <= 1 + SPARE
    assert each.get("unsynced", 0.0) <= SPARE, "the decree of the last term rides with the accept"
    assert each["peer frames"] == each["encoded"] == 1
    assert each["decoded"] == 2, "an accept, and the commit of the term before"


@pytest.mark.parametrize("pace", [1.0, 2.0])
def test_a_hand_over_is_one_synced_write_and_one_frame_to_each_peer_at_the_home(
    pace: float,
) -> None:
    counted = HandOvers(8, pace).count(COUNTED)
    each = {what: count / COUNTED for what, count in counted["home"].items()}
    assert 1 <= each["syncs"] <= 1 + SPARE
    assert each["peer frames"] == 2
    assert each["client frames"] == 2
    assert each["encoded"] == 4, "an accept, a commit, and two answers"
    assert each["decoded"] == 4, "a release, a request for the lock, and two votes"
    assert each["turns"] <= 3 + SPARE


def test_every_run_counts_the_same() -> None:
    assert HandOvers(8).count(COUNTED) == HandOvers(8).count(COUNTED)


def test_a_cycle_of_a_client_alone_is_three_turns_at_the_home() -> None:
    """The request, the votes, and the release, which is told at once since nobody waits."""
    counted = HandOvers(1).count(COUNTED)["home"]
    assert counted["turns"] <= (3 + SPARE) * COUNTED
    assert counted["syncs"] == COUNTED
    assert counted["peer frames"] == 4 * COUNTED
