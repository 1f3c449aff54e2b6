"""A node's log: events with facts, by the standard library's logging.

`decreed.cli.shell.logs` decides where the lines go and how they look. Events that strangers can
cause are logged by `strangers`, at a bounded rate and with their address.
"""

import logging
import time

from .rates import Rates

LOGGER = logging.getLogger("decreed")
RATES = Rates()


def debug(event: str, **facts: object) -> None:
    """Log a detail for somebody who looks for a fault."""
    _say(logging.DEBUG, event, facts)


def info(event: str, **facts: object) -> None:
    """Log a normal event."""
    _say(logging.INFO, event, facts)


def warning(event: str, **facts: object) -> None:
    """Log an event that an operator should look at."""
    _say(logging.WARNING, event, facts)


def error(event: str, **facts: object) -> None:
    """Log an event that an operator must act on."""
    _say(logging.ERROR, event, facts)


def strangers(event: str, address: str, *, level: int = logging.WARNING, **facts: object) -> None:
    """Log an event that anybody who can connect may cause, at a bounded rate; `unsaid` counts the rest.

    Args:
        event: what happened; each event has a rate of its own, so it must hold no text from outside.
        address: the address of the stranger.
        level: the log level.
        facts: further facts.
    """
    unsaid = RATES.ask(event, time.monotonic())
    if unsaid is not None:
        more: dict[str, object] = {"unsaid": unsaid} if unsaid else {}
        _say(level, event, {"address": address, **facts, **more})


def alarm(event: str) -> None:
    """Log an event that an operator must act on and that clients may cause often, at a bounded rate."""
    unsaid = RATES.ask(event, time.monotonic())
    if unsaid is not None:
        _say(logging.ERROR, event, {"unsaid": unsaid} if unsaid else {})


def _say(level: int, event: str, facts: dict[str, object]) -> None:
    LOGGER.log(level, event, extra={"facts": facts})
