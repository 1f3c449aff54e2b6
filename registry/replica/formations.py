"""Formations: their names, and what is said when two of them meet."""

import hashlib
from collections.abc import Mapping

from ..documents import time_text
from ..locks.restored import Restoration
from ..types import NodeId


def formation_id(cluster_id: str, disks: Mapping[NodeId, bytes]) -> bytes:
    """The name of a formation: 16 bytes of BLAKE2b over the cluster id and all disk ids."""
    digest = hashlib.blake2b(cluster_id.encode(), digest_size=16)
    for node in sorted(disks):
        digest.update(node.encode() + b"\0" + disks[node])
    return digest.digest()


def other_formation(who: str, theirs: bytes, ours: bytes, made: Restoration | None) -> str:
    """Why a node of another formation is refused.

    Args:
        who: the node.
        theirs: its formation.
        ours: the formation of the node that refuses it.
        made: how that one was restored; None if it was not.
    """
    text = f"{who} is of formation {theirs.hex()}, not {ours.hex()}"
    if made is None:
        return text
    text += f", which was restored or recovered at {time_text(made.time_ms)}"
    if made.formation == theirs:
        return f"{text} from that one: end the nodes of the older one for good"
    return f"{text}: end the nodes of the formation that is not wanted"


def restored_otherwise(node: NodeId, other: NodeId) -> str:
    """Why two nodes of one formation do not link that say different things of its restore."""
    return (
        f"node {node} and {other} do not agree on how the formation was restored, so one of them may"
        " give the token of a lock again: if one has joined, join it again with an empty directory"
    )
