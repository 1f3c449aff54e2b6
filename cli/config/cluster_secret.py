"""Reading the file of the cluster's secret, which is open to its owner alone.

`decreed.registry.cluster_secret` defines what is in it. Nothing here shows any of that.
"""

import os
import stat
from pathlib import Path

from ...registry.cluster_secret import MAX_TEXT_BYTES, ClusterSecret, parse_secret
from ...registry.errors import ConfigError
from ..shell.failures import CommandFailed, about, reading

NAME = "cluster.secret"
OWN = 0o600
MAKE_ONE = (
    "copy it from another node, with its permissions; for a cluster that has none yet, stop all nodes,"
    " make one, and give each a copy: (umask 077; head -c 32 /dev/urandom | base64 > cluster.secret)"
)


def beside(config: Path) -> Path:
    """Where the secret of a cluster is by default: beside its ``cluster.toml``."""
    return config.with_name(NAME)


def find_secret(path: Path | None, config: Path, *, needed: bool) -> ClusterSecret | None:
    """The secret of a node that is to start.

    Args:
        path: where the user says that it is; None for beside the config.
        config: the ``cluster.toml``.
        needed: whether the node is to have peers; otherwise the file may be missing.

    Raises:
        CommandFailed: if it is missing or cannot be used; names the file and the way out.
    """
    place = path or beside(config)
    if path is None and not needed and not place.exists():
        return None
    return load_secret(place)


def load_secret(path: Path) -> ClusterSecret:
    """Read the file of a secret.

    Raises:
        CommandFailed: if it is missing, open to others than its owner, or no secret; exit code 2.
    """
    try:
        with reading(str(path)), path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_TEXT_BYTES)
    except CommandFailed as failure:
        if isinstance(failure.__cause__, FileNotFoundError):
            missing = ConfigError("it is missing, and nodes prove to each other that they have it")
            raise CommandFailed(missing, str(path), MAKE_ONE) from None
        raise
    if mode & ~OWN:
        open_to_all = ConfigError(f"others than its owner may use it (mode {mode:04o})")
        raise CommandFailed(
            open_to_all,
            str(path),
            f"chmod 600 {path}; if somebody may have read it, change the secret of the cluster",
        )
    with about(str(path), "give every node a copy of the same file"):
        return parse_secret(text)
