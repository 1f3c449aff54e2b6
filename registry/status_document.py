"""A node's status report as a JSON document, and what several of them say together. No I/O."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .wire.status import AlarmStatus, CertificateStatus, PeerStatus, StatusReport


def document_of(node: StatusReport) -> dict[str, Any]:
    """The document of one report: ``decreed status --json`` and ``/status`` tell the same."""
    return {
        "node": node.node,
        "address": node.address,
        "up": True,
        "restricted": is_bare(node),
        "voting": node.voting,
        "trouble": node.trouble,
        "cluster_id": node.cluster_id,
        "formation": node.formation.hex() if node.formation else None,
        "incarnation": node.incarnation,
        "version": node.version,
        "decrees": node.decrees,
        "unlearned": node.unlearned,
        "withheld": node.withheld,
        "prepare_quorum": node.prepare_quorum,
        "accept_quorum": node.accept_quorum,
        "uptime_ms": node.uptime_ms,
        "scrubbed_ms": node.scrubbed_ms,
        "damage": node.damage,
        "epoch": node.epoch,
        "observes": node.observes,
        "behind": node.behind,
        "met_damage": node.met_damage,
        "first_damage": node.first_damage,
        "tls_expires_ms": node.tls_expires_ms,
        "tls_fault": node.tls_fault,
        "certificates": [_certificate(each) for each in node.certificates],
        "policy": node.policy,
        "newest_policy": node.newest_policy,
        "policy_confirmed": node.policy_confirmed,
        "policy_fault": node.policy_fault,
        "quotas": [msgspec.structs.asdict(use) for use in node.quotas],
        "peers": [_peer(peer) for peer in node.peers],
        "alarms": [_alarm(each) for each in node.alarms],
        "disk_free_bytes": node.disk_free_bytes,
        "disk_size_bytes": node.disk_size_bytes,
        "disk_used_bytes": node.disk_used_bytes,
        "disk_grows_bytes": node.disk_grows_bytes,
    }


def is_bare(node: StatusReport) -> bool:
    """Whether a report says only what everybody may know."""
    return not node.cluster_id


def has_quorum(reports: Sequence[StatusReport]) -> bool:
    """Whether as many nodes vote as both a prepare and an accept quorum need."""
    voting = sum(report.voting for report in reports)
    return any(voting >= max(r.prepare_quorum, r.accept_quorum) for r in reports)


def _alarm(alarm: AlarmStatus) -> dict[str, Any]:
    return msgspec.structs.asdict(alarm) | {"kind": alarm.kind.name.lower()}


def _certificate(certificate: CertificateStatus) -> dict[str, Any]:
    shown = msgspec.structs.asdict(certificate)
    return shown | {"part": certificate.part.name.lower(), "marks": list(certificate.marks)}


def _peer(peer: PeerStatus) -> dict[str, Any]:
    return msgspec.structs.asdict(peer)
