"""The client: `connect` to a cluster, under trio, asyncio, or (in `decreed.client.sync`) neither.

The parts, from the outside in: `registry` is what callers see; `arguments` checks what they give;
`asker` asks with a deadline and through the `cache`, and knows which claims are in `doubts`; `settle`
drives attempts, `attempt` decides which node is tried when; `pool` knows the members, `link` is one
connection with many requests in flight, `channel` is its bytes.
"""

if __name__ == "client":
    raise ImportError("import decreed.client, not client")

from ..registry import errors
from ..registry.types import Decree, Outcome
from ..registry.wire.status import StatusReport
from .claims import Json
from .connecting import connect, open_registry
from .holder import Holder, PastTerm, Standing
from .lock import Lock, Locked
from .registry import Registry
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
