"""The first frame in each direction: both identities, and whether the connection is accepted.

A client sends `ClientHello` and gets `ClientWelcome`; a node sends `PeerHello` to another node and
gets `PeerWelcome`. Either may get a `Refusal` instead, after which the connection is closed. A peer
may answer with `PeerRecall`, which asks for an incarnation of the node's directory that it remembers;
the node then sends another `PeerHello` that proves that incarnation.
"""

from typing import Annotated

from msgspec import Meta

from ..types import Counter, NodeText, Value

VERSION = 2
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
    """A client's first frame: the protocol versions that it supports, and its name for the logs."""

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
        formation: the id of this formation of the cluster; None until it has formed. The key of caches.
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


class Incarnation(Value, frozen=True):
    """One incarnation of a directory: from one opening of it to the next.

    Args:
        incarnation: its number; the first is 1.
        nonce: random, made when the incarnation began; another copy of the directory has another one.
    """

    incarnation: Counter
    nonce: IdBytes


class PeerIdentity(Value, frozen=True):
    """A node's identity, for its peers; they compare it with what they remember.

    Args:
        cluster_id: the cluster's id, from ``cluster.toml``.
        digest: of the member names and quorum sizes.
        node: the node's name.
        disk_id: random, made with the directory.
        incarnation: how often the directory has been opened.
        nonce: of this incarnation; tells two processes with the same incarnation number apart.
        feed_end: how many entries the node's feed has.
        formation: the formation that the node belongs to; None until it has formed.
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
    """A node's first frame to another node.

    Args:
        magic: the word that identifies the protocol.
        lowest_version, highest_version: the protocol versions that it supports.
        identity: the sender's identity.
        recall: the incarnation of the receiver that the sender remembers, 0 if it remembers nothing;
            the receiver is to prove that incarnation.
        past: the sender's own incarnation that `PeerRecall` asked for; None if nothing was asked yet.
    """

    magic: Annotated[str, Meta(max_length=16)]
    lowest_version: Counter
    highest_version: Counter
    identity: PeerIdentity
    recall: Counter
    past: Incarnation | None


class PeerWelcome(Value, frozen=True, tag=4):
    """The answer to `PeerHello`: the sender has durably recorded the other's disk id.

    Args:
        version: the protocol version that both will speak.
        identity: the sender's identity.
        past: the sender's own incarnation that `PeerHello.recall` named; None if it never had it.
    """

    version: Counter
    identity: PeerIdentity
    past: Incarnation | None


class PeerRecall(Value, frozen=True, tag=5):
    """Another answer to `PeerHello`: send it again, and prove this incarnation of your directory."""

    incarnation: Counter


Greeting = ClientHello | PeerHello
Reception = ClientWelcome | PeerWelcome | PeerRecall | Refusal
