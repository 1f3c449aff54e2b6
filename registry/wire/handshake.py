"""The first frame in each direction: who is there, and whether they may talk.

A client sends `ClientHello` and gets `ClientWelcome`; a node sends `PeerHello` to another node and
gets `PeerWelcome`. Either may get a `Refusal` instead, after which the connection is closed.
"""

from typing import Annotated

from msgspec import Meta

from ..types import Counter, NodeText, Value

VERSION = 1
MAGIC = "decreed"

IdBytes = Annotated[bytes, Meta(min_length=16, max_length=16)]
ClusterId = Annotated[str, Meta(min_length=1, max_length=64)]
Digest = Annotated[bytes, Meta(min_length=16, max_length=16)]
Address = Annotated[str, Meta(min_length=1, max_length=300)]
Text = Annotated[str, Meta(max_length=4096)]


class Refusal(Value, frozen=True, tag=0):
    """The connection is refused; `code` is one of `decreed.registry.errors.ERRORS`."""

    code: Counter
    message: Text


class ClientHello(Value, frozen=True, tag=1):
    """A client's first frame: the protocol versions that it speaks, and its name for the logs."""

    magic: Annotated[str, Meta(max_length=16)]
    lowest_version: Counter
    highest_version: Counter
    software: Annotated[str, Meta(max_length=128)] = ""


class Member(Value, frozen=True):
    """A member of the cluster and where to reach it, as ``host:port``."""

    node: NodeText
    address: Address


class ClientWelcome(Value, frozen=True, tag=2):
    """A node's answer to a client.

    Args:
        version: the protocol version that both will speak.
        cluster_id: the cluster's id, from ``cluster.toml``.
        formation: names this life of the cluster; None until it has formed. Caches are keyed by it.
        node: the answering node.
        members: all nodes with their addresses.
        max_value_bytes, max_frame_bytes, max_in_flight: this node's bounds.
    """

    version: Counter
    cluster_id: ClusterId
    formation: IdBytes | None
    node: NodeText
    members: tuple[Member, ...]
    max_value_bytes: Counter
    max_frame_bytes: Counter
    max_in_flight: Counter


class Standing(Value, frozen=True):
    """What a node says of itself to its peers; they compare it with what they remember.

    Args:
        cluster_id: the cluster's id, from ``cluster.toml``.
        digest: of the member names and quorum sizes.
        node: the node's name.
        disk_id: random, made with the directory.
        incarnation: how often the directory has been opened.
        nonce: random, made at each start; tells two processes of one incarnation apart.
        feed_end: how many entries the node's feed has.
        formation: the formation that the node belongs to, None while it has not formed.
    """

    cluster_id: ClusterId
    digest: Digest
    node: NodeText
    disk_id: IdBytes
    incarnation: Counter
    nonce: IdBytes
    feed_end: Counter
    formation: IdBytes | None


class PeerHello(Value, frozen=True, tag=3):
    """A node's first frame to another node."""

    magic: Annotated[str, Meta(max_length=16)]
    lowest_version: Counter
    highest_version: Counter
    standing: Standing


class PeerWelcome(Value, frozen=True, tag=4):
    """The answer to `PeerHello`: the sender has durably recorded the other's disk id."""

    version: Counter
    standing: Standing


Greeting = ClientHello | PeerHello
Reception = ClientWelcome | PeerWelcome | Refusal
