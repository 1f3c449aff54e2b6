"""What a node says of itself: events with facts, by the standard library's logging.

Where the lines go and how they look is not known here: see `decreed.cli.logs`.
"""

import logging

LOGGER = logging.getLogger("decreed")


def debug(event: str, **facts: object) -> None:
    """Say what only somebody who looks for a fault wants to know."""
    _say(logging.DEBUG, event, facts)


def info(event: str, **facts: object) -> None:
    """Say what is as it should be."""
    _say(logging.INFO, event, facts)


def warning(event: str, **facts: object) -> None:
    """Say what somebody should look at."""
    _say(logging.WARNING, event, facts)


def error(event: str, **facts: object) -> None:
    """Say what somebody must see to."""
    _say(logging.ERROR, event, facts)


def _say(level: int, event: str, facts: dict[str, object]) -> None:
    LOGGER.log(level, event, extra={"facts": facts})
