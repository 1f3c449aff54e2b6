"""Decrees and claims as lines for people."""

from ..registry.documents import time_text
from ..registry.types import Decree, Outcome
from .output import safe_line, safe_text


def decree_line(decree: Decree) -> str:
    """``key = value`` on one line, the value cut when long."""
    return f"{decree.key} = {safe_line(decree.value)}"


def claim_line(outcome: Outcome, decree: Decree) -> str:
    """The outcome, the key and the value that it is frozen to; for a lost claim, who won."""
    line = f"{outcome.value:<4}  {decree.key} = {safe_text_line(decree.value)}"
    if outcome is Outcome.WON:
        return line
    note = f", note: {safe_line(decree.note)}" if decree.note else ""
    return f"{line}  (claimed by {safe_line(decree.claimant)}, {time_text(decree.time_ms)}{note})"


def safe_text_line(value: bytes) -> str:
    """A whole value for people, on one line if it has one line."""
    return safe_text(value) if b"\n" in value else safe_line(value, max(len(value), 1))
