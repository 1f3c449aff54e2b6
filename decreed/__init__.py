"""decreed: a distributed write-once registry. `connect` opens a client; `decreed.client` has all of it.

`decreed.client.sync` is the same for blocking code. The packages beside `decreed.client` are the
command line, the server and its storage; they are internal, and change without notice.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers know this name; `typing` itself takes its time to load
if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    """A public name, loaded when it is first used: the command must listen before it loads all."""
    if name == "__version__":
        return getattr(import_module(".registry.version", __name__), "VERSION")  # noqa: B009
    if name in __all__:
        return getattr(import_module(".client", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
