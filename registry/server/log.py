"""A node's log: events with facts, by the standard library's logging.

`decreed.cli.shell.logs` decides where the lines go and how they look. Events that strangers can
cause are logged by `strangers`, at a bounded rate and with their address.
"""

import logging
import time

from ..addresses import network_of
from .rates import Rates

LOGGER = logging.getLogger("decreed")
RATES = Rates()
UNPROVEN = Rates(burst=1, per_s=0.1)
"""S84: a line for each address in ten seconds."""


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


def failed(event: str, fault: BaseException, **facts: object) -> None:
    """Log an event that an operator must report, with the traceback of its fault."""
    LOGGER.log(logging.ERROR, event, extra={"facts": facts}, exc_info=fault)


def strangers(event: str, address: str, *, level: int = logging.WARNING, **facts: object) -> None:
    """Log an event that anybody who can connect may cause, at a bounded rate; `unsaid` counts the rest.

    Args:
        event: what happened; each event has a rate of its own, so it must hold no text from outside.
        address: the address of the stranger.
        level: the log level.
        facts: further facts.
    """
    _say_rarely(level, event, address, facts, 0)


def unproven(event: str, address: str, **facts: object) -> None:
    """Log what became of a connection before it was known whose it is: S84, one line each 10 s.

    Args:
        event: what happened, as for `strangers`, whose rate counts too.
        address: where it comes from, with its port; `unsaid` counts all others of that address.
        facts: further facts.
    """
    unsaid = UNPROVEN.ask(network_of(address.rpartition(":")[0]), time.monotonic())
    if unsaid is not None:
        _say_rarely(logging.WARNING, event, address, facts, unsaid)


def _say_rarely(
    level: int, event: str, address: str, facts: dict[str, object], unsaid: int
) -> None:
    before = RATES.ask(event, time.monotonic())
    if before is not None:
        more: dict[str, object] = {"unsaid": before + unsaid} if before + unsaid else {}
        _say(level, event, {"address": address, **facts, **more})


def alarm(event: str) -> None:
    """Log an event that an operator must act on and that clients may cause often, at a bounded rate."""
    unsaid = RATES.ask(event, time.monotonic())
    if unsaid is not None:
        _say(logging.ERROR, event, {"unsaid": unsaid} if unsaid else {})


def _say(level: int, event: str, facts: dict[str, object]) -> None:
    LOGGER.log(level, event, extra={"facts": facts})
