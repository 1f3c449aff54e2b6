"""Every test of the client runs under trio and under asyncio."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop to run under."""
    return str(request.param)
