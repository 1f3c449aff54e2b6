"""`Registry`: all that can be asked of a cluster, its keys and its locks."""

from .asker import Asker
from .locking import Locking
from .registry import Keys


class Registry(Keys, Locking):
    """A cluster of decreed servers; made by `decreed.client.connect`.

    Args:
        asker: asks the cluster.
        claimant: the name that claims carry when they name none.
    """

    def __init__(self, asker: Asker, claimant: str) -> None:
        Keys.__init__(self, asker, claimant)
        Locking.__init__(self, asker, claimant)
