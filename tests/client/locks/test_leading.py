"""Leaders: election, observers, and campaigns after a loss."""

import json
from collections.abc import Iterator

import anyio
import pytest

from decreed.client import Lock, connect
from decreed.registry.errors import BadRequest, Unreachable

from ...support.background import Servers, servers
from ..fakes import LIMIT_S


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")


@pytest.mark.anyio
async def test_each_new_leader_is_observed_once(cluster: Servers, name: str) -> None:
    async with connect(*cluster.endpoints) as registry:
        async with registry.lead(name, info={"at": 1}):
            observing = registry.observe(name)
            first = await anext(observing)
            assert (first.term, json.loads(first.info)) == (1, {"at": 1})
        async with registry.lead(f"{name}/deeper"), registry.lead(name):
            assert (await anext(observing)).term == 2
        assert (await anext(registry.observe(name))).term == 2, "the latest is told at once"


@pytest.mark.anyio
async def test_an_observer_may_come_before_any_leader(cluster: Servers, name: str) -> None:
    seen: list[int] = []
    begun = anyio.Event()

    async def observe() -> None:
        begun.set()
        async for holder in registry.observe(name):
            seen.append(holder.term)
            if holder.term == 2:
                return

    async with connect(*cluster.endpoints) as registry:
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(observe)
                await begun.wait()
                for _ in range(2):
                    async with registry.lead(name):
                        pass
    assert seen[-1] == 2 and seen == sorted(set(seen))


@pytest.mark.anyio
async def test_a_program_that_lost_the_lead_campaigns_again(cluster: Servers, name: str) -> None:
    terms: list[int] = []

    async def work(term: Lock) -> None:
        terms.append(term.token)
        if len(terms) < 3:
            await registry.break_lock(term.holder, "try another")
            await anyio.sleep(10 * LIMIT_S)

    async with connect(*cluster.endpoints) as registry:
        with anyio.fail_after(LIMIT_S):
            await registry.keep_leading(name, work, ttl=0.6, pause=0.01)
        assert terms == [1, 2, 3]
        lock_state = await registry.lock_state(name)
        assert lock_state is not None and not lock_state.held, "it has resigned"


@pytest.mark.anyio
async def test_errors_of_a_leaders_work_are_raised(cluster: Servers, name: str) -> None:
    async def work(term: Lock) -> None:
        raise Unreachable("something of the work's own")

    async with connect(*cluster.endpoints) as registry:
        with pytest.raises(Unreachable, match="own"):
            await registry.keep_leading(name, work)
        with pytest.raises(BadRequest, match="JSON"):
            registry.lead(name, info=object())
