"""What a node says of itself: events with facts, by the standard library's logging.

Where the lines go and how they look is not known here: see `decreed.cli.logs`. What strangers can cause
is said by `strangers`, in bounded numbers and with their address.
"""

import logging
import time

from .rates import Rates

LOGGER = logging.getLogger("decreed")
RATES = Rates()


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


def strangers(event: str, address: str, *, level: int = logging.WARNING, **facts: object) -> None:
    """Say what anybody can cause who can connect. Said seldom; `unsaid` counts the others.

    Args:
        event: what happened; each event has a rate of its own, so it holds nothing that others choose.
        address: of who caused it.
        level: how weighty it is.
        facts: what else is known.
    """
    unsaid = RATES.ask(event, time.monotonic())
    if unsaid is not None:
        more: dict[str, object] = {"unsaid": unsaid} if unsaid else {}
        _say(level, event, {"address": address, **facts, **more})


def _say(level: int, event: str, facts: dict[str, object]) -> None:
    LOGGER.log(level, event, extra={"facts": facts})
