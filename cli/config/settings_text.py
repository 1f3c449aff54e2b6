"""Writing ``cluster.toml``: every setting with a comment, atomically.

`decreed.registry.config` defines the settings and their values.
"""

import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from ...registry.config import Limits, LockTerms, Timing, parse_config
from ...registry.errors import BadRequest
from ..shell.failures import CommandFailed, reading

HEAD = """\
# A cluster of decreed. Every node reads the same file:
#   decreed serve --config cluster.toml --node NODE --data DIR

# Names the cluster; a node refuses a data directory or a peer of another one. Never change it.
cluster_id = {cluster_id}

# The members, each as name = "host:port": 1, 3, 5 or 7 of them. Addresses may change, together on
# all nodes; the set of names may not.
[members]
{members}

# How many members a prepare and an accept quorum have. 0 is a majority. Their sum must be more than
# the number of members, and all nodes must agree; a node that differs is refused.
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


def config_text(
    cluster_id: str, members: Mapping[str, str], prepare: int = 0, accept: int = 0
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
    )
    limits = _section("limits", "The bounds of a node; sizes are in bytes.", Limits, LIMITS)
    timing = _section(
        "timing", "Periods in milliseconds. Speed depends on them, safety never.", Timing, TIMING
    )
    locks = _section("locks", "What is kept of the past of a lock.", LockTerms, LOCKS)
    text = "\n".join([head, *limits, "", *timing, "", *locks, ""])
    parse_config(tomllib.loads(text))
    return text


def with_addresses(text: str, members: Mapping[str, str]) -> str:
    """The text of a ``cluster.toml`` with other addresses; all else, even comments, is unchanged."""
    document: Any = tomlkit.parse(text)
    for node, address in members.items():
        document["members"][node] = address
    return tomlkit.dumps(document)


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
        yield f"{field.name} = {field.default}"


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


def _key(name: str) -> str:
    return tomlkit.key(name).as_string()
