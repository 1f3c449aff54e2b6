"""Writing ``cluster.toml``: every setting with a comment, atomically.

`decreed.registry.config` defines the settings and their values.
"""

import json
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from tomlkit.items import Table

from ...registry.config import (
    AdminTerms,
    AuditTerms,
    DiskMarks,
    Limits,
    LockTerms,
    PolicyTerms,
    ScrubPace,
    Timing,
    TlsSection,
    parse_config,
)
from ...registry.errors import BadRequest
from ..shell.failures import CommandFailed, reading

HEAD = """\
# A cluster of decreed. Every node reads the same file:
#   decreed serve --config cluster.toml --node NODE --data DIR

# Names the cluster; a node refuses a data directory or a peer of another one. Never change it.
cluster_id = {cluster_id}

# Whether nodes may listen beyond their own machine without TLS: then anybody who reaches one reads and
# freezes keys.
insecure = {insecure}

# The members with which the cluster forms, each as name = "host:port": 1, 3, 5 or 7 of them. Later
# 'decreed member' changes them, and not this file. Addresses may change.
[members]
{members}

# How many members a prepare and an accept quorum have. 0 is a majority. Their sum must be more than
# the number of members. Later 'decreed member quorums' changes them.
[quorums]
prepare = {prepare}
accept = {accept}
"""

LIMITS = {
    "max_value_bytes": "The largest value that may be claimed.",
    "max_frame_bytes": "The largest frame taken from a client or a peer.",
    "max_connections": "Clients at a time; one more is refused.",
    "max_in_flight": "Requests of one connection at a time; reading pauses there.",
    "max_in_flight_bytes": "Bytes of their values at a time; reading pauses there.",
    "max_all_in_flight_bytes": "The same for all clients together.",
    "max_all_requests_bytes": "Memory of all waiting requests; above it clients with most are refused.",
    "max_client_queue_bytes": "Answers waiting for a slow client; above it the client is dropped.",
    "max_all_client_queue_bytes": "The same for all clients; above it those with most are dropped.",
    "max_all_frame_bytes": "Large frames on their way in; more wait, the largest late one is dropped.",
    "max_peer_queue_bytes": "Messages waiting for a slow peer; more are dropped, and sent again later.",
    "max_guests": "Nodes without a vote that are linked at a time; more have to join by other members.",
}
TIMING = {
    "suspect_ms": "A peer silent for this long is passed over as a coordinator.",
    "resend_ms": "Unanswered messages are sent again after this, then less and less often.",
    "backoff_ms": "The first pause after losing to a higher ballot; it doubles, at random.",
    "finish_ms": "After this long without an outcome, a node finishes what it accepted.",
    "pull_ms": "How often a peer is asked for what it has learned.",
    "drain_ms": "How long a stopping node still answers requests in flight.",
}
LOCKS = {
    "keep_terms": "The latest terms of each lock that are kept at least; older ones are dropped.",
}
SCRUB = {
    "every_hours": "How often a node reads all of it; 0: only when 'decreed scrub' asks.",
    "bytes_per_second": "How fast it reads then.",
}
AUDIT = {
    "claims": "Whether the audit log ('decreed serve --audit FILE') has claims too.",
    "required": "Whether a node stops when its audit log cannot be written; otherwise it is an alarm.",
}
POLICY = {
    "max_age_ms": "How long a node without a quorum begins claims under the policy that it knows.",
}
DISK = {
    "low_bytes": "With fewer free bytes it begins no new claims, and others coordinate them; 0: never.",
    "low_percent": "The same in percent of the file system; the smaller counts. 100: the bytes alone.",
    "full_bytes": "With fewer it does not vote either, and serves what is frozen; 0: never.",
    "full_percent": "The same in percent of the file system; the smaller counts. 100: the bytes alone.",
}
ADMIN = {
    "listen": "Where it listens, such as 127.0.0.1:7480 ('decreed serve --admin'); empty: nowhere.",
}
TLS = {
    "certificate": "The node's own, with its URI; {node} in a path is its name. Empty: no TLS.",
    "key": "Its private key, which nobody else may read.",
    "ca": "The CAs of members and clients; several while one takes over from another.",
    "lowest_version": "The lowest version of TLS: 1.3 or 1.2.",
    "client_certificates": "Whether clients need one too: optional or required.",
    "accept_plain": "While a cluster moves over to TLS: whether it lets in others without it too.",
}


