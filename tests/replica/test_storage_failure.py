"""A disk that fails: the node stops voting, continues to serve, and reports nothing unstored."""

from decreed.registry.errors import Damaged, OutcomeUnknown, StorageFailed
from decreed.registry.paxos.messages import Accept, Accepted, Promise
from decreed.registry.replica.step.events import Reachable
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import (
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    WatchPage,
    WatchRequest,
)
from decreed.storage.layout import instance_key

from ..support.world import World, claim, stored

N1, N2 = NodeId("n1"), NodeId("n2")


def failing(world: World, node: NodeId) -> None:
    """Make the node's disk fail, and let the node notice."""
    world.machines[node].disk.fail_writes = 1_000_000
    world.claim(node, claim("notice", claim_id=b"n"), timeout_ms=200, here=True)
    assert not world.replica(node).node.voting


def test_the_node_continues_to_serve_what_it_has_learned() -> None:
    world = World()
    decreed = world.freeze("n1", "k")
    failing(world, N1)
    answer = world.ask("n1", GetRequest(world.new_id(), 1_000, Key("k")))
    assert isinstance(answer, Decreed) and answer.decree == decreed.decree


def test_the_node_neither_votes_nor_proposes_until_restarted() -> None:
    world = World()
    failing(world, N1)
    world.sent.clear()
    world.freeze("n2", "k")
    world.machines[N1].disk.fail_writes = 0
    world.freeze("n2", "k2")
    said = [message for sender, _, message in world.sent if sender == "n1"]
    assert not any(isinstance(message, Promise | Accepted) for message in said)
    answer = world.claim("n1", claim("k3"), here=True)
    assert isinstance(answer, Failed) and answer.code == StorageFailed.code
    assert "restart" in answer.message
    world.crash(N1)
    world.boot(N1)
    world.run(100)
    assert world.replica("n1").node.voting


def test_the_cluster_continues_without_it() -> None:
    world = World()
    failing(world, N1)
    for number in range(10):
        world.freeze(f"n{number % 2 + 2}", f"k{number}")


def test_a_write_that_fails_during_a_claim_makes_its_outcome_unknown() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accept | Promise)
    mark = world.send("n1", ClaimRequest(world.new_id(), 5_000, True, claim("k")))
    world.settle()
    world.machines[N1].disk.fail_writes = 1_000_000
    world.lose = lambda sender, to, message: False
    world.run(5_000)
    (answer,) = world.answers[mark]
    assert isinstance(answer, Failed) and answer.code == OutcomeUnknown.code
    assert stored(world, "n1", "k").learned is None


def test_every_answer_waits_for_its_sync() -> None:
    """With a disk that writes but never syncs, no message can have relied on a sync."""
    world = World()
    for machine in world.machines.values():
        machine.disk.fail_syncs = 1_000_000
    world.sent.clear()
    answer = world.claim("n1", claim("k"), timeout_ms=500, here=True)
    assert isinstance(answer, Failed)
    assert not any(isinstance(m, Promise | Accepted) for _, _, m in world.sent)


def test_each_turn_syncs_once_however_many_claims_are_in_it() -> None:
    world = World()
    before = world.machines[N1].disk.syncs
    for number in range(200):
        world.send(
            "n1",
            ClaimRequest(world.new_id(), 5_000, True, claim(f"k{number}", claim_id=b"%d" % number)),
        )
    world.run(10)
    assert all(stored(world, "n1", f"k{number}").learned for number in range(200))
    assert world.machines[N1].disk.syncs - before < 12


def test_a_damaged_record_is_an_error_for_its_key_alone() -> None:
    world = World()
    world.freeze("n1", "bad")
    world.freeze("n1", "good")
    world.machines[N1].disk.flip(instance_key("bad"), 20)
    answer = world.ask("n1", GetRequest(world.new_id(), 1_000, Key("bad")))
    assert isinstance(answer, Failed) and answer.code == Damaged.code
    assert "bad" in answer.message and "n1" in answer.message
    assert isinstance(world.ask("n1", GetRequest(world.new_id(), 1_000, Key("good"))), Decreed)


def test_a_node_with_a_damaged_instance_does_not_vote_for_that_key() -> None:
    world = World()
    world.lose = lambda sender, to, message: isinstance(message, Accepted)
    world.send("n1", ClaimRequest(world.new_id(), 500, True, claim("k")))
    world.run(1_000)
    world.machines[N2].disk.flip(instance_key("k"), 20)
    world.lose = lambda sender, to, message: False
    world.sent.clear()
    world.run(3_000)
    votes = [m for s, _, m in world.sent if s == "n2" and isinstance(m, Promise | Accepted)]
    assert not [vote for vote in votes if vote.key == "k"]


def test_feed_entries_that_a_failed_write_lost_are_not_waited_for() -> None:
    world = World()
    start = world.ask("n1", WatchRequest(world.new_id(), 1_000, "", None, 10))
    assert isinstance(start, WatchPage)
    world.machines[N1].disk.fail_writes = 1_000_000
    world.freeze("n2", "k")
    world.run(1_000)
    assert not world.replica("n1").node.voting
    page = world.ask("n1", WatchRequest(world.new_id(), 500, "", start.position, 10))
    assert isinstance(page, WatchPage)
    assert page.decrees == () and page.position == start.position


def test_a_node_whose_disk_failed_records_no_peer_and_welcomes_none() -> None:
    world = World()
    failing(world, N1)
    world.crash(N2)
    world.rejected.clear()
    world.boot(N2)
    world.run(100)
    assert any("restart" in message for node, message in world.rejected if node == N2)


def test_nodes_that_all_refuse_a_claim_do_not_forward_it_forever() -> None:
    world = World()
    for node in world.config.nodes:
        failing(world, NodeId(node))
        for other in world.config.nodes:
            if other != node:
                world.post(NodeId(other), Reachable(NodeId(node), True))
    answer = world.claim("n1", claim("k", claim_id=b"k"))
    assert isinstance(answer, Failed) and answer.code == StorageFailed.code
