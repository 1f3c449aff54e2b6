"""Every test of the client runs under trio and under asyncio."""

from typing import Any

import pytest

from decreed.client.locks import acquiring, lease

from ..support.held_up import again_if_held_up, is_leased
from ..support.steady import Steady, SteadyClock, SteadyLoop

REAL_SERVERS = "cluster"
"""The fixture of servers that run in a thread of their own, by the clock of the machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that holds a lease proves nothing in a process that stood still."""
    for item in items:
        if isinstance(item, pytest.Function) and is_leased(item):
            item.obj = again_if_held_up(item.obj)


@pytest.fixture
def steady() -> Steady:
    """The time of the test and its fake nodes."""
    return Steady()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The event loop to run under. Beside fake nodes, which live in it, it goes by a steady time."""
    name = str(request.param)
    if REAL_SERVERS in request.fixturenames:
        return name
    steady: Steady = request.getfixturevalue("steady")
    for module in (acquiring, lease):
        monkeypatch.setattr(module, "now_ms", lambda: steady.now() * 1_000)
    return name, backend_options(name, steady)


def backend_options(name: str, steady: Steady) -> dict[str, Any]:
    """What anyio is told to run a loop by `steady`."""
    if name == "asyncio":
        return {"loop_factory": lambda: SteadyLoop(steady)}
    clock = SteadyClock(steady)
    return {"clock": clock, "instruments": [clock]}
