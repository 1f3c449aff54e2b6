"""``cluster.toml``: who the members are, what a quorum is, and the bounds. Values and validation.

Reading and writing the file belongs to the CLI; this module turns a parsed document into a
`ClusterConfig` and names the setting that is wrong. It does no I/O.
"""

import hashlib
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .addresses import advertised, split_address
from .errors import ConfigError
from .keys import HOMES_VERSION
from .paxos.epochs import Epoch
from .paxos.quorums import Quorums, majority
from .types import MAX_NODE_CHARS, NodeId, NodeText, Value
from .wire.codec import encode
from .wire.handshake import Address, ClusterId
from .wire.policy import MAX_AGE_MS

CLUSTER_SIZES = (1, 3, 5, 7)
MIB = 1024 * 1024
FRAME_ROOM_BYTES = 2 * MIB
"""A page of decrees holds about 1 MiB and one value more, and must fit a frame."""
FRAMES_QUEUED = 4
"""How many of the largest frames must be able to wait for a slow peer."""

_UNKNOWN = re.compile("Object contains unknown field `(.*)`", re.DOTALL)


MAX_GUESTS = 1_000
"""The most nodes without a vote that a node may be set to take: with the voters of two epochs they fit
into a report (`decreed.registry.wire.members.MAX_SEATS`)."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds of a node; the section ``[limits]``. Sizes are in bytes.

    Args:
        max_value_bytes: the largest value that may be claimed.
        max_frame_bytes: the largest frame taken from a client or a peer.
        max_connections: connections at a time; further ones are refused.
        max_in_flight: requests of one connection at a time; at this number reading pauses.
        max_in_flight_bytes: the bytes of their values; at this number reading pauses.
        max_all_in_flight_bytes: the same for all clients together.
        max_all_requests_bytes: the memory of all waiting requests, counted as 1 KiB each plus their
            texts and small values; beyond it the newest requests of the clients with most are
            refused.
        max_client_queue_bytes: answers waiting for a slow client; beyond it the client is dropped.
        max_all_client_queue_bytes: the same for all clients together, a large value counted once;
            beyond it the clients with most of them are dropped.
        max_all_frame_bytes: large frames that are not read to the end, or not taken yet; further
            ones wait, and the largest that is late is dropped.
        max_peer_queue_bytes: messages waiting for a slow peer; further ones are dropped (R02).
        max_guests: nodes without a vote that are linked to this one at a time; further ones are
            refused, and join by other members.
    """

    max_value_bytes: Annotated[int, Meta(ge=1, le=16 * MIB)] = MIB
    max_frame_bytes: Annotated[int, Meta(ge=4 * MIB, le=256 * MIB)] = 8 * MIB
    max_connections: Annotated[int, Meta(ge=8, le=1_000_000)] = 1_024
    max_in_flight: Annotated[int, Meta(ge=1, le=1_000_000)] = 4_096
    max_in_flight_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 16 * MIB
    max_all_in_flight_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 64 * MIB
    max_all_requests_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 96 * MIB
    max_client_queue_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 64 * MIB
    max_all_client_queue_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 128 * MIB
    max_all_frame_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 64 * MIB
    max_peer_queue_bytes: Annotated[int, Meta(ge=MIB, le=16_384 * MIB)] = 64 * MIB
    max_guests: Annotated[int, Meta(ge=1, le=MAX_GUESTS)] = 200


class QuorumSizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[quorums]``; 0 means a majority."""

    prepare: Annotated[int, Meta(ge=0, le=7)] = 0
    accept: Annotated[int, Meta(ge=0, le=7)] = 0


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[timing]``, in milliseconds. Only speed depends on it, never safety.

    Args:
        suspect_ms: a peer that is silent for this time is skipped as a coordinator.
        resend_ms: unanswered prepares and accepts are sent again after this time, then less and less
            often.
        backoff_ms: the first pause after losing to a higher ballot; it doubles, and is randomised.
        finish_ms: a node finishes an acceptance whose outcome is unknown for this time.
        pull_ms: the time between two requests for a peer's feed.
        drain_ms: how long a stopping node continues to answer requests in flight.
    """

    suspect_ms: Annotated[int, Meta(ge=20, le=60_000)] = 250
    resend_ms: Annotated[int, Meta(ge=10, le=60_000)] = 200
    backoff_ms: Annotated[int, Meta(ge=1, le=60_000)] = 10
    finish_ms: Annotated[int, Meta(ge=50, le=600_000)] = 1_000
    pull_ms: Annotated[int, Meta(ge=10, le=600_000)] = 200
    drain_ms: Annotated[int, Meta(ge=0, le=600_000)] = 5_000


class LockTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[locks]``.

    Args:
        keep_terms: how many of the latest terms of each lock are kept at least; older ones are
            forgotten in batches.
    """

    keep_terms: Annotated[int, Meta(ge=8, le=100_000)] = 1_000


class ScrubPace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[scrub]``: how each node checks all that lies on its disk.

    Args:
        every_hours: how often; 0: never by itself.
        bytes_per_second: how fast it reads.
    """

    every_hours: Annotated[int, Meta(ge=0, le=87_600)] = 168
    bytes_per_second: Annotated[int, Meta(ge=4_096, le=16_384 * MIB)] = MIB


class DiskMarks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[disk]``: from how few free bytes on a node does less. 0: never.

    A mark is the smaller of its bytes and its part of the file system: fixed bytes alone would stop a
    node whose disk is hardly larger than they are.

    Args:
        low_bytes, low_percent: the soft mark: it begins no new claims, which other nodes coordinate; it
            votes.
        full_bytes, full_percent: the hard mark: it does not vote either, and serves what is frozen.
    """

    low_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 1_024 * MIB
    low_percent: Annotated[int, Meta(ge=0, le=100)] = 5
    full_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 256 * MIB
    full_percent: Annotated[int, Meta(ge=0, le=100)] = 1

    def of(self, size_bytes: int) -> tuple[int, int]:
        """The soft mark and the hard mark of a file system, in bytes.

        Args:
            size_bytes: its size.
        """
        low = min(self.low_bytes, size_bytes * self.low_percent // 100)
        return low, min(self.full_bytes, size_bytes * self.full_percent // 100)


class AdminTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[admin]``.

    Args:
        listen: ``host:port`` where a node tells its health and its metrics over HTTP; empty: nowhere.
    """

    listen: str = ""


class PolicyTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[policy]``.

    Args:
        max_age_ms: for how long a node that no quorum answers goes on to begin claims and locks under
            the policy that it knows, and so for how long ``decreed policy apply`` may have to wait.
    """

    max_age_ms: Annotated[int, Meta(ge=1_000, le=600_000)] = MAX_AGE_MS


class AuditTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[audit]``: what a node writes into its audit log, if it is started with one.

    Args:
        claims: whether claims are told too.
        required: whether a node stops when its log cannot be written, before anything untold is
            answered. Otherwise that is an alarm.
    """

    claims: bool = False
    required: bool = False


class TlsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[tls]``: PEM files of a node, relative to the folder of ``cluster.toml``.

    In a path ``{node}`` stands for the node's name.

    Args:
        certificate: the node's certificate; empty for no TLS.
        key: its private key.
        ca: the CAs that nodes and clients must have.
        lowest_version: the lowest version of TLS.
        client_certificates: whether clients must have a certificate.
        accept_plain: whether connections without TLS are let in as well, while a cluster moves over.
    """

    certificate: str = ""
    key: str = ""
    ca: str = ""
    lowest_version: Literal["1.2", "1.3"] = "1.3"
    client_certificates: Literal["optional", "required"] = "optional"
    accept_plain: bool = False


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cluster_id: ClusterId
    members: dict[NodeText, Address]
    quorums: QuorumSizes = QuorumSizes()
    limits: Limits = Limits()
    timing: Timing = Timing()
    locks: LockTerms = LockTerms()
    scrub: ScrubPace = ScrubPace()
    audit: AuditTerms = AuditTerms()
    tls: TlsSection = TlsSection()
    insecure: bool = False
    policy: PolicyTerms = PolicyTerms()
    disk: DiskMarks = DiskMarks()
    admin: AdminTerms = AdminTerms()


class ClusterConfig(Value, frozen=True):
    """One cluster, as every member must see it.

    Args:
        cluster_id: names the cluster; made by ``decreed init``.
        addresses: node name and ``host:port`` of each member, in order of name.
        quorums: the sizes of prepare and accept quorums (R07).
        limits: the bounds of a node.
        timing: periods and pauses.
        locks: how many terms of a lock are kept.
        scrub: how often and how fast a node checks its disk.
        audit: what a node's audit log has, and what becomes of the node without it.
        tls: the files for TLS.
        insecure: whether nodes may listen beyond loopback without TLS (S01).
        policy: for how long a policy is in force where no quorum answers.
        disk: from how few free bytes on a node does less.
        admin: where a node tells its health and its metrics.
    """

    cluster_id: ClusterId
    addresses: tuple[tuple[NodeText, Address], ...]
    quorums: Quorums
    limits: Limits = Limits()
    timing: Timing = Timing()
    locks: LockTerms = LockTerms()
    scrub: ScrubPace = ScrubPace()
    audit: AuditTerms = AuditTerms()
    tls: TlsSection = TlsSection()
    insecure: bool = False
    policy: PolicyTerms = PolicyTerms()
    disk: DiskMarks = DiskMarks()
    admin: AdminTerms = AdminTerms()

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The members' names, in order."""
        return tuple(node for node, _ in self.addresses)

    def address(self, node: NodeId) -> tuple[str, int]:
        """Host and port of a member.

        Raises:
            ConfigError: if `node` is no member.
        """
        for name, address in self.addresses:
            if name == node:
                return split_address(address)
        raise ConfigError(f"{node!r} is no member; the members are {', '.join(self.nodes)}")

    def digest(self) -> bytes:
        """16 bytes that differ when members or quorum sizes differ (R07: they are agreed)."""
        facts = (list(self.nodes), self.quorums.prepare, self.quorums.accept)
        return hashlib.blake2b(encode(facts), digest_size=16).digest()

    def class_digest(self, epoch: Epoch | None = None) -> bytes:
        """16 bytes that differ when a key may have another home, or a quorum another size.

        Args:
            epoch: whose voters they are; those of epoch 0 by default, with the digest that they had
                before there were epochs.
        """
        # a later epoch says everything itself: whose file says what does not matter then (M19)
        told = encode(epoch) if epoch is not None and epoch.number else self.digest()
        facts = (told, HOMES_VERSION)
        return hashlib.blake2b(encode(facts), digest_size=16).digest()


