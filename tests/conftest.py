"""What holds for every test."""

import logging
from collections.abc import Iterator

import pytest

from decreed.cli.logs import LOGGERS


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """A command that sets logs up, to a stream of one test, does so for that test alone."""
    yield
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
