"""Claims: joining, the home, failing over, series, and answers when the time is over."""

import pytest

from decreed.registry.errors import (
    BadRequest,
    NotFormed,
    OutcomeUnknown,
    SeriesGap,
    Unreachable,
)
from decreed.registry.keys import homes
from decreed.registry.paxos.messages import Accept, Accepted, Prepare, Promise
from decreed.registry.replica.step.events import ClientGone, FromPeer, Reachable
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.peers import PassedClaim
from decreed.registry.wire.requests import Cancel, ClaimNextRequest, ClaimRequest, Decreed, Failed

from ...support.world import World, claim, config, stored


def code_of(answer: object) -> int:
    assert isinstance(answer, Failed), answer
    return answer.code


def next_request(world: World, series: str, claim_id: bytes, first: int = 1) -> ClaimNextRequest:
    wanted = claim(f"{series}@{first}", b"value of " + claim_id, claim_id)
    return ClaimNextRequest(world.new_id(), 5_000, False, wanted)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_every_cluster_size_decides(size: int) -> None:
    world = World(config(size))
    decreed = world.freeze("n1", "k")
    assert all(stored(world, node, "k").learned == decreed.decree for node in world.up())


def test_flexible_quorums_decide_with_fewer_acceptances() -> None:
    world = World(config(5, prepare=4, accept=2))
    world.lose = lambda sender, to, message: isinstance(message, Accepted) and sender != "n2"
    world.claim("n1", claim("k"), here=True)
    assert stored(world, "n1", "k").learned is not None


def test_concurrent_claims_join_one_attempt_and_all_get_the_same_decree() -> None:
    world = World()
    marks = [
        world.send(
            "n1", ClaimRequest(world.new_id(), 5_000, True, claim("k", b"%d" % n, b"%d" % n))
        )
        for n in range(10)
    ]
    world.sent.clear()
    world.run(100)
    decrees = {a.decree for mark in marks for a in world.answers[mark] if isinstance(a, Decreed)}
    assert len(decrees) == 1
    assert decrees.pop().claim_id == b"0", "the first claim in the attempt is proposed"
    assert len({m.ballot for _, _, m in world.sent if isinstance(m, Prepare)}) == 1


def test_a_claim_is_forwarded_to_the_home_of_its_key() -> None:
    world = World()
    for number in range(12):
        key = f"k{number}"
        world.freeze("n1", key)
        home = homes(Key(key), world.config.nodes)[0]
        learned = stored(world, "n1", key).learned
        assert learned is not None and learned.ballot.process.node == home


def test_slots_of_a_series_share_a_home() -> None:
    nodes = config(7).nodes
    assert len({tuple(homes(Key(f"a/b@{n}"), nodes)) for n in range(1, 50)}) == 1
    assert homes(Key("a/b@7"), nodes) == homes(Key("a/b"), nodes)


def test_when_the_home_is_suspected_the_next_node_coordinates_at_once() -> None:
    world = World()
    home, second, third = homes(Key("k"), world.config.nodes)
    world.crash(home)
    began = world.now_ms
    decreed = world.claim(third, claim("k"))
    assert isinstance(decreed, Decreed)
    assert decreed.decree.ballot.process.node == second
    assert world.now_ms - began < 50


def test_a_claim_forwarded_to_a_home_that_dies_is_coordinated_elsewhere_at_once() -> None:
    world = World()
    home, _, third = homes(Key("k"), world.config.nodes)
    world.lose = lambda sender, to, message: to == home and isinstance(message, PassedClaim)
    mark = world.send(third, ClaimRequest(world.new_id(), 5_000, False, claim("k")))
    world.settle()
    assert not world.answers[mark]
    world.post(third, Reachable(home, False))
    world.settle()
    assert isinstance(world.answers[mark][0], Decreed)


def test_a_refusal_for_a_fault_of_the_home_moves_the_claim_to_the_next_node() -> None:
    world = World()
    home, _, third = homes(Key("k"), world.config.nodes)
    world.machines[home].disk.fail_writes = 1_000_000
    world.claim(home, claim("other", claim_id=b"o"), timeout_ms=300, here=True)
    assert not world.replica(home).node.voting
    assert isinstance(world.claim(third, claim("k")), Decreed)


def test_repeating_a_claim_id_gives_the_same_decree_and_freezes_nothing_new() -> None:
    world = World()
    wanted = claim("k", b"v", b"mine")
    first = world.claim("n1", wanted)
    for node in world.up():
        again = world.claim(node, wanted)
        assert isinstance(again, Decreed) and isinstance(first, Decreed)
        assert again.decree == first.decree


def test_without_a_quorum_of_promises_a_claim_is_unreachable_and_never_proposed_later() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    answer = world.claim("n1", claim("k"), timeout_ms=400, here=True)
    assert code_of(answer) == Unreachable.code
    world.lose = lambda sender, to, message: False
    world.run(10_000)
    assert all(stored(world, node, "k").learned is None for node in world.up())
    assert all(stored(world, node, "k").accepted is None for node in world.up())


def test_once_an_accept_has_left_the_outcome_is_unknown() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accept)
    answer = world.claim("n1", claim("k"), timeout_ms=400, here=True)
    assert code_of(answer) == OutcomeUnknown.code


