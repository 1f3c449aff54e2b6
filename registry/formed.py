"""The members of a directory that has formed: its own, whatever ``cluster.toml`` says by now (M19).

The file starts a cluster. Later it may be one of a later epoch, which this directory has slept through.
It gives limits, timings and addresses then. Who votes in epoch 0 the directory knows, and who votes in
a later epoch it learns from the others.
"""

from msgspec.structs import replace

from .config import ClusterConfig
from .disk import DirectoryIdentity, Recovered
from .paxos.quorums import Quorums


def own_config(config: ClusterConfig, recovered: Recovered) -> ClusterConfig:
    """The config with the members that the directory formed with, while it knows no later epoch.

    An address is that of the file, if the file has the name.
    """
    if not has_other_members(config, recovered):
        return config
    formed = recovered.identity.members
    assert formed is not None, "a directory that has other members knows them"
    told = dict(config.addresses)
    addresses = tuple((node, told.get(node, at)) for node, at in formed.addresses)
    nodes = tuple(node for node, _ in addresses)
    return replace(
        config, addresses=addresses, quorums=Quorums(nodes, formed.prepare, formed.accept)
    )


def has_other_members(config: ClusterConfig, recovered: Recovered) -> bool:
    """Whether the file names other members or sizes than those with which the directory formed."""
    identity = recovered.identity
    known = recovered.epoch.known if recovered.epoch is not None else 0
    return not known and identity.members is not None and identity.digest != config.digest()


def has_peers(config: ClusterConfig, recovered: Recovered) -> bool:
    """Whether other nodes are members, or were met before, or are to be met by one that joins."""
    others = len(own_config(config, recovered).nodes) > 1
    return others or recovered.identity.joins or bool(recovered.peers)


def other_members(config: ClusterConfig, identity: DirectoryIdentity) -> str:
    """What the directory and the file say, for people to read."""
    formed = identity.members
    assert formed is not None, "a directory that has other members knows them"
    ours = " ".join(node for node, _ in formed.addresses)
    sizes = config.quorums
    return (
        f"the directory of {identity.node} formed with {ours} (prepare {formed.prepare}, accept"
        f" {formed.accept}), and the file names {' '.join(config.nodes)} (prepare {sizes.prepare},"
        f" accept {sizes.accept}): the directory counts, and learns from the others whether members"
        " have changed since"
    )


def places_to_look(config: ClusterConfig, recovered: Recovered) -> tuple[str, ...]:
    """Where nodes are that the file names and that are none of the directory's members."""
    if not has_other_members(config, recovered):
        return ()
    ours = own_config(config, recovered).nodes
    return tuple(address for node, address in config.addresses if node not in ours)
