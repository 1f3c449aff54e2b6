"""The first frames in each direction: both identities, and whether the connection is accepted.

A client sends `ClientHello`, or `TokenHello` if it shows a token, and gets `ClientWelcome`. Either side
may get a `Refusal` instead, after which the connection is closed.

A node sends `PeerOpening` to another node, and both prove the cluster's secret (`wire.proof`) before
anything else is said. What follows is `Sealed`: `PeerHello`, which gets `PeerWelcome`, or
`PeerRecall`, which asks for an incarnation of the node's directory that the peer remembers; the node
then sends another `PeerHello` that proves that incarnation. A peer that refuses the directory itself
says why with `DirectoryRefusal`.
"""

from typing import Annotated

from msgspec import Meta

from ..locks.restored import Restoration
from ..policy.tokens import TokenBytes
from ..types import Counter, NodeText, Value
from ..veiled import veiled

LOWEST_VERSION, VERSION = 2, 2
"""The protocol versions that this build speaks: from the lowest to the highest. A greeting offers this
range, and the two sides use the highest version that both speak. So the forms of the first messages
(`ClientHello`, `PeerOpening`, `Refusal`) never change; the form of a later one may depend on the
version.
"""
MAGIC = "decreed"

IdBytes = Annotated[bytes, Meta(min_length=16, max_length=16)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""Of Ed25519."""
GREETING_NONCE_BYTES = 32
Nonce = Annotated[bytes, Meta(min_length=GREETING_NONCE_BYTES, max_length=GREETING_NONCE_BYTES)]
"""Fresh random bytes of one side of one greeting, never used again."""
Proof = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A code of HMAC-SHA256."""
MAX_SEALED_BYTES = 4_000
ClusterId = Annotated[str, Meta(min_length=1, max_length=64)]
Digest = Annotated[bytes, Meta(min_length=16, max_length=16)]
NO_MEMBERS: Digest = bytes(16)
"""The digest of a directory that was made to join: it formed with no members (M19)."""
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


class TokenHello(Value, frozen=True, tag=92):
    """A client's first frame if it shows a token: a `ClientHello`, and the token. Only over TLS (S33).

    Args:
        magic, lowest_version, highest_version, software: as in `ClientHello`.
        token: its text.
    """

    magic: Annotated[str, Meta(max_length=16)]
    lowest_version: Counter
    highest_version: Counter
    software: Annotated[str, Meta(max_length=128)]
    token: TokenBytes

    @property
    def hello(self) -> ClientHello:
        """The same without the token."""
        return ClientHello(self.magic, self.lowest_version, self.highest_version, self.software)

    def __repr__(self) -> str:
        return veiled(self, "token")


class Member(Value, frozen=True):
    """A member of the cluster and where to reach it.

    Args:
        node: its name.
        address: ``host:port``; a hint, since it may have changed, or have been wrong.
        incarnation: that of the member's directory in which it told the address; 0 if the address is
            that of the sender's ``cluster.toml``. Of two addresses, the one with the higher
            incarnation is newer. For clients, 2^32 times the epoch is added.
    """

    node: NodeText
    address: Address
    incarnation: Counter


class ClientWelcome(Value, frozen=True, tag=2):
    """A node's answer to a client.

    Args:
        version: the protocol version that both will speak.
        cluster_id: the cluster's id, from ``cluster.toml``.
        formation: the id of this formation of the cluster; None until it has formed. The key of caches.
        node: the answering node.
        members: all voters with their addresses. When they change, the node sends the welcome again.
        max_value_bytes, max_frame_bytes, max_in_flight: this node's bounds.
        epoch: the epoch whose voters the members are, as far as this node knows.
        observers: nodes without a vote that serve what is frozen, and are linked to this node.
        restored_ms: when the formation was restored or recovered, in milliseconds since 1970; 0: never.
            Of two formations the one with the higher time goes on.
    """

    version: Counter
    cluster_id: ClusterId
    formation: IdBytes | None
    node: NodeText
    members: tuple[Member, ...]
    max_value_bytes: Counter
    max_frame_bytes: Counter
    max_in_flight: Counter
    epoch: Counter = 0
    observers: tuple[Member, ...] = ()
    restored_ms: Counter = 0


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
        digest: of the member names and quorum sizes when the directory was made; `NO_MEMBERS` if it was
            made to join.
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

    @property
    def joins(self) -> bool:
        """Whether the directory was made to join, so that it is no voter of epoch 0."""
        return self.digest == NO_MEMBERS


class PeerOpening(Value, frozen=True, tag=6):
    """A node's first frame to another node: who it says that it is, and nothing of its directory.

    Args:
        magic: the word that identifies the protocol.
        lowest_version, highest_version: the protocol versions that it supports.
        cluster_id: the cluster's id, from ``cluster.toml``.
        node: the node that dials.
        to: the node that it wants; None if it does not know who is there.
        nonce: of this greeting.
    """

    magic: Annotated[str, Meta(max_length=16)]
    lowest_version: Counter
    highest_version: Counter
    cluster_id: ClusterId
    node: NodeText
    to: NodeText | None
    nonce: Nonce


class PeerOpened(Value, frozen=True, tag=7):
    """The answer to `PeerOpening`: a proof of the cluster's secret, and nothing of the directory.

    Args:
        node: the node that answers.
        nonce: of this greeting.
        proof: over the opening, `node` and `nonce` (`wire.proof`).
    """

    node: NodeText
    nonce: Nonce
    proof: Proof


class Sealed(Value, frozen=True, tag=8):
    """A message of a greeting that has been opened, with its proof.

    Args:
        message: its CBOR.
        proof: over `message`, its number, its sender's role, and all that was said before.
    """

    message: Annotated[bytes, Meta(max_length=MAX_SEALED_BYTES)]
    proof: Proof


class PeerHello(Value, frozen=True, tag=3):
    """A node's identity, to another node that has proven the cluster's secret.

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
        signing_key: the public key of the sender's directory.
        restoration: how the formation was restored; None if it was not, or if there is none yet. A
            directory that joins takes it with the formation (M19).
    """

    version: Counter
    identity: PeerIdentity
    past: Incarnation | None
    signing_key: PublicKey
    restoration: Restoration | None = None


class PeerRecall(Value, frozen=True, tag=5):
    """Another answer to `PeerHello`: send it again, and prove this incarnation of your directory."""

    incarnation: Counter


class Evidence(Value, frozen=True):
    """What a node remembers of the directory of another one, and has against what that one shows.

    The other node compares it with its own directory: it ends only if that bears it out.

    Args:
        disk_id: of the directory that the name has.
        epoch: the epoch whose decree gives the name to that directory; 0 if none does.
        incarnation, nonce: the last incarnation that was met; 0 and zeros if none was.
        feed_end: how many entries of its feed were read.
        signing_key: the key that it had; None if it was not told.
        known, ready, since: the seat that it told, as in `SeatTold`; 0, None and 0 if it told none.
    """

    disk_id: IdBytes
    epoch: Counter = 0
    incarnation: Counter = 0
    nonce: IdBytes = bytes(16)
    feed_end: Counter = 0
    signing_key: PublicKey | None = None
    known: Counter = 0
    ready: Counter | None = None
    since: Counter = 0


class DirectoryRefusal(Value, frozen=True, tag=9):
    """The directory of a node is refused, and why. The node ends if its own directory agrees. S06."""

    message: Text
    evidence: Evidence


Greeting = ClientHello | TokenHello | PeerOpening | PeerHello
"""What begins a connection; a `PeerHello` only where a certificate proves the peer."""
Reception = ClientWelcome | PeerOpened | Sealed | Refusal
PeerReception = PeerWelcome | PeerRecall | DirectoryRefusal | Refusal
"""What a hello is answered with."""
