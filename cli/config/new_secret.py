"""Making the file of a cluster's secret: once, atomically, and never open to others."""

import secrets
from pathlib import Path

from ...registry.cluster_secret import SECRET_BYTES, secret_text
from .cluster_secret import OWN, load_secret
from .settings_text import write_file


def keep_secret(path: Path) -> bool:
    """Make a secret, unless there is one; it is never written over. Returns whether it was made.

    Raises:
        CommandFailed: if it cannot be made, or if the one that is there cannot be used.
    """
    if path.exists():
        load_secret(path)
        return False
    write_file(path, secret_text(secrets.token_bytes(SECRET_BYTES)), replace=False, mode=OWN)
    return True
