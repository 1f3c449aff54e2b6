"""What a node's server is started with, besides the settings and the directory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cluster_secret import ClusterSecret
    from .audit_log import AuditLog
    from .credentials import Credentials
    from .seeding import Seed


@dataclass(frozen=True)
class ServerStart:
    """How one node serves.

    Args:
        advertise: ``host:port`` that peers and clients are told, if it is not that of the config.
        join_at: ``host:port`` of members, where it looks for one while it has no link to any; by one of
            them a new directory joins their cluster.
        observes: whether it waits for no vote, and clients may be told to read from it.
        seed: decrees of the formation, which a node that joins learns before it reads any feed.
        audit: the open audit log; None for no such log.
        secret: what it and its peers prove to each other; None if certificates do, or if it can have no
            peers.
        credentials: for TLS; without them it listens beyond loopback only if the config says so.
        admin: ``host:port`` where it tells its health and its metrics over HTTP; empty for nowhere.
        on_formed: called with the formation id when the cluster forms.
    """

    advertise: str | None = None
    join_at: Sequence[str] = ()
    observes: bool = False
    seed: "Seed | None" = None
    audit: "AuditLog | None" = None
    secret: "ClusterSecret | None" = None
    credentials: "Credentials | None" = None
    admin: str = ""
    on_formed: Callable[[bytes], None] = lambda _: None


PLAIN = ServerStart()
"""As its settings and its directory say, and no more."""
