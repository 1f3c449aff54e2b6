"""Decrees and claims as JSON documents, and as lines for people."""

from datetime import UTC, datetime
from typing import Any

from ..registry.keys import series_and_slot
from ..registry.types import MAX_KEY_BYTES, Decree, Outcome
from .output import bytes_field
from .shown import show


def decree_document(decree: Decree) -> dict[str, Any]:
    """A decree as JSON: ``value`` is text, ``value_base64`` stands for bytes that are not UTF-8."""
    series, slot = series_and_slot(decree.key)
    return {
        "key": decree.key,
        **({} if slot is None else {"series": series, "slot": slot}),
        **bytes_field("value", decree.value),
        "content_type": decree.content_type,
        "claimant": decree.claimant,
        **bytes_field("claim_id", decree.claim_id),
        "note": decree.note,
        "time": when(decree.time_ms),
        "ballot": str(decree.ballot),
    }


def claim_document(outcome: Outcome, claim_id: bytes, decree: Decree) -> dict[str, Any]:
    """How a claim ended, its id, and the decree that stands."""
    return {
        "outcome": outcome.value,
        **bytes_field("claim_id", claim_id),
        "decree": decree_document(decree),
    }


def decree_line(decree: Decree) -> str:
    """``key = value`` on one line, the value cut when long."""
    return f"{show(decree.key, MAX_KEY_BYTES)} = {show(decree.value)}"


def claim_line(outcome: Outcome, decree: Decree) -> str:
    """The outcome, the key and the value that it is frozen to; for a lost claim, who won."""
    line = f"{outcome.value:<4}  {decree_line(decree)}"
    if outcome is Outcome.WON:
        return line
    note = f", note: {show(decree.note)}" if decree.note else ""
    return f"{line}  (claimed by {show(decree.claimant)}, {when(decree.time_ms)}{note})"


def when(time_ms: int) -> str:
    """Milliseconds since 1970 as UTC; a time that no calendar holds stays a number."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
