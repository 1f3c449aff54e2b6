"""A seat for tests of an acceptor alone."""

from dataclasses import dataclass

from decreed.registry.types import NodeId


@dataclass
class Seated:
    """What an acceptor asks its node: who votes, and in which epoch it does itself."""

    nodes: tuple[NodeId, ...]
    vote_epoch: int = 0
    is_full: bool = False
