"""A node's status report to clients: itself and its peers."""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from ..types import Counter, NodeText, Value
from .handshake import IdBytes, Text


class PeerStatus(Value, frozen=True):
    """How a node sees one of its peers."""

    node: NodeText
    address: str
    reachable: bool
    refused: str
    incarnation: Counter
    pulled: Counter


class CertificatePart(IntEnum):
    """What a certificate is to a node."""

    OWN = 1
    CA = 2
    PEER = 3
    CLIENT = 4


class CertificateStatus(Value, frozen=True):
    """A certificate that this node uses, or that somebody who is connected has shown.

    Args:
        part: the node's own, a CA's that it trusts, a peer's, or a client's.
        whose: whom it names, such as ``node/n1``; the subject of a CA.
        expires_ms: when it expires, in milliseconds since 1970.
        marks: its SHA-256 and its serial number, as a policy refuses them.
        connections: how many connections came with it.
    """

    part: CertificatePart
    whose: Text
    expires_ms: Counter
    marks: tuple[Text, ...] = ()
    connections: Counter = 0


MAX_QUOTAS = 100
"""The most quotas of which a report tells the use: the fullest ones."""


class QuotaUse(Value, frozen=True):
    """What an identity has used of a quota, as far as this node has learned and counted.

    Args:
        on: the prefix.
        of: the identity.
        keys, max_keys: how many keys are frozen, and how many may be; None: as many as it likes.
        bytes, max_bytes: the same of the bytes of all their values.
        counting: whether the node is still counting, so that the numbers may be too low.
    """

    on: str
    of: str
    keys: Counter
    max_keys: Counter | None
    bytes: Counter
    max_bytes: Counter | None
    counting: bool


class AlarmKind(IntEnum):
    """What an operator should act on. The ones that keep a node from voting come first."""

    DISK_FAILED = 1
    DISK_FULL = 2
    DISK_LOW = 3
    SLOW_DISK = 4
    KEY_DISPUTED = 5
    DAMAGE = 6
    LAGGING_PEER = 7
    CLOCK_RATE = 8


MAX_ALARMS = 32
"""The most alarms of which a report tells."""


class AlarmStatus(Value, frozen=True):
    """What an operator should act on now. It is told as long as its reason is there, and no longer.

    Args:
        kind: what it is.
        about: the key or the peer, if it is about one.
        text: what is wrong, in words.
        way_out: what to do.
    """

    kind: AlarmKind
    about: Text
    text: Text
    way_out: Text


class StatusReport(Value, frozen=True, tag=75):
    """A node about itself.

    Args:
        id: the request's id.
        address: where it says that others reach it.
        node, cluster_id, formation, incarnation, version: its identity.
        voting: whether it takes part in Paxos; `trouble` says why not.
        decrees: how many it has learned (the end of its feed).
        unlearned: instances in which it has accepted a proposal and does not know the outcome yet.
        prepare_quorum, accept_quorum: the quorum sizes.
        uptime_ms: milliseconds since its start.
        peers: how it sees the others.
        scrubbed_ms: milliseconds since the end of its last scrub; None: none since its start.
        damage: what that scrub has found and not repaired, in words; empty if nothing.
        withheld: about how many keys it is silent: nobody could show at a change of members what was
            accepted for them, or the decree, or their records are gone.
        epoch: the epoch that it knows.
        observes: whether it was started to observe, and has no vote.
        behind: how many entries of the feed that it has read furthest it has not read yet; None if no
            member is linked to it, so that it cannot know.
        met_damage: how often reads have met damage on its disk since its start.
        first_damage: what they met first, in words.
        guests: how many nodes that want a vote, and have none, are linked to it.
        tls_expires_ms: when the first of its certificate and CAs expires, in milliseconds since 1970;
            None if its connections have no TLS.
        tls_fault: what is wrong with how they are secured; empty if nothing is.
        certificates: its own, of its CAs, and of those that are connected, as far as the caller may
            know: of clients only administrators are told.
        policy: the number of the policy that it obeys; 0: none, and everything is open.
        newest_policy: the number of the newest one that it knows.
        policy_confirmed: whether a quorum has told it lately that there is none newer; else nothing
            begins there.
        policy_fault: why it does not obey the newest that it knows; empty if it does.
        quotas: the use of quotas, the fullest first: for administrators all, for others their own.
        alarms: what an operator should act on.
        disk_free_bytes, disk_size_bytes: what is free on its disk, and its size; None if not measured.
        disk_used_bytes: what its own files take.
        disk_grows_bytes: by how much they have grown in a day, as far as that was seen.
    """

    id: Counter
    node: NodeText
    address: str
    cluster_id: str
    formation: IdBytes | None
    incarnation: Counter
    version: str
    voting: bool
    trouble: str
    decrees: Counter
    unlearned: Counter
    prepare_quorum: Counter
    accept_quorum: Counter
    uptime_ms: Counter
    peers: tuple[PeerStatus, ...]
    scrubbed_ms: Counter | None = None
    damage: Text = ""
    withheld: Counter = 0
    epoch: Counter = 0
    observes: bool = False
    behind: Counter | None = None
    met_damage: Counter = 0
    first_damage: Text = ""
    guests: Counter = 0
    tls_expires_ms: Counter | None = None
    tls_fault: Text = ""
    certificates: tuple[CertificateStatus, ...] = ()
    policy: Counter = 0
    newest_policy: Counter = 0
    policy_confirmed: bool = True
    policy_fault: Text = ""
    quotas: Annotated[tuple[QuotaUse, ...], Meta(max_length=MAX_QUOTAS)] = ()
    alarms: Annotated[tuple[AlarmStatus, ...], Meta(max_length=MAX_ALARMS)] = ()
    disk_free_bytes: Counter | None = None
    disk_size_bytes: Counter | None = None
    disk_used_bytes: Counter = 0
    disk_grows_bytes: Counter = 0
