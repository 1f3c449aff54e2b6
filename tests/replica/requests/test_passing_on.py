"""Forwarded claims: their answers and errors, and what happens when their node fails."""

from decreed.registry.errors import (
    Disputed,
    OutcomeUnknown,
    SeriesGap,
    StorageFailed,
    Unreachable,
    error_from_wire,
)
from decreed.registry.keys import homes
from decreed.registry.paxos.messages import Accept, Commit, Prepare
from decreed.registry.replica.step.events import ClientGone, FromPeer, Reachable
from decreed.registry.types import Ballot, Decree, Key, NodeId, Process
from decreed.registry.wire.peers import PassedClaim, PeerMessage
from decreed.registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
)
from decreed.storage.layout import instance_key

from ...support.world import World, claim, stored

KEY = Key("k")
FIRST = Key("s@1")


def everything(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return True


def nothing(sender: NodeId, to: NodeId, message: PeerMessage) -> bool:
    return False


def order(world: World, key: Key) -> list[NodeId]:
    return homes(key, world.config.nodes)


def failing(world: World, node: NodeId) -> None:
    world.machines[node].disk.fail_writes = 1_000_000
    world.claim(node, claim(f"notice/{node}", claim_id=node.encode()), timeout_ms=200, here=True)


def code_of(answer: Answer) -> int | None:
    return answer.code if isinstance(answer, Failed) else None


def passed_next(world: World, timeout_ms: int = 1_000) -> tuple[NodeId, int]:
    """The last in the order forwards a claim of the next slot to the home; all else is lost."""
    world.lose = everything
    request = ClaimNextRequest(world.new_id(), timeout_ms, False, claim(FIRST, b"v", b"mine"))
    mark = world.send(order(world, FIRST)[2], request)
    world.settle()
    return mark


def test_a_claim_passes_over_a_home_with_a_damaged_record() -> None:
    world = World()
    home, _, last = order(world, KEY)
    world.post(home, FromPeer(last, Prepare(KEY, Ballot(1, Process(last, 1)))))
    world.settle()
    world.machines[home].disk.flip(instance_key(KEY), 6)
    assert isinstance(world.claim(last, claim(KEY)), Decreed)


def test_when_all_others_have_refused_definitely_running_out_of_time_is_definite() -> None:
    world = World()
    home, second, last = order(world, KEY)
    failing(world, home)
    failing(world, second)
    assert code_of(world.claim(last, claim(KEY), timeout_ms=500)) == Unreachable.code


def test_a_definite_refusal_does_not_hide_an_earlier_indefinite_try() -> None:
    world = World()
    home, second, last = order(world, KEY)
    world.lose = everything
    mark = world.send(last, ClaimRequest(world.new_id(), 1_000, False, claim(KEY)))
    world.settle()
    world.post(last, Reachable(home, False))
    world.settle()
    passed = [m.request for _, to, m in world.sent if to == second and isinstance(m, PassedClaim)]
    world.post(last, FromPeer(second, Failed(passed[-1].id, StorageFailed.code, "full")))
    world.run(2_000)
    assert code_of(world.answers[mark][0]) == OutcomeUnknown.code


def test_an_error_of_the_home_with_an_unknown_code_is_indefinite() -> None:
    world = World()
    home, _, last = order(world, KEY)
    for code in (0, 999):
        world.lose = everything
        mark = world.send(last, ClaimRequest(world.new_id(), 1_000, False, claim(KEY)))
        world.settle()
        passed = [m.request for _, to, m in world.sent if to == home and isinstance(m, PassedClaim)]
        world.post(last, FromPeer(home, Failed(passed[-1].id, code, "what is this?")))
        world.settle()
        [answer] = world.answers[mark]
        assert isinstance(answer, Failed) and not error_from_wire(answer.code, "").definite


def test_a_forwarded_claim_has_no_more_time_than_its_client() -> None:
    world = World()
    home, _, last = order(world, KEY)
    world.lose = everything
    world.send(last, ClaimRequest(world.new_id(), 1_000, False, claim(KEY)))
    world.run(400)
    world.post(last, Reachable(home, False))
    world.settle()
    times = [
        message.request.timeout_ms
        for _, _, message in world.sent
        if isinstance(message, PassedClaim)
    ]
    assert len(times) == 2
    assert times[0] <= 1_000 and times[1] <= 600


def test_a_claim_of_the_next_slot_is_answered_when_its_win_is_learned_here() -> None:
    world = World()
    mark = passed_next(world)
    ballot = Ballot(1, Process(order(world, FIRST)[0], 1))
    decree = Decree.of(claim(FIRST, b"v", b"mine"), ballot, 0)
    world.post(mark[0], FromPeer(order(world, FIRST)[0], Commit(FIRST, decree)))
    world.settle()
    assert [a.decree for a in world.answers[mark] if isinstance(a, Decreed)] == [decree]


def test_a_claim_of_the_next_slot_stays_with_the_home_when_another_won_the_first() -> None:
    world = World()
    mark = passed_next(world)
    home = order(world, FIRST)[0]
    other = Decree.of(claim(FIRST, b"v", b"other"), Ballot(1, Process(home, 1)), 0)
    world.post(mark[0], FromPeer(home, Commit(FIRST, other)))
    world.run(3_000)
    assert code_of(world.answers[mark][0]) == OutcomeUnknown.code


def test_a_slot_is_not_proposed_while_the_previous_one_is_only_accepted() -> None:
    world = World()
    node, rival = order(world, FIRST)[0], order(world, FIRST)[1]
    half = Decree.of(claim(FIRST, b"v", b"half"), Ballot(3, Process(rival, 1)), 0)
    world.post(node, FromPeer(rival, Accept(FIRST, half.ballot, half)))
    world.settle()
    world.lose = everything
    world.send(node, ClaimRequest(world.new_id(), 1_000, True, claim("s@2", b"w", b"second")))
    world.run(3_000)
    assert not [m for _, _, m in world.sent if isinstance(m, Prepare) and m.key == "s@2"]
    world.lose = nothing
    answer = world.claim(node, claim("s@2", b"w", b"again"), here=True)
    assert isinstance(answer, Decreed) and stored(world, node, FIRST).learned == half


def test_a_claim_of_a_disputed_key_ends_with_that_error() -> None:
    world = World()
    world.freeze("n1", KEY)
    wrong = Decree.of(claim(KEY, b"wrong", b"w"), Ballot(1, Process(NodeId("n2"), 1)), 0)
    world.post(NodeId("n1"), FromPeer(NodeId("n2"), Commit(KEY, wrong)))
    world.settle()
    assert code_of(world.claim("n1", claim(KEY))) == Disputed.code


def test_a_refusal_of_the_claim_itself_is_passed_to_the_client() -> None:
    world = World()
    answer = world.claim(order(world, FIRST)[2], claim("s@2"))
    assert code_of(answer) == SeriesGap.code


def test_a_claim_that_another_node_works_at_is_unknown_when_the_disk_of_this_one_fails() -> None:
    world = World()
    asked = order(world, KEY)[2]
    world.lose = everything
    mark = world.send(asked, ClaimRequest(world.new_id(), 5_000, False, claim(KEY)))
    world.settle()
    failing(world, asked)
    [answer] = world.answers[mark]
    assert code_of(answer) == OutcomeUnknown.code


def test_a_claim_that_was_passed_on_and_that_nobody_waits_for_is_forgotten() -> None:
    world = World()
    asked = order(world, KEY)[2]
    world.lose = everything
    world.send(asked, ClaimRequest(world.new_id(), 5_000, False, claim(KEY)))
    world.settle()
    claims = world.replica(asked).parts.claims
    assert claims._passed and claims._passed_by_key
    world.post(asked, ClientGone(1))
    world.run(10_000)
    assert not claims._passed and not claims._passed_by_key
