"""A peer's greeting by hand: with the cluster's secret, over a plain connection."""

import os
from typing import Any

from decreed.registry.cluster_secret import ClusterSecret
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import (
    LOWEST_VERSION,
    MAGIC,
    VERSION,
    PeerHello,
    PeerIdentity,
    PeerOpened,
    PeerOpening,
    PeerReception,
    Sealed,
)
from decreed.registry.wire.proof import Seals, answered, checked

from .live import SECRET, RawClient


def opening(shown: PeerIdentity, to: str | None, nonce: bytes = b"") -> PeerOpening:
    """What the node shown says first."""
    versions = (MAGIC, LOWEST_VERSION, VERSION)
    wanted = NodeId(to) if to is not None else None
    return PeerOpening(*versions, shown.cluster_id, shown.node, wanted, nonce or os.urandom(32))


async def open_as(
    client: RawClient, shown: PeerIdentity, to: str | None = None, secret: ClusterSecret = SECRET
) -> Seals:
    """Open a greeting as the node shown, and check the answer; gives the codes of what follows."""
    said = opening(shown, to)
    await client.say(said)
    return checked(secret, said, await client.hear(PeerOpened))


async def hello_as(client: RawClient, shown: PeerIdentity, hello: PeerHello | None = None) -> Any:
    """Greet as a proven peer; returns what the hello is answered with."""
    seals = await open_as(client, shown)
    await client.say(seals.seal(hello or PeerHello(MAGIC, VERSION, VERSION, shown, 0, None)))
    return seals.open(await client.hear(Sealed), PeerReception)


async def greeted_by_peer(client: RawClient, node: NodeId) -> tuple[Seals, PeerHello]:
    """Answer the greeting that a node opens; gives its hello, and the codes of what follows."""
    opened, seals = answered(SECRET, await client.hear(PeerOpening), node, os.urandom(32))
    await client.say(opened)
    return seals, seals.open(await client.hear(Sealed), PeerHello)