def test_a_claim_that_joined_another_ones_proposal_stays_definite() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accept)
    first = world.send("n1", ClaimRequest(world.new_id(), 400, True, claim("k", b"1", b"1")))
    second = world.send("n1", ClaimRequest(world.new_id(), 400, True, claim("k", b"2", b"2")))
    world.run(1_000)
    assert code_of(world.answers[first][0]) == OutcomeUnknown.code
    assert code_of(world.answers[second][0]) == Unreachable.code


def test_a_forwarded_claim_whose_home_falls_silent_is_indefinite() -> None:
    world = World()
    home, _, third = homes(Key("k"), world.config.nodes)
    world.lose = lambda sender, to, message: sender == home
    mark = world.send(third, ClaimRequest(world.new_id(), 300, False, claim("k")))
    world.run(1_000)
    assert code_of(world.answers[mark][0]) == OutcomeUnknown.code


def test_a_claim_whose_client_is_gone_is_not_proposed() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    world.send("n1", ClaimRequest(world.new_id(), 60_000, True, claim("k")))
    world.settle()
    world.post(NodeId("n1"), ClientGone(1))
    world.lose = lambda sender, to, message: False
    world.run(10_000)
    assert stored(world, "n1", "k").accepted is None
    assert stored(world, "n1", "k").learned is None


def test_a_cancelled_claim_is_not_proposed() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Promise)
    request = ClaimRequest(world.new_id(), 60_000, True, claim("k"))
    mark = world.send("n1", request)
    world.settle()
    world.send("n1", Cancel(request.id))
    world.lose = lambda sender, to, message: False
    world.run(10_000)
    assert stored(world, "n1", "k").accepted is None
    assert stored(world, "n1", "k").learned is None
    assert code_of(world.answers[mark][0]) == Unreachable.code, "each request has an answer"


@pytest.mark.parametrize("key", ["a b", "/a", "a/", "a//b", "a@0", "a@01", "$l", "..", "x" * 600])
def test_a_bad_key_is_refused_and_harms_nothing(key: str) -> None:
    world = World()
    assert code_of(world.claim("n1", claim(key))) == BadRequest.code
    world.freeze("n1", "good")


@pytest.mark.parametrize("key", ["a b", "a@x", "a@0", "$locks/a@2", "$locks/a@x"])
def test_a_bad_key_in_a_forwarded_claim_is_refused_and_harms_nothing(key: str) -> None:
    world = World()
    world.sent.clear()
    world.post(
        NodeId("n1"), FromPeer(NodeId("n2"), PassedClaim(ClaimRequest(7, 1_000, True, claim(key))))
    )
    world.settle()
    failed = [message for _, _, message in world.sent if isinstance(message, Failed)]
    assert [(answer.id, answer.code) for answer in failed] == [(7, BadRequest.code)]
    world.freeze("n1", "good")


def test_values_up_to_the_limit_are_accepted_and_larger_ones_refused() -> None:
    world = World()
    limit = world.config.limits.max_value_bytes
    assert isinstance(world.claim("n1", claim("at", b"x" * limit, b"1")), Decreed)
    for key in ("over", "at"):  # the second is decided, and its claim no better for it
        assert code_of(world.claim("n1", claim(key, b"x" * (limit + 1), b"2"))) == BadRequest.code


def test_a_slot_is_refused_while_the_previous_one_is_undecided() -> None:
    world = World()
    assert code_of(world.claim("n1", claim("s@2", claim_id=b"a"))) == SeriesGap.code
    world.freeze("n1", "s@1")
    assert isinstance(world.claim("n1", claim("s@2", claim_id=b"b")), Decreed)


def test_claim_next_takes_the_next_free_slot() -> None:
    world = World()
    for number in range(1, 12):
        answer = world.ask("n2", next_request(world, "s", b"c%d" % number))
        assert isinstance(answer, Decreed)
        assert answer.decree.key == f"s@{number}"


def test_a_repeated_claim_next_gives_the_slot_that_it_won_even_after_others() -> None:
    world = World()
    mine = next_request(world, "s", b"mine")
    first = world.ask("n1", mine)
    world.ask("n1", next_request(world, "s", b"other"))
    again = world.ask("n3", next_request(world, "s", b"mine"))
    assert isinstance(first, Decreed) and isinstance(again, Decreed)
    assert again.decree == first.decree


def test_many_claim_next_at_all_nodes_leave_no_gap_and_win_one_slot_each() -> None:
    world = World()
    marks = [world.send(f"n{n % 3 + 1}", next_request(world, "s", b"c%d" % n)) for n in range(30)]
    world.run(8_000)
    keys = [a.decree.key for mark in marks for a in world.answers[mark] if isinstance(a, Decreed)]
    assert sorted(keys, key=lambda key: int(key[2:])) == [f"s@{n}" for n in range(1, 31)]


def test_claim_next_needs_a_slot_to_start_from() -> None:
    world = World()
    request = ClaimNextRequest(world.new_id(), 1_000, False, claim("plain"))
    assert code_of(world.ask("n1", request)) == BadRequest.code


def test_a_cluster_that_has_not_formed_refuses_definitely() -> None:
    world = World(up=["n1", "n2"])
    assert code_of(world.claim("n1", claim("k"))) == NotFormed.code
