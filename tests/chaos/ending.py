"""What must hold after all faults: every node has learned every decree, and all have the same."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import trio

from decreed.client import Decree

from ..history.operations import Operation
from ..support.processes import eventually
from .faults import World
from .network import CLEAR, CLIENTS, REFUSED

Decrees = Mapping[str, Decree]
PATIENCE_S = 300.0
PAGE = 500


class Disagreement(AssertionError):
    """Two nodes, or a node and the history, disagree."""


async def heal(world: World) -> None:
    """Clear the wires, and wait until all nodes take part, even under load."""
    world.network.clear()
    await _until("all nodes take part and see each other", world.nodes.are_whole)


async def level(world: World) -> None:
    """Wait until all nodes have learned the same number of decrees; needs the load to have ended."""
    await _until("all nodes know equally much", partial(_even, world))


async def _until(what: str, condition: Callable[[], bool]) -> None:
    await trio.to_thread.run_sync(eventually, what, condition, PATIENCE_S)


def _even(world: World) -> bool:
    """Whether all nodes have the same number of decrees, and have read all feeds to the end."""
    reports = [world.nodes.report(node) for node in world.nodes.nodes]
    known = [report for report in reports if report is not None]
    if len(known) < len(reports):
        return False
    counts = {report.decrees for report in known}
    pulled = {peer.pulled for report in known for peer in report.peers}
    return len(counts) == 1 and pulled == counts


async def check(world: World, history: Iterable[Operation]) -> int:
    """Read all decrees from every node by itself.

    Returns:
        The number of decrees.

    Raises:
        Disagreement: if two nodes differ, or a decree that a client saw is missing.
    """
    told = _seen(history)
    found = {node: await _asked_alone(world, node) for node in world.nodes.nodes}
    first, *others = found
    for node in others:
        _compare(first, found[first], node, found[node])
    _compare("the history", told, first, {key: found[first].get(key) for key in told})
    return len(found[first])


def _compare(
    one: str, ones: Mapping[str, Decree | None], other: str, others: Mapping[str, Decree | None]
) -> None:
    for key in sorted(ones.keys() | others.keys()):
        if ones.get(key) != others.get(key):
            raise Disagreement(
                f"{key!r}: {one} has {ones.get(key)}, and {other} has {others.get(key)}"
            )


def _seen(history: Iterable[Operation]) -> Decrees:
    return {decree.key: decree for operation in history for decree in operation.decrees}


async def _asked_alone(world: World, node: str) -> Decrees:
    """All decrees, listed and read one by one, while clients can reach no other node."""
    others = [other for other in world.nodes.nodes if other != node]
    for other in others:
        world.network.wire(CLIENTS, other).set(REFUSED)
    try:
        return await trio.to_thread.run_sync(_listed_and_read, world, node)
    finally:
        for other in others:
            world.network.wire(CLIENTS, other).set(CLEAR)


def _listed_and_read(world: World, node: str) -> Decrees:
    with world.nodes.alone(node) as registry:
        listed: dict[str, Decree] = {decree.key: decree for decree in registry.list()}
    with world.nodes.alone(node) as registry:
        keys = list(listed)
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            read = registry.get_many(page)
            _compare("a list", {key: listed[key] for key in page}, f"a read at {node}", read)
    return listed
