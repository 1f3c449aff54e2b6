"""A watch whose position was lost lists; from every position that it yields nothing is missed."""

from typing import Any

import anyio
import pytest

from decreed.client import connect
from decreed.client.requests.results import Watched
from decreed.client.requests.watching import Watching
from decreed.registry.wire.requests import ListRequest, WatchPage, WatchRequest

from ..fakes import LIMIT_S, AsUsual, FakeNode, Script, cluster_of, decree_of

pytestmark = pytest.mark.anyio


async def steps(watching: Watching, count: int) -> list[Watched]:
    """The next `count` events."""
    with anyio.fail_after(LIMIT_S):
        return [await anext(watching) for _ in range(count)]


def keys(seen: list[Watched]) -> list[str]:
    return [watched.decree.key for watched in seen]


def loses_once() -> Script:
    """A node that says once that it has lost a watch's position, and is honest otherwise."""
    lost = list[Any]()

    def script(node: FakeNode, request: Any) -> Any:
        if isinstance(request, WatchRequest) and request.since is not None and not lost:
            lost.append(request)
            return WatchPage(request.id, (), node.position(), True)
        return AsUsual

    return script


async def test_a_position_that_its_own_node_has_lost_leads_to_a_list() -> None:
    """Its position has the same node and disk as before: the answer "lost" is enough."""
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        watching = registry.watch("p")
        await watching.begin()
        cluster.decide(decree_of("p/1"))
        assert keys(await steps(watching, 1)) == ["p/1"]
        for key in ("p/2", "p/3"):
            cluster.decide(decree_of(key))
        node.script = loses_once()
        assert keys(await steps(watching, 2)) == ["p/2", "p/3"]
        assert node.asked(ListRequest)
        cluster.decide(decree_of("p/4"))
        assert keys(await steps(watching, 1)) == ["p/4"]


async def test_a_position_in_the_middle_of_a_list_is_the_one_before_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A watch resumed from it lists again: a list is in order of keys, unlike the feed."""
    monkeypatch.setattr("decreed.client.requests.watching.PAGE_SIZE", 2)
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        watching = registry.watch("p")
        await watching.begin()
        cluster.decide(decree_of("p/9"))
        [before] = await steps(watching, 1)
        numbers = (5, 4, 3, 2, 1)
        for number in numbers:
            cluster.decide(decree_of(f"p/{number}"))
        node.script = loses_once()
        listed = await steps(watching, 5)
        assert keys(listed) == [f"p/{number}" for number in sorted(numbers)]
        assert len(node.asked(ListRequest)) == 3
        assert {watched.position for watched in listed} == {before.position}
        for count, watched in enumerate(listed, 1):
            again = await steps(registry.watch("p", since=watched.position), 5)
            assert set(keys(again)) | set(keys(listed[:count])) >= set(keys(listed))
        cluster.decide(decree_of("p/6"))
        [behind] = await steps(watching, 1)
        assert behind.position != before.position
        since = [request.since.index for request in node.asked(WatchRequest) if request.since]
        assert since[-1] == 6, "the watch goes on behind what was listed"
        cluster.decide(decree_of("p/7"))
        assert keys(await steps(registry.watch("p", since=behind.position), 1)) == ["p/7"]


async def test_only_the_last_decree_of_a_page_has_the_position_after_the_page() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("p/0"))
        watching = registry.watch("p")
        await watching.begin()
        for number in (1, 2, 3):
            cluster.decide(decree_of(f"p/{number}"))
        seen = await steps(watching, 3)
        for count, watched in enumerate(seen, 1):
            cluster.decide(decree_of(f"p/{count + 3}"))
            again = registry.watch("p", since=watched.position)
            rest = keys(await steps(again, 3 if count < 3 else 1))
            assert set(rest) >= set(keys(seen[count:])), "none that came behind it is missed"


async def test_a_list_that_fails_between_pages_does_not_count_as_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until the last page has come, the position is still the one before the list."""
    monkeypatch.setattr("decreed.client.requests.watching.PAGE_SIZE", 1)
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        [node] = cluster.nodes
        watching = registry.watch("p")
        await watching.begin()
        for number in (1, 2, 3):
            cluster.decide(decree_of(f"p/{number}"))
        lost, pages = loses_once(), list[Any]()

        def script(node: FakeNode, request: Any) -> Any:
            if isinstance(request, ListRequest):
                pages.append(request)
                cluster.decide(decree_of(f"p/{len(pages) + 3}"))
            return lost(node, request)

        node.script = script
        seen = keys(await steps(watching, 6))
        assert seen[:3] == ["p/1", "p/2", "p/3"]
        assert set(seen) == {f"p/{number}" for number in range(1, 7)}
