"""Results can be pickled and copied; objects of a client raise an error that names the way out."""

import copy
import pickle
from collections.abc import Callable

import anyio
import pytest

from decreed.client import Claimed, Holder, Outcome, Watched, connect, errors, sync
from decreed.client.connecting import NotOpened
from decreed.client.runtime.copying import CannotCopy

from ..fakes import decree_of

WAYS: list[Callable[[object], object]] = [copy.copy, copy.deepcopy, pickle.dumps]
NOBODY = "127.0.0.1:1"


def refused(thing: object, way: Callable[[object], object], instead: str) -> None:
    with pytest.raises(
        errors.BadRequest, match=f"cannot be pickled or copied: .*{instead}"
    ) as told:
        way(thing)
    # the type that pickle and copy raise by convention
    assert isinstance(told.value, TypeError)


@pytest.mark.parametrize("way", WAYS)
def test_objects_of_an_asynchronous_client_cannot_be_copied(
    way: Callable[[object], object],
) -> None:
    async def main() -> None:
        client = connect(NOBODY)
        refused(client, way, "the endpoints")
        async with client as registry:
            refused(registry, way, "the endpoints")
            refused(registry.lock("x"), way, "ask for the lock itself")
            refused(registry.watch(), way, "since=position")
            refused(registry.list(), way, "ask its own")
            refused(registry.observe("x"), way, "ask its own")

    anyio.run(main)


@pytest.mark.parametrize("way", WAYS)
def test_objects_of_a_blocking_client_cannot_be_copied(way: Callable[[object], object]) -> None:
    with sync.connect(NOBODY) as registry:
        refused(registry, way, "the endpoints")
        refused(registry.lock("x"), way, "ask for the lock itself")
        refused(registry.watch(), way, "since=position")
        refused(registry.list(), way, "ask its own")
        refused(registry.observe("x"), way, "ask its own")


@pytest.mark.parametrize("way", WAYS)
def test_a_held_lock_cannot_be_copied(way: Callable[[object], object]) -> None:
    lock = sync.Lock.__new__(sync.Lock)
    refused(lock, way, "the token")


@pytest.mark.parametrize(
    "result",
    [
        decree_of("k"),
        Claimed(Outcome.WON, decree_of("k"), b"id"),
        Watched(decree_of("k"), "n1:00:1"),
        Holder("x", 7, "me", "host", 1, 0, 10.0, "", b"", b"id"),
    ],
    ids=lambda result: type(result).__name__,
)
def test_results_can_be_pickled_and_copied(result: object) -> None:
    assert pickle.loads(pickle.dumps(result)) == result == copy.deepcopy(result)


def test_errors_can_be_pickled_and_copied() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in [*kinds, NotOpened, CannotCopy]:
        if issubclass(kind, errors.DecreedError):
            error = kind("what happened")
            error.add_note("a note")
            again = pickle.loads(pickle.dumps(error))
            assert (type(again), str(again), vars(again)) == (kind, "what happened", vars(error))
