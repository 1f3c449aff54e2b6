"""A change is put off until its new voters are close: until they are ready, nobody votes."""

import pytest

from decreed.registry.members import members_key
from decreed.registry.replica.members.changing import MAX_LOOKS, ROUNDS
from decreed.registry.replica.members.preflight import CLOSE
from decreed.registry.types import NodeId
from decreed.registry.wire.peers import Standing

from ...support.changing import ChangingWorld
from .test_changing import decree, request

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))


@pytest.mark.parametrize("looks", [1, 2, MAX_LOOKS + 5])
def test_a_change_is_put_off_until_the_new_voter_is_close_but_not_forever(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the seal until enough voters have read the last decrees, no claim is acknowledged."""
    world = ChangingWorld([N4])
    world.run(1_000)
    told: list[int] = []

    def behind(peer: NodeId, end: int) -> int:
        told.append(CLOSE + 1 if len(told) < looks else CLOSE)
        return told[-1]

    monkeypatch.setattr(world.replica(N4).parts.catchup.ends, "behind", behind)
    assert decree(world.ask(N1, request(world, N1, N2, N4))).key == members_key(1)
    assert len(told) == min(looks, MAX_LOOKS) + 1


def test_a_new_voter_has_as_much_time_to_answer_again_though_another_node_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All questions to n3, which is dead, are used up when n4 is asked whether it is close by now."""
    world = ChangingWorld([N4])
    world.crash(N3)
    world.run(1_000)
    told: list[int] = []

    def behind(peer: NodeId, end: int) -> int:
        told.append(CLOSE + 1 if len(told) < ROUNDS else CLOSE)
        return told[-1]

    monkeypatch.setattr(world.replica(N4).parts.catchup.ends, "behind", behind)
    late_ms = 1.5 * world.config.timing.resend_ms
    world.delays = lambda _, __, message: (late_ms if isinstance(message, Standing) else 0.0,)
    assert decree(world.ask(N1, request(world, N1, N2, N4))).key == members_key(1)
    assert len(told) > ROUNDS


def test_a_change_is_put_off_for_the_node_that_is_asked_too_by_what_it_is_behind_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = ChangingWorld([N4])
    world.run(1_000)
    ends = world.replica(N1).parts.catchup.ends
    until_ms = world.now_ms + 300
    monkeypatch.setattr(
        type(ends),
        "lag",
        property(lambda one: CLOSE + 1 if one is ends and world.now_ms < until_ms else 0),
    )
    began_ms = world.now_ms
    assert decree(world.ask(N1, request(world, N1, N2, N4))).key == members_key(1)
    assert until_ms <= world.now_ms < began_ms + 4 * world.config.timing.resend_ms
