"""decreed: a distributed write-once registry. `connect` is the way in; see README.md."""

from .client import Claimed, Decree, Json, Outcome, Registry, connect, errors
from .registry.version import VERSION as __version__

__all__ = [
    "Claimed",
    "Decree",
    "Json",
    "Outcome",
    "Registry",
    "__version__",
    "connect",
    "errors",
]
