"""An export asks for whole pages, so that a policy can hide nothing of it without a word."""

import anyio
import pytest

from decreed.client import connect
from decreed.client.requests.exporting import Exporting
from decreed.registry.errors import Denied
from decreed.registry.wire.requests import Failed, ListRequest

from ..fakes import LIMIT_S, cluster_of, decree_of

pytestmark = pytest.mark.anyio


async def test_each_page_of_an_export_is_asked_for_as_a_whole_one() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.decide(decree_of("p/1"))
        with anyio.fail_after(LIMIT_S):
            pages = [page async for page in Exporting(registry._sender)]  # pyright: ignore[reportPrivateUsage]
            listed = [decree async for decree in registry.list("p")]
        assert [decree.key for page in pages for decree in page.decrees] == ["p/1"]
        assert [decree.key for decree in listed] == ["p/1"]
        asked = cluster.nodes[0].asked(ListRequest)
        assert [(each.prefix, each.whole) for each in asked] == [
            *(("$locks", True), ("", True), ("p", False)),
        ]


async def test_an_export_that_is_denied_ends_with_that() -> None:
    async with cluster_of(1) as cluster, connect(*cluster.endpoints) as registry:
        cluster.nodes[0].script = lambda _, request: Failed(request.id, Denied.code, "no")
        with anyio.fail_after(LIMIT_S), pytest.raises(Denied):
            await anext(Exporting(registry._sender))  # pyright: ignore[reportPrivateUsage]