def config_text(
    cluster_id: str,
    members: Mapping[str, str],
    prepare: int = 0,
    accept: int = 0,
    *,
    insecure: bool = False,
) -> str:
    """A ``cluster.toml`` with every setting in it, each explained, and checked.

    Raises:
        ConfigError: if the members or the quorums are wrong.
    """
    head = HEAD.format(
        cluster_id=_quoted(cluster_id),
        members="\n".join(f"{_key(node)} = {_quoted(at)}" for node, at in members.items()),
        prepare=prepare,
        accept=accept,
        insecure="true" if insecure else "false",
    )
    limits = _section("limits", "The bounds of a node; sizes are in bytes.", Limits, LIMITS)
    timing = _section(
        "timing", "Periods in milliseconds. Speed depends on them, safety never.", Timing, TIMING
    )
    locks = _section("locks", "What is kept of the past of a lock.", LockTerms, LOCKS)
    scrub = _section("scrub", "The check of all that lies on the disk.", ScrubPace, SCRUB)
    audit = _section("audit", "What a node tells of who did what.", AuditTerms, AUDIT)
    tls = _section(
        "tls", "Certificates in PEM; paths begin at this file's folder.", TlsSection, TLS
    )
    policy = _section(
        "policy", "How soon a new policy is in force everywhere.", PolicyTerms, POLICY
    )
    disk = _section("disk", "Marks of free space, both left as they were met.", DiskMarks, DISK)
    admin = _section("admin", "Health, status and metrics over HTTP.", AdminTerms, ADMIN)
    sections = (limits, timing, locks, scrub, audit, policy, disk, admin, tls)
    text = "\n".join([head, *(line for section in sections for line in (*section, ""))])
    parse_config(tomllib.loads(text))
    return text


def with_addresses(text: str, members: Mapping[str, str]) -> str:
    """The text of a ``cluster.toml`` with other addresses; all else, even comments, is unchanged."""
    document: Any = tomlkit.parse(text)
    for node, address in members.items():
        document["members"][node] = address
    return tomlkit.dumps(document)


def with_members(
    text: str, cluster_id: str, members: Mapping[str, str], prepare: int, accept: int
) -> str:
    """The text of a ``cluster.toml`` with other members and quorums; all else is unchanged.

    Raises:
        BadRequest: if it is the file of another cluster.
        ConfigError: if the members or the quorums are wrong.
    """
    document: Any = tomlkit.parse(text)
    if document["cluster_id"] != cluster_id:
        raise BadRequest(f"it belongs to cluster {document['cluster_id']!r}, not to {cluster_id!r}")
    for node in [*document["members"]]:
        if node not in members:
            del document["members"][node]
    _make_room(document, members)
    changed = with_addresses(tomlkit.dumps(document), members)
    document = tomlkit.parse(changed)
    quorums = document.setdefault("quorums", tomlkit.table())
    quorums["prepare"], quorums["accept"] = prepare, accept
    result: str = tomlkit.dumps(document)
    parse_config(tomllib.loads(result))
    return result


def _make_room(document: Any, members: Mapping[str, str]) -> None:
    """Put new members behind the last one, and not behind the comment of the next table."""
    found = document["members"]
    if not isinstance(found, Table):
        return
    body = found.value.body
    end = 1 + max((place for place, (key, _) in enumerate(body) if key is not None), default=-1)
    table = tomlkit.table()
    for key, item in body[:end]:
        table.append(key, item)
    for node, address in members.items():
        if node not in found:
            table.append(node, address)
    for key, item in body[end:]:
        table.append(key, item)
    document["members"] = table


def write_file(path: Path, text: str, replace: bool, mode: int = 0o644) -> None:
    """Write a file atomically, with the permissions `mode`.

    Raises:
        CommandFailed: if it cannot be written, or exists and may not be replaced; exit code 2.
    """
    with reading(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
            _publish(file.name, path, replace)


def _publish(written: str, path: Path, replace: bool) -> None:
    """Give a finished file its name, in one step by a link beside it."""
    try:
        os.link(written, path)
    except FileExistsError:
        if not replace:
            error = BadRequest("it exists already, and a new one would make another cluster")
            raise CommandFailed(
                error, str(path), "keep it, or write over it with --force"
            ) from None
        spare = f"{written}.new"
        os.link(written, spare)
        os.replace(spare, path)


def _section(
    name: str, purpose: str, settings: type[msgspec.Struct], words: Mapping[str, str]
) -> Iterator[str]:
    yield f"# {purpose}"
    yield f"[{name}]"
    for field in msgspec.structs.fields(settings):
        yield f"# {words[field.name]}"
        # numbers, switches and plain texts: as JSON has them
        yield f"{field.name} = {json.dumps(field.default)}"


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


def _key(name: str) -> str:
    return tomlkit.key(name).as_string()
