"""Locks: the lease check before the next term, breaking, and terms among other keys (design 11)."""

from decreed.registry.errors import BadRequest
from decreed.registry.locks.terms import (
    Ending,
    How,
    lease_id,
    term_key,
    term_of,
)
from decreed.registry.paxos.messages import Prepare
from decreed.registry.types import Decree, NodeId
from decreed.registry.wire.leases import EndTerm
from decreed.registry.wire.requests import (
    Decreed,
    Ended,
    Failed,
    GetRequest,
    Kept,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Superseded,
)

from ...support.lockers import TTL_MS, keep, lock, release, term, told, want, wanted
from ...support.proven import to_keep
from ...support.world import World, claim, config

# -- the lease check


def test_no_node_accepts_a_term_while_it_holds_a_lease_on_the_one_before() -> None:
    """Even if the proposer got the answer that it is free: a keep-alive came in between."""
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.run(TTL_MS + 100)
    keep_first = to_keep(world.new_id(), 1_000, held)

    def renewed_in_between(sender: str, to: str, message: object) -> bool:
        if isinstance(message, Prepare) and message.key == held.next_key:
            world.lose = lambda *_: False
            world.send("n3", keep_first)
        return False

    world.lose = renewed_in_between
    mark = want(world, "n1", "b")
    began_ms = world.now_ms
    while told(world, mark) is None:
        world.run(10)
    assert isinstance(told(world, (NodeId("n3"), keep_first.id)), Kept)
    assert term(told(world, mark)) == 2
    assert world.now_ms - began_ms > TTL_MS - 20


def test_nodes_that_forgot_their_leases_refuse_for_as_long_as_one_could_run() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    assert isinstance(keep(world, "n1", held), Kept)
    for node in world.config.nodes:
        world.crash(node)
    for node in world.config.nodes:
        world.boot(node)
    restarted_ms = world.now_ms
    lock(world, "n1", "b")
    assert TTL_MS - 20 <= world.now_ms - restarted_ms < 2 * TTL_MS


def test_a_release_in_the_proposal_counts_at_a_node_that_missed_the_release() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.lose = lambda sender, to, message: isinstance(message, EndTerm) and sender != to
    release(world, "n1", held)
    began_ms = world.now_ms
    lock(world, "n1", "b")
    assert world.now_ms - began_ms < 100


def test_a_lost_release_costs_a_ttl_and_no_more() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    world.lose = lambda sender, to, message: isinstance(message, EndTerm) and sender != to
    release(world, "n1", held)
    world.crash(world.config.nodes[0])
    began_ms = world.now_ms
    lock(world, "n2", "b")
    assert world.now_ms - began_ms < 2 * TTL_MS


# -- breaking


def test_a_broken_term_is_not_renewed_and_the_next_one_records_who_broke_it_and_why() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    broken = Ending(How.BROKEN, "operator", "it hangs")
    assert isinstance(release(world, "n2", held, broken), Ended)
    assert isinstance(keep(world, "n1", held), Superseded)
    began_ms = world.now_ms
    following = lock(world, "n1", "b")
    assert world.now_ms - began_ms > TTL_MS / 2, "its lease was waited for"
    previous = term_of(following.decree).previous
    assert previous is not None and previous.ending == broken


def test_a_late_next_term_still_records_who_broke_the_last_one() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    broken = Ending(How.BROKEN, "operator", "it hangs")
    release(world, "n2", held, broken)
    world.run(20 * TTL_MS)
    previous = term_of(lock(world, "n3", "b").decree).previous
    assert previous is not None and previous.ending == broken


def test_a_forced_break_does_not_wait() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    forced = Ending(How.FORCED, "operator", "now")
    release(world, "n2", held, forced)
    began_ms = world.now_ms
    previous = term_of(lock(world, "n1", "b").decree).previous
    assert world.now_ms - began_ms < 100
    assert previous is not None and previous.ending == forced


def test_a_client_cannot_end_a_term_as_expired() -> None:
    world = World()
    held = lease_id(lock(world, "n1", "a").decree)
    refused = release(world, "n1", held, Ending(How.EXPIRED))
    assert isinstance(refused, Failed) and refused.code == BadRequest.code


# -- terms among other keys


def test_no_claim_names_a_term_and_no_list_shows_one_unasked() -> None:
    world = World()
    decree = lock(world, "n1", "a").decree
    world.freeze("n1", "k")
    refused = world.claim("n1", claim(term_key("l", 2)))
    assert isinstance(refused, Failed) and refused.code == BadRequest.code

    def listed(prefix: str) -> list[Decree]:
        page = world.ask("n2", ListRequest(world.new_id(), 1_000, prefix, "", 100))
        assert isinstance(page, ListPage)
        return list(page.decrees)

    assert [found.key for found in listed("")] == ["k"]
    assert listed("$locks") == listed("$locks/l") == [decree]
    latest = world.ask("n3", LatestRequest(world.new_id(), 1_000, "$locks/l"))
    assert isinstance(latest, Decreed) and latest.decree == decree
    got = world.ask("n3", GetRequest(world.new_id(), 1_000, decree.key))
    assert isinstance(got, Decreed) and got.decree == decree


def test_a_cluster_of_one_and_one_with_flexible_quorums_have_locks_too() -> None:
    for cluster in (config(1), config(5), config(5, prepare=4, accept=2)):
        world = World(cluster)
        granted = lock(world, "n1", "a")
        assert granted.leased == (cluster.quorums.accept * 2 > len(cluster.nodes))
        assert isinstance(keep(world, "n1", lease_id(granted.decree)), Kept)
        release(world, "n1", lease_id(granted.decree))
        assert term(lock(world, "n1", "b")) == 2


def test_nothing_is_left_in_memory_when_nobody_waits_and_nobody_holds() -> None:
    world = World()
    for number in range(5):
        release(world, "n1", lease_id(lock(world, "n1", f"h{number}").decree))
    world.ask("n1", LockRequest(world.new_id(), 200, "l", False, wanted("x")))
    world.run(5 * TTL_MS)
    for node in world.config.nodes:
        replica = world.replica(node)
        assert not replica.pending_work().keys() & {"lock queues", "keep-alives"}
        assert len(replica.parts.leases) <= 1, "how the last term ended"
