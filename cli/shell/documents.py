"""Decrees and claims as lines for people."""

from ...registry.documents import time_text
from ...registry.types import MAX_KEY_BYTES, Decree, Outcome
from .shown import show


def decree_line(decree: Decree) -> str:
    """``key = value`` on one line, the value cut when long."""
    return f"{show(decree.key, MAX_KEY_BYTES)} = {show(decree.value)}"


def claim_line(outcome: Outcome, decree: Decree) -> str:
    """The outcome, the key and the value that it is frozen to; for a lost claim, who won."""
    line = f"{outcome.value:<4}  {decree_line(decree)}"
    if outcome is Outcome.WON:
        return line
    note = f", note: {show(decree.note)}" if decree.note else ""
    who = f"{show(decree.claimant)}{proven_text(decree.identity)}"
    return f"{line}  (claimed by {who}, {time_text(decree.time_ms)}{note})"


def proven_text(identity: str) -> str:
    """Behind the name that somebody gave himself: who it was, if a node had proven it."""
    return f" as {identity}" if identity else ""
