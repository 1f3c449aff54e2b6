"""``decreed status`` and ``decreed version``: the nodes' status, and the version of this program."""

import platform
from typing import Any

import msgspec

from ...client.keys import Keys
from ...client.requests.results import NodeDown
from ...registry.errors import Exit
from ...registry.version import FORMAT, VERSION, build
from ...registry.wire import handshake
from ...registry.wire.status import PeerStatus, StatusReport
from ..options import types as o
from ..options.connection import with_keys
from ..shell.failures import about
from ..shell.output import write_json, write_line
from ..shell.shown import counted, one_line


def status(
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print what each node says of itself.

    Exit code 0: enough nodes vote to freeze keys; 5: too few do.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(registry: Keys) -> list[StatusReport | NodeDown]:
        return await registry.status()

    with about("status"):
        nodes = with_keys(call, ask)
    if as_json:
        write_json({"nodes": [_document(node) for node in nodes], "quorum": has_quorum(nodes)})
    else:
        for node in nodes:
            write_line(_line(node))
    return Exit.DONE if has_quorum(nodes) else Exit.UNREACHABLE


def version(as_json: o.Json = False, timeout: o.NoTimeout = None) -> int:
    """Print the versions of decreed, its build, Python, the protocol and the format on disk."""
    del timeout
    facts = {
        "decreed": VERSION,
        "build": build(),
        "python": platform.python_version(),
        "protocol": handshake.VERSION,
        "format": FORMAT,
    }
    if as_json:
        write_json(facts)
    else:
        write_line(" ".join(f"{name} {value}" for name, value in facts.items()))
    return Exit.DONE


def has_quorum(nodes: list[StatusReport | NodeDown]) -> bool:
    """Whether as many nodes vote as both a prepare and an accept quorum need."""
    reports = [node for node in nodes if isinstance(node, StatusReport)]
    voting = sum(report.voting for report in reports)
    return any(voting >= max(r.prepare_quorum, r.accept_quorum) for r in reports)


def _line(node: StatusReport | NodeDown) -> str:
    if not isinstance(node, StatusReport):
        cause = one_line(str(node.error), 500)
        at = "" if node.address in cause else f"{one_line(node.address, 200)}: "
        return f"{one_line(node.node or '?', 100):<8} down     {at}{cause}"
    name, decrees = one_line(node.node, 100), counted(node.decrees, "decree")
    state = "voting" if node.voting else "silent"
    trouble = f"; {one_line(node.trouble, 500)}" if node.trouble else ""
    return (
        f"{name:<8} {state:<8} {decrees}, {node.unlearned} unlearned, "
        f"incarnation {node.incarnation}, up {node.uptime_ms / 1000:.0f} s, "
        f"version {one_line(node.version, 200)}{trouble}"
    )


def _document(node: StatusReport | NodeDown) -> dict[str, Any]:
    if not isinstance(node, StatusReport):
        return {"node": node.node, "address": node.address, "up": False, "error": str(node.error)}
    return {
        "node": node.node,
        "up": True,
        "voting": node.voting,
        "trouble": node.trouble,
        "cluster_id": node.cluster_id,
        "formation": node.formation.hex() if node.formation else None,
        "incarnation": node.incarnation,
        "version": node.version,
        "decrees": node.decrees,
        "unlearned": node.unlearned,
        "prepare_quorum": node.prepare_quorum,
        "accept_quorum": node.accept_quorum,
        "uptime_ms": node.uptime_ms,
        "peers": [_peer(peer) for peer in node.peers],
    }


def _peer(peer: PeerStatus) -> dict[str, Any]:
    return msgspec.structs.asdict(peer)
