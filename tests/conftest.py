"""What holds for every test."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """A command that sets logs up, to a stream of one test, does so for that test alone."""
    yield
    structlog.reset_defaults()
