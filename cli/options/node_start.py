"""What a node is started with, and what can be checked of it before a directory is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...registry.addresses import advertised, join_address, split_addresses, split_listen
from ...registry.cluster_secret import ClusterSecret
from ...registry.config import ClusterConfig, check_node_name
from ...registry.errors import ConfigError
from ...registry.tls.contexts import TlsFiles
from ...registry.types import NodeId
from ..config.cluster_secret import find_secret
from ..config.formation_marker import check_not_formed_before, is_fresh, write_marker
from ..config.settings import load_config
from ..config.tls_paths import NO_TLS, TlsPaths
from ..shell.failures import about, reading
from .audit import check_audit
from .node_tls import tls_files
from .usage import said_by


@dataclass(frozen=True)
class Asked:
    """The options of a node as they were given, besides its name, its config and its directory."""

    listen: str | None = None
    advertise: str | None = None
    admin: str | None = None
    new_formation: bool = False
    join: str | None = None
    observe: bool = False
    seed: Sequence[str] = ()
    audit: Path | None = None
    secret: Path | None = None
    tls: TlsPaths = NO_TLS


@dataclass(frozen=True)
class NodeStart:
    """Everything that one node is started with.

    Args:
        config_path: the ``cluster.toml``; the marker of formed nodes is beside it.
        config: its settings.
        node: the member's name.
        data: the data directory.
        listen: where to listen, if not at the member's address.
        advertise: the address that others are told, if not the member's.
        admin: where it tells its health and its metrics; empty for nowhere.
        join_at: members by which a fresh directory joins their cluster; empty if it does not.
        observes: whether it waits for no vote.
        seed: the snapshot from which a node that joins learns first, and its increments.
        audit: the file of its audit log; None for none.
        secret: what it and its peers prove to each other; None if certificates do, or it has no peers.
        tls: the files of TLS; None for connections without.
    """

    config_path: Path
    config: ClusterConfig
    node: NodeId
    data: Path
    listen: tuple[str, ...] = ()
    advertise: str | None = None
    admin: str = ""
    join_at: tuple[str, ...] = ()
    observes: bool = False
    seed: tuple[Path, ...] = ()
    audit: Path | None = None
    secret: ClusterSecret | None = None
    tls: TlsFiles | None = None

    def write_marker(self, formation: bytes) -> None:
        """Record beside the config that the node belongs to `formation`."""
        write_marker(self.config_path, self.config.cluster_id, self.node, formation)


def prepare(config_path: Path, node: str, data: Path, asked: Asked) -> NodeStart:
    """Check everything that can be checked before a directory is opened.

    Raises:
        CommandFailed: if a check fails; names the file or option.
    """
    with said_by("DECREED_CLUSTER_CONFIG", config_path):
        config = load_config(config_path)
    name = NodeId(node)
    way_out = "name a member of the config; with --join the name of a node that joins"
    with said_by("DECREED_NODE", node), about("--node", way_out), reading(str(data)):
        _check_name(config, name, joins=asked.join is not None or not is_fresh(data))
    with said_by("DECREED_LISTEN", asked.listen), about("--listen"):
        listen = split_listen(asked.listen) if asked.listen is not None else ()
    join_at = _join_at(asked, data)
    with said_by("DECREED_ADVERTISE", asked.advertise), about("--advertise"):
        told = advertised(asked.advertise) if asked.advertise is not None else None
    with said_by("DECREED_ADMIN", asked.admin), about("--admin"):
        admin = admin_place(config.admin.listen if asked.admin is None else asked.admin)
    check_audit(asked.audit, config)
    tls = tls_files(config, config_path, node, asked.tls)
    with said_by("DECREED_SECRET_FILE", asked.secret):
        proves = tls is None or config.tls.accept_plain
        needed = proves and (len(config.nodes) > 1 or bool(join_at))
        secret = find_secret(asked.secret, config_path, needed=needed)
    with about(f"node {node}"):
        if not asked.new_formation and not join_at:
            check_not_formed_before(config_path, config, name, data)
    return NodeStart(
        config_path,
        config,
        name,
        data,
        listen=tuple(join_address(*place) for place in listen),
        advertise=told,
        admin=admin,
        join_at=join_at,
        observes=asked.observe,
        seed=tuple(map(Path, asked.seed)),
        audit=asked.audit,
        secret=secret,
        tls=tls,
    )


def admin_place(text: str) -> str:
    """Where a node tells its health and its metrics, as it is written; empty for nowhere.

    Raises:
        ConfigError: if it is not one address with a port.
    """
    if not text:
        return ""
    [*places] = split_listen(text)
    if len(places) != 1:
        raise ConfigError("it is one address, as in 127.0.0.1:7480")
    return join_address(*places[0])


def _check_name(config: ClusterConfig, node: NodeId, *, joins: bool) -> None:
    """Check the name of a node: the config's, unless it joins or its directory knows better.

    Raises:
        ConfigError: if no node can have it.
    """
    if joins:
        check_node_name(node)
    else:
        config.address(node)


def _join_at(asked: Asked, data: Path) -> tuple[str, ...]:
    """Where the members are by which a node joins; empty if it does not join.

    Raises:
        CommandFailed: if another option does not go with that.
    """
    with said_by("DECREED_JOIN", asked.join), about("--join"):
        places = split_addresses(asked.join) if asked.join is not None else ()
        if asked.join is not None and asked.new_formation:
            raise ConfigError("a node that joins does not form; leave out --new-formation")
    name_one = "name a member that is up, with --join HOST:PORT"
    if asked.seed and asked.join is None:
        with about("--seed", name_one):
            raise ConfigError("only a node that joins learns from a snapshot")
    if asked.observe and asked.join is None and is_fresh(data):
        with about("--observe", name_one):
            raise ConfigError("an observer with a new directory has to join a cluster")
    return tuple(join_address(*place) for place in places)
