"""The client: `connect` to a cluster, under trio, asyncio, or (in `decreed.client.sync`) neither.

The parts, from the outside in: `cluster` is what callers see; its `registry` is about keys and its
`locking` about locks. `arguments` checks what callers pass. `asker` sends requests with a deadline
and through the `cache`, and records which claims are in `doubts`. `settle` drives attempts, `attempt`
decides which node is tried when. `pool` knows the members, `link` is one connection with many
requests in flight, and `pulse` tells whether its node is alive. Below the interface of `runtime` there
are two ways to move bytes: `loop_runtime`, `task_link` and `channel` in an event loop; `blocking`,
`socket_link` and `socket_dial` without one.
"""

from importlib import import_module

if __name__ == "client":
    raise ImportError("import decreed.client, not client")

TYPE_CHECKING = False  # type checkers know this name; importing `typing` would take time
if TYPE_CHECKING:
    from ..registry import errors
    from ..registry.types import Decree, Outcome
    from ..registry.wire.status import StatusReport
    from .claims import Json
    from .cluster import Registry
    from .connecting import connect, open_registry
    from .holder import Holder, PastTerm, Standing
    from .lock import Lock, Locked
    from .results import Claimed, NodeDown, Watched
    from .watching import Watching

__all__ = [
    "Claimed",
    "Decree",
    "Holder",
    "Json",
    "Lock",
    "Locked",
    "NodeDown",
    "Outcome",
    "PastTerm",
    "Registry",
    "Standing",
    "StatusReport",
    "Watched",
    "Watching",
    "connect",
    "errors",
    "open_registry",
]

_WHERE = {
    "Claimed": ".results",
    "Decree": "..registry.types",
    "Holder": ".holder",
    "Json": ".claims",
    "Lock": ".lock",
    "Locked": ".lock",
    "NodeDown": ".results",
    "Outcome": "..registry.types",
    "PastTerm": ".holder",
    "Registry": ".cluster",
    "Standing": ".holder",
    "StatusReport": "..registry.wire.status",
    "Watched": ".results",
    "Watching": ".watching",
    "connect": ".connecting",
    "open_registry": ".connecting",
}


def __getattr__(name: str) -> object:
    """A public name, loaded at its first use: loading an event loop takes longer than one request."""
    if name == "errors":
        return import_module("..registry.errors", __name__)
    if name in _WHERE:
        return getattr(import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
