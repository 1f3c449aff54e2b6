"""The identity of the data: checked, and its incarnation counted, before any record is read.

Owns the identity record at each start, for every `ByteStore` alike. It must not know about files.

Invariants:

* R05: each opening is a new incarnation, durable before it is used; the count never decreases, so no
  ballot is used twice.
* Each opening draws a nonce, durable in the same batch and kept permanently, so that the directory can
  prove each of its incarnations, and a copy of it cannot prove those after the copying.
* The signing key of the directory is durable before the identity names it, and never another one.
* R07: members and quorum sizes are those with which the directory was made, until the directory knows
  a decree of members; from then on they are those of the decree. Once the cluster has formed, whatever
  the configuration says does not matter: it may be one of a later epoch (M19).
* A directory that was made to join says so permanently, so that it never passes for a voter of epoch 0.
* R13: records without an identity do not count as a fresh start.
"""

from collections.abc import Callable

from msgspec.structs import replace

from ..registry.config import ClusterConfig
from ..registry.disk import DirectoryIdentity, EpochRecord, FormedMembers
from ..registry.errors import Damaged, IdentityRefused
from ..registry.incarnations import NONCE_BYTES
from ..registry.types import NodeId
from ..registry.wire.handshake import NO_MEMBERS
from .bytestore import ByteStore, Unreadable
from .incarnations import added
from .layout import EPOCH_KEY, IDENTITY_KEY
from .records import damaged, pack, unpack

RandomBytes = Callable[[int], bytes]
SigningKey = Callable[[bytes | None], bytes]
"""Returns the public key of the directory, given the one that its identity names, if any."""

_UNBORN = bytes(NONCE_BYTES)
"""The placeholder for a nonce before the first incarnation."""

STAYS_OUT = (
    "A node that may have forgotten a promise must not vote. Move this directory away, start the node"
    " with an empty one and --join, and give it the vote with 'decreed member replace NODE'."
)
"""The way out of a damaged directory."""


def take(
    data: ByteStore,
    config: ClusterConfig,
    node: NodeId,
    random_bytes: RandomBytes,
    signing_key: SigningKey,
    *,
    fresh: bool,
    joins: bool = False,
) -> DirectoryIdentity:
    """Check that `data` belongs to the node, and begin its next incarnation, durably.

    Args:
        data: the node's bytes.
        config: the cluster, from the node's own ``cluster.toml``.
        node: the node's name.
        random_bytes: makes a new disk id and the nonce of the incarnation.
        signing_key: gives the public key of the directory; makes the key if it has none.
        fresh: whether `data` was created just now; only then may the identity be missing.
        joins: whether a directory that is new joins a cluster that has formed.

    Raises:
        IdentityRefused: if it belongs to another node; names what was found, expected, the way out.
        Damaged: if the identity or the record of an earlier incarnation is unreadable or missing.
        StorageFailed: if the new incarnation could not be written.
    """
    identity = _found(data, fresh)
    if identity is None:
        if not joins:
            check_member(config, node)
        digest = NO_MEMBERS if joins else config.digest()
        identity = DirectoryIdentity(
            config.cluster_id, node, digest, random_bytes(16), 0, _UNBORN, None
        )
    _check(identity, config, node, data.where)
    if joins and not identity.joins:
        raise IdentityRefused(
            f"{data.where} is that of a member with which the cluster formed: start it without --join,"
            " or move it away to join with an empty one"
        )
    if not identity.joins and not _known_epoch(data):
        identity = _with_members(identity, config, data.where)
    nonce = random_bytes(NONCE_BYTES)
    key = signing_key(identity.signing_key)
    counted = identity.incarnation + 1
    identity = replace(identity, incarnation=counted, nonce=nonce, signing_key=key)
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


def _found(data: ByteStore, fresh: bool) -> DirectoryIdentity | None:
    try:
        stored = data.get(IDENTITY_KEY)
    except Unreadable as error:
        raise damaged(IDENTITY_KEY, data.where, f"{error}. {STAYS_OUT}") from error
    if stored is not None:
        return unpack(IDENTITY_KEY, stored, DirectoryIdentity, data.where)
    if not fresh:
        raise Damaged(f"{data.where} has lost the identity of its node. {STAYS_OUT}")
    return None


def _check(found: DirectoryIdentity, config: ClusterConfig, node: NodeId, where: str) -> None:
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


def _known_epoch(data: ByteStore) -> int:
    """The epoch whose voters the directory knows; 0 if no member has been changed."""
    try:
        stored = data.get(EPOCH_KEY)
    except Unreadable as error:
        raise damaged(EPOCH_KEY, data.where, f"{error}. {STAYS_OUT}") from error
    return unpack(EPOCH_KEY, stored, EpochRecord, data.where).known if stored is not None else 0


def _with_members(found: DirectoryIdentity, config: ClusterConfig, where: str) -> DirectoryIdentity:
    """The identity with the members of epoch 0: only a decree changes them."""
    if found.digest == config.digest():
        sizes = config.quorums
        return replace(found, members=FormedMembers(config.addresses, sizes.prepare, sizes.accept))
    if found.formation is not None and found.members is not None:
        return found
    check_member(config, found.node)
    raise IdentityRefused(
        f"{where} was made for other members or quorum sizes (digest {found.digest.hex()})"
        f" than the configuration now names (digest {config.digest().hex()}): undo the change;"
        " they cannot be edited on a node. If the cluster has changed its members since, give this"
        " node the file that it had before once more: it learns of the change from the others"
    )
