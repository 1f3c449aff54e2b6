"""Bounds that requests of all kinds share."""

from typing import Annotated

from msgspec import Meta

MAX_TIMEOUT_MS = 3_600_000

TimeoutMs = Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_MS)]
"""How long a node may work at a request."""
