"""Settings that never change under a running application, not even across its restarts.

    python examples/frozen_settings.py 12 cache/

The application is told which version of its settings to use. A frozen version is kept in the cache
directory, so that the next start needs no cluster.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decreed.client import Json, sync

ENDPOINTS = os.environ.get("DECREED_ENDPOINTS", "127.0.0.1:7400").split(",")
SERIES = "shop/settings"
FIRST: Mapping[str, Any] = {"currency": "EUR", "page_size": 50}


@dataclass(frozen=True)
class Settings:
    """The settings of the application."""

    currency: str
    page_size: int


def load(version: int, cache_dir: str) -> Settings:
    """The settings of `version`; the first start of all freezes version 1."""
    key = f"{SERIES}@{version}"
    with sync.connect(*ENDPOINTS, cache_dir=cache_dir) as registry:
        decree = registry.get(key)
        if decree is None and version == 1:
            decree = registry.claim(key, Json(FIRST)).decree
    if decree is None:
        raise SystemExit(f"nobody has frozen {key} yet")
    return Settings(**decree.json())


if __name__ == "__main__":
    print(load(int(sys.argv[1]), sys.argv[2]))
