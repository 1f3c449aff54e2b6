"""A client of a decreed cluster, for trio and asyncio: claim keys, read them, hold locks.

Begin with `connect`::

    async with connect("127.0.0.1:7400") as registry:
        claimed = await registry.claim("shop/currency", "EUR")
        print(claimed.won, claimed.decree.text)

* `connect` and `open_registry` make a client: for one block, or until it is closed. `Tls` secures it.
* `Registry` is that client. Everything that can be asked of a cluster is one of its methods.
* `Claimed`, `Decree`, `Outcome` and, from a `Watching`, `Watched` are what its methods return; so are
  `StatusReport`, with a `PeerStatus` for each peer, a `QuotaUse` for each quota, an `AlarmStatus`
  for each alarm (its `AlarmKind` says what it is about) and a
  `CertificateStatus` for each certificate (its `CertificatePart` says what it is to the node), and
  `NodeDown`, about the nodes. `Json` is a value to claim. The `Ballot` of a decree names the `Process`
  that proposed it.
* `Locked` and `Lock` are a lock before it is held, and while it is held. `LockState`, `Holder` and
  `PastTerm` say who holds it, and who did; an `Ending` says `How` a term ended.
* `PolicyClient` reads and applies policies: `Registry.policy`. A `PolicyVersion` is one of them, and a
  `PolicyOutcome` how applying one ended.
* `errors` has every error, and `errors.DecreedError` is the base of all.

`decreed.client.sync` has the same calls for blocking code, and `decreed.client.fencing` refuses those
who held a lock once and hold it no longer. All other modules of this package are internal: import
their public names from here, since the modules change without notice.
"""

# The parts, from the outside in: `registry` is what callers see, of which `keys` is about keys and
# `locking` about locks; `arguments` checks what they give; `sender` asks with a deadline and through
# the `cache`, and knows which claims are in `doubts`; `settle` drives attempts, `attempt` decides which
# node is tried when; `pool` knows the members, `link` is one connection with many requests in flight,
# and `pulse` tells whether its node is there. Below the seam of `runtime` lie two ways to move bytes:
# `loop_runtime`, `task_link` and `channel` in an event loop; `blocking`, `socket_link` and
# `socket_dial` without one.

from importlib import import_module

if __name__ == "client":
    raise ImportError("import decreed.client, not client")

TYPE_CHECKING = False  # type checkers know this name; importing `typing` would take time
if TYPE_CHECKING:
    from ..registry import errors
    from ..registry.locks.terms import Ending, How
    from ..registry.types import Ballot, Decree, Outcome, Process
    from ..registry.wire.status import (
        AlarmKind,
        AlarmStatus,
        CertificatePart,
        CertificateStatus,
        PeerStatus,
        QuotaUse,
        StatusReport,
    )
    from .connecting import connect, open_registry
    from .locks.holder import Holder, LockState, PastTerm
    from .locks.lock import Lock, Locked
    from .registry import Registry
    from .requests.claims import Json
    from .requests.policies import PolicyClient, PolicyOutcome, PolicyVersion
    from .requests.results import Claimed, NodeDown, Watched
    from .requests.watching import Watching
    from .transport.securing import Tls

# in the order in which they are met
__all__ = [  # noqa: RUF022
    "connect",
    "open_registry",
    "Tls",
    "Registry",
    "Claimed",
    "Decree",
    "Outcome",
    "Json",
    "Watching",
    "Watched",
    "Locked",
    "Lock",
    "LockState",
    "Holder",
    "PastTerm",
    "Ending",
    "How",
    "PolicyClient",
    "PolicyVersion",
    "PolicyOutcome",
    "StatusReport",
    "PeerStatus",
    "QuotaUse",
    "CertificateStatus",
    "CertificatePart",
    "AlarmStatus",
    "AlarmKind",
    "NodeDown",
    "Ballot",
    "Process",
    "errors",
]

_WHERE = {
    "AlarmKind": "..registry.wire.status",
    "AlarmStatus": "..registry.wire.status",
    "Ballot": "..registry.types",
    "CertificatePart": "..registry.wire.status",
    "CertificateStatus": "..registry.wire.status",
    "Claimed": ".requests.results",
    "Decree": "..registry.types",
    "Ending": "..registry.locks.terms",
    "Holder": ".locks.holder",
    "How": "..registry.locks.terms",
    "Json": ".requests.claims",
    "Lock": ".locks.lock",
    "Locked": ".locks.lock",
    "NodeDown": ".requests.results",
    "Outcome": "..registry.types",
    "PastTerm": ".locks.holder",
    "PeerStatus": "..registry.wire.status",
    "PolicyClient": ".requests.policies",
    "PolicyOutcome": ".requests.policies",
    "PolicyVersion": ".requests.policies",
    "QuotaUse": "..registry.wire.status",
    "Process": "..registry.types",
    "Registry": ".registry",
    "LockState": ".locks.holder",
    "StatusReport": "..registry.wire.status",
    "Tls": ".transport.securing",
    "Watched": ".requests.results",
    "Watching": ".requests.watching",
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
