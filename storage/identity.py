"""The identity of the data: checked, and its incarnation counted, before any record is read.

Owns the identity record at each start, for every `ByteStore` alike. It must not know about files.

Invariants:

* R05: each opening is a new incarnation, durable before it is used; the count never decreases, so no
  ballot is used twice.
* Each opening draws a nonce, durable in the same batch and kept permanently, so that the directory can
  prove each of its incarnations, and a copy of it cannot prove those after the copying.
* R07: members and quorum sizes are those with which the directory was made.
* R13: records without an identity do not count as a fresh start.
"""

from collections.abc import Callable

from msgspec.structs import replace

from ..registry.config import ClusterConfig
from ..registry.disk import Identity
from ..registry.errors import Damaged, IdentityRefused
from ..registry.incarnations import NONCE_BYTES
from ..registry.types import NodeId
from .bytestore import ByteStore, Unreadable
from .incarnations import added
from .layout import IDENTITY_KEY
from .records import damaged, pack, unpack

RandomBytes = Callable[[int], bytes]

_UNBORN = bytes(NONCE_BYTES)
"""The placeholder for a nonce before the first incarnation."""

STAYS_OUT = (
    "A node that may have forgotten a promise must not vote: leave it out. The others go on without"
    " it, as long as a quorum of them is up."
)
"""The way out of a damaged directory, until members can be changed."""


def take(
    data: ByteStore, config: ClusterConfig, node: NodeId, random_bytes: RandomBytes, *, fresh: bool
) -> Identity:
    """Check that `data` belongs to the node, and begin its next incarnation, durably.

    Args:
        data: the node's bytes.
        config: the cluster, from the node's own ``cluster.toml``.
        node: the node's name.
        random_bytes: makes a new disk id and the nonce of the incarnation.
        fresh: whether `data` was created just now; only then may the identity be missing.

    Raises:
        IdentityRefused: if it belongs to another node; names what was found, expected, the way out.
        Damaged: if the identity or the record of an earlier incarnation is unreadable or missing.
        StorageFailed: if the new incarnation could not be written.
    """
    check_member(config, node)
    identity = _found(data, fresh)
    if identity is None:
        disk_id = random_bytes(16)
        identity = Identity(config.cluster_id, node, config.digest(), disk_id, 0, _UNBORN, None)
    _check(identity, config, node, data.where)
    nonce = random_bytes(NONCE_BYTES)
    identity = replace(identity, incarnation=identity.incarnation + 1, nonce=nonce)
    incarnation = added(data, identity.incarnation, nonce)
    data.write({IDENTITY_KEY: pack(IDENTITY_KEY, identity), **incarnation})
    return identity


def check_member(config: ClusterConfig, node: NodeId) -> None:
    """Check that `node` is a member.

    Raises:
        IdentityRefused: if it is not.
    """
    if node not in config.nodes:
        raise IdentityRefused(
            f"{node!r} is no member of cluster {config.cluster_id!r}; the members are"
            f" {', '.join(config.nodes)}. Start the node under one of these names."
        )


def _found(data: ByteStore, fresh: bool) -> Identity | None:
    try:
        stored = data.get(IDENTITY_KEY)
    except Unreadable as error:
        raise damaged(IDENTITY_KEY, data.where, f"{error}. {STAYS_OUT}") from error
    if stored is not None:
        return unpack(IDENTITY_KEY, stored, Identity, data.where)
    if not fresh:
        raise Damaged(f"{data.where} has lost the identity of its node. {STAYS_OUT}")
    return None


def _check(found: Identity, config: ClusterConfig, node: NodeId, where: str) -> None:
    """Compare the identity with the expected one, the most basic difference first."""
    if found.cluster_id != config.cluster_id:
        raise IdentityRefused(
            f"{where} belongs to cluster {found.cluster_id!r}, not to {config.cluster_id!r}:"
            " give the node a data directory of its own, or the configuration of its cluster"
        )
    if found.node != node:
        raise IdentityRefused(
            f"{where} belongs to node {found.node!r}, not to {node!r}: start each node with its"
            " own data directory"
        )
    if found.digest != config.digest():
        raise IdentityRefused(
            f"{where} was made for other members or quorum sizes (digest {found.digest.hex()})"
            f" than the configuration now names (digest {config.digest().hex()}): undo the change;"
            " they cannot be edited on a node"
        )