def parse_config(document: dict[str, Any]) -> ClusterConfig:
    """Check a parsed ``cluster.toml``.

    Raises:
        ConfigError: naming the setting that is wrong.
    """
    try:
        parsed = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise ConfigError(_say(str(error))) from error
    _check_members(parsed.members)
    limits = parsed.limits
    if limits.max_frame_bytes < limits.max_value_bytes + FRAME_ROOM_BYTES:
        raise ConfigError(
            f"limits.max_frame_bytes must exceed limits.max_value_bytes by {FRAME_ROOM_BYTES}"
        )
    least = FRAMES_QUEUED * limits.max_frame_bytes
    if limits.max_peer_queue_bytes < least:
        # repetitions of one large message must not fill the queue, or the link is reset again and again
        raise ConfigError(f"limits.max_peer_queue_bytes must be {least} at least, for such frames")
    return ClusterConfig(
        parsed.cluster_id,
        tuple((node, advertised(at)) for node, at in sorted(parsed.members.items())),
        _quorums(parsed),
        limits,
        parsed.timing,
        parsed.locks,
        parsed.scrub,
        parsed.audit,
        parsed.tls,
        parsed.insecure,
        parsed.policy,
        parsed.disk,
        parsed.admin,
    )


def _quorums(parsed: _Document) -> Quorums:
    members = tuple(sorted(parsed.members))
    usual, sizes = majority(len(members)), parsed.quorums
    try:
        return Quorums(members, sizes.prepare or usual, sizes.accept or usual)
    except ValueError as error:
        raise ConfigError(f"quorums: {error}") from error


def _check_members(members: dict[NodeId, str]) -> None:
    if len(members) not in CLUSTER_SIZES:
        raise ConfigError(f"members: a cluster has 1, 3, 5 or 7 of them, not {len(members)}")
    for node, address in members.items():
        try:
            check_node_name(node)
            advertised(address)
        except ConfigError as error:
            raise ConfigError(f"members.{node}: {error}") from error
    if len({split_address(address) for address in members.values()}) < len(members):
        raise ConfigError("members: two of them have the same address")


def check_node_name(node: str) -> None:
    """Check that a node can have this name.

    Raises:
        ConfigError: if it cannot.
    """
    if not (node.isascii() and node.replace("-", "").replace("_", "").isalnum()):
        raise ConfigError("a node's name is made of A-Z a-z 0-9 - _")
    if len(node) > MAX_NODE_CHARS:
        raise ConfigError(f"a node's name has {MAX_NODE_CHARS} characters at most")


def _say(text: str) -> str:
    """msgspec's message, with the dotted name of the setting instead of its JSON path."""
    fault, at, path = text.partition(" - at `$")
    setting = path.strip(".`").replace("[...]", "")
    if unknown := _UNKNOWN.fullmatch(fault):
        return _no_setting(setting, unknown[1])
    return f"{setting}: {fault}" if at else fault


def _no_setting(section: str, name: str) -> str:
    """What to say of a name that no setting of a section has; the section "" is the whole file."""
    sections = {field.name: field.type for field in msgspec.structs.fields(_Document)}
    known = msgspec.structs.fields(sections[section] if section else _Document)
    place = f"{section}.{name}" if section else name
    return f"{place}: there is no such setting; there are {', '.join(each.name for each in known)}"
