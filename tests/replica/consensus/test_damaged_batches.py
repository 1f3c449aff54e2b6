"""Batches of a home that can no longer read one of its own records."""

from collections.abc import Collection

import pytest

from decreed.registry.errors import Unreachable
from decreed.registry.paxos.messages import (
    Accept,
    AcceptedMany,
    AcceptMany,
    Commit,
    CommitMany,
    Prepare,
)
from decreed.registry.types import Key
from decreed.registry.unserved import DamagedInstance
from decreed.registry.wire.peers import Fetch, Pull
from decreed.registry.wire.requests import ClaimRequest, Decreed, Failed
from decreed.storage import layout

from ...support.batches import (
    N1,
    N2,
    N3,
    asks,
    decrees,
    heard,
    identity,
    keys_of,
    propose_batch,
    said,
    take,
    under_way,
    unheard,
)
from ...support.world import World, claim, config, stored


def damage(world: World, key: Key, patch: pytest.MonkeyPatch) -> None:
    """From now on the home cannot read its record of `key`."""
    storage = world.machines[N1].storage
    assert storage is not None
    load = storage.load

    def damaged(keys: Collection[Key]) -> object:
        return {**load(keys), **({key: DamagedInstance("it is damaged")} if key in keys else {})}

    patch.setattr(storage, "load", damaged)


def test_R20_a_node_that_refused_a_damaged_key_is_not_counted_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(config(5))
    lost, other = keys = keys_of(world, 2)
    world.lose = lambda sender, to, message: (
        isinstance(message, AcceptedMany) or (isinstance(message, AcceptMany) and to != N3)
    )
    propose_batch(world, keys)
    world.settle()
    assert [stored(world, node, lost).accepted is not None for node in (N1, N2, N3)] == [
        True,
        False,
        True,
    ]
    damage(world, lost, monkeypatch)
    heard(world)
    take(world, N1, (N2, AcceptedMany(identity(), 1, (lost,))))
    take(world, N1, (N3, AcceptedMany(identity(), 1, ())))
    (commit,) = said(world, CommitMany, N1, N3)
    assert isinstance(commit, CommitMany) and commit.keys == (other,)
    assert stored(world, N3, lost).learned is None, "two of five have accepted it"


def test_a_damaged_key_leaves_a_batch_that_gets_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    keys = keys_of(world, 2)
    unheard(world, AcceptMany)
    propose_batch(world, keys)
    world.settle()
    damage(world, keys[0], monkeypatch)
    world.run(10_000)
    assert not under_way(world)


def test_a_key_that_proves_damaged_when_the_queue_leaves_delays_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    first, lost = keys_of(world, 2)
    unheard(world, AcceptMany, Accept, Prepare)
    world.send(N1, asks(world, first, timeout_ms=300))
    world.settle()
    damaged = world.send(N1, asks(world, lost, timeout_ms=300))
    world.settle()
    damage(world, lost, monkeypatch)
    world.run(30_000)
    (answer,) = world.answers[damaged]
    assert isinstance(answer, Failed) and answer.code == Unreachable.code
    assert not world.replica(N1).parts.coordinator.batches.under_way


def test_R14_a_vote_is_remembered_though_its_row_could_not_be_read_at_a_start() -> None:
    """The votes of a batch have no rows of their own, and the look-up of them failed."""
    world = World()
    keys = keys_of(world, 2)
    world.lose = lambda sender, to, message: (
        N3 in (sender, to) or isinstance(message, Commit | CommitMany | Pull | Fetch)
    )
    marks = propose_batch(world, keys, b"first")
    world.run(20)
    first = decrees(world, marks)[0]
    world.crash(N1)
    world.crash(N2)
    disk = world.machines[N2].disk
    disk.lose(layout.instance_key(keys[0]))
    world.boot(N2)
    disk.restore()
    world.lose = lambda *_: False
    world.run(300)
    second = claim(keys[0], b"second", b"other id")
    answer = world.ask(N3, ClaimRequest(world.new_id(), 5_000, True, second))
    assert isinstance(answer, Decreed) and answer.decree == first
