"""``decreed status`` and ``decreed version``: the nodes' status, and the version of this program."""

import platform
import time
from typing import TYPE_CHECKING, Any

from ...client.keys import Keys
from ...client.requests.results import NodeDown
from ...registry.addresses import is_loopback, split_address
from ...registry.errors import ConfigError, Exit
from ...registry.status_document import document_of, has_quorum, is_bare
from ...registry.version import FORMAT, VERSION, build
from ...registry.wire import handshake
from ...registry.wire.members import MemberSeat, MembersReport, Role
from ...registry.wire.status import AlarmKind, CertificatePart, StatusReport
from ..options import types as o
from ..options.connection import ask_members, with_keys
from ..shell.failures import about
from ..shell.output import write_json, write_line
from ..shell.shown import counted, one_line

if TYPE_CHECKING:
    from ...client.requests.changing import MembersClient

DAY_S = 86_400
MAX_EXPIRING = 8
EXPIRY_S = 30 * DAY_S
FULL = 0.9
"""From this part of a quota on, its use is shown."""
"""A certificate that expires sooner is shown to people; JSON always has the time."""


def status(
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print what each node says of itself.

    Nodes that join are shown with how far they have come.

    Exit code 0: enough nodes vote to freeze keys; 5: too few do.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(registry: Keys) -> list[StatusReport | NodeDown]:
        return await registry.status()

    with about("status"):
        nodes = with_keys(call, ask)
        guests = _guests(call, nodes)
    if as_json:
        write_json(
            {
                "nodes": [_document(node) for node in nodes],
                "guests": [_guest_document(seat) for seat in guests],
                "quorum": has_quorum(_reports(nodes)),
                "warnings": warnings_of(nodes),
            }
        )
    else:
        for node in nodes:
            write_line(_line(node))
        for seat in guests:
            write_line(_guest_line(seat))
        for text in warnings_of(nodes):
            write_line(f"warning: {text}")
    return Exit.DONE if has_quorum(_reports(nodes)) else Exit.UNREACHABLE


def _guests(call: o.Call, nodes: list[StatusReport | NodeDown]) -> list[MemberSeat]:
    """The nodes that want a vote and have none: members know them, and clients need not."""
    reports = [node for node in nodes if isinstance(node, StatusReport)]
    if not any(report.guests for report in reports):
        return []

    async def ask(cluster: "MembersClient") -> MembersReport:
        return await cluster.report(cluster.deadline())

    return list(ask_members(call, ask).of(Role.GUEST))


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


def _line(node: StatusReport | NodeDown) -> str:
    if not isinstance(node, StatusReport):
        cause = one_line(str(node.error), 500)
        at = "" if node.address in cause else f"{one_line(node.address, 200)}: "
        return f"{one_line(node.node or '?', 100):<8} down     {at}{cause}"
    name, decrees = one_line(node.node, 100), counted(node.decrees, "decree")
    state = _state(node)
    if is_bare(node):
        version = one_line(node.version, 200)
        return f"{name:<8} {state:<8} version {version}; more takes the right 'read' on $status"
    withheld = f", withholds {counted(node.withheld, 'key')}" if node.withheld else ""
    trouble = f"; {one_line(node.trouble, 500)}" if node.trouble else ""
    if node.met_damage:
        met = counted(node.met_damage, "read")
        trouble += (
            f"; {met} met damage since its start, first: {one_line(node.first_damage, 1_000)}"
        )
    if node.damage:
        trouble += f"; its last scrub found: {one_line(node.damage, 1_000)}"
    for peer in node.peers:
        if peer.refused:
            trouble += f"; of {one_line(peer.node, 100)}: {one_line(peer.refused, 500)}"
    trouble += _security(node) + _full_quotas(node) + _alarms(node)
    return (
        f"{name:<8} {state:<8} {decrees}, {_lag(node)}{node.unlearned} unlearned{withheld}, "
        f"incarnation {node.incarnation}, up {node.uptime_ms / 1000:.0f} s, "
        f"version {one_line(node.version, 200)}{policy_words(node)}{trouble}"
    )


def policy_words(node: StatusReport) -> str:
    """Which policy a node obeys, if there is one, and whether anything begins there."""
    said = f", policy {node.policy}" if node.newest_policy else ""
    if node.policy_fault:
        said += (
            f" and not {node.newest_policy}, which it cannot read:"
            f" {one_line(node.policy_fault, 500)}"
        )
    if node.voting and not node.policy_confirmed:
        said += ", policy not confirmed"
    return said


def _reports(nodes: list[StatusReport | NodeDown]) -> list[StatusReport]:
    return [node for node in nodes if isinstance(node, StatusReport)]


def warnings_of(nodes: list[StatusReport | NodeDown]) -> list[str]:
    """What is wrong between the nodes, or with all of them."""
    told = [node for node in nodes if isinstance(node, StatusReport) and not is_bare(node)]
    warnings: list[str] = []
    obeyed = {number: _names(told, number) for number in sorted({node.policy for node in told})}
    if len(obeyed) > 1:
        each = "; ".join(f"{names} {number}" for number, names in obeyed.items())
        warnings.append(f"the nodes obey different policies: {each}")
    elif 0 in obeyed and any(is_exposed(node) for node in told):
        warnings.append(
            "there is no policy: every client that the nodes let in may do everything; see"
            " 'decreed policy apply --help'"
        )
    return warnings


def _names(nodes: list[StatusReport], policy: int) -> str:
    return " ".join(one_line(node.node, 100) for node in nodes if node.policy == policy)


def is_exposed(node: StatusReport) -> bool:
    """Whether others than this machine's own users may reach a node: it has TLS, or an address."""
    return node.tls_expires_ms is not None or not _is_near(node.address)


def _is_near(address: str) -> bool:
    try:
        host = split_address(address)[0]
        return host == "localhost" or is_loopback(host)
    except (ConfigError, ValueError):  # a name may stand for any address
        return False


def _security(node: StatusReport) -> str:
    """What an operator should mend: a fault of TLS, or an expiry within 30 days."""
    said = f"; {one_line(node.tls_fault, 500)}" if node.tls_fault else ""
    expiring = [each for each in node.certificates if _expires_soon(each.expires_ms)]
    for each in expiring[:MAX_EXPIRING]:
        whose = (
            f"the CA {each.whose}"
            if each.part is CertificatePart.CA
            else f"the certificate of {each.whose}"
        )
        said += f"; {one_line(whose, 300)} {_in_days(each.expires_ms)}"
    if len(expiring) > MAX_EXPIRING:
        said += f"; and {len(expiring) - MAX_EXPIRING} more expire"
    if not node.certificates and node.tls_expires_ms and _expires_soon(node.tls_expires_ms):
        said += (
            f"; a certificate {_in_days(node.tls_expires_ms)}"  # an earlier version tells no more
        )
    return said


def _expires_soon(expires_ms: int) -> bool:
    return expires_ms / 1000 - time.time() < EXPIRY_S


def _in_days(expires_ms: int) -> str:
    left_s = expires_ms / 1000 - time.time()
    return f"expires in {left_s / DAY_S:.0f} days" if left_s > 0 else "has expired"


def _alarms(node: StatusReport) -> str:
    """What to act on, with the way out; what the line says anyway is left out."""
    said = (each for each in node.alarms if each.kind is not AlarmKind.DAMAGE)
    return "".join(f"; ALARM: {one_line(f'{a.text}; {a.way_out}', 1_000)}" for a in said)


def _full_quotas(node: StatusReport) -> str:
    """The quotas of which nothing, or hardly anything, is left; `--json` shows all of them."""
    said = ""
    for use in node.quotas:
        for used, most, what in (
            (use.keys, use.max_keys, "keys"),
            (use.bytes, use.max_bytes, "bytes"),
        ):
            if most is not None and used >= FULL * most:
                who, place = one_line(use.of, 200), one_line(use.on, 600)
                said += f"; {who} has {used:,} of {most:,} {what} on '{place}'"
    return said


def _state(node: StatusReport) -> str:
    if node.observes:
        return "observes"
    return "voting" if node.voting else "silent"


def _lag(node: StatusReport) -> str:
    """How far behind a node is that has no vote now; a voter counts by what it votes for."""
    if node.behind is None:
        return "may be behind, " if node.observes else ""
    return "" if node.voting else f"{node.behind:,} behind, "


def _guest_line(seat: MemberSeat) -> str:
    """A node that joins; members are asked about it."""
    name, address = one_line(seat.node, 100), one_line(seat.address, 300)
    lag = "" if seat.behind is None else f", {seat.behind:,} behind"
    trouble = f"; {one_line(seat.trouble, 1_000)}" if seat.trouble else ""
    return f"{name:<8} joins    {'up' if seat.up else 'down'}{lag}, at {address}{trouble}"


def _guest_document(seat: MemberSeat) -> dict[str, Any]:
    return {
        "node": seat.node,
        "address": seat.address,
        "up": seat.up,
        "behind": seat.behind,
        "trouble": seat.trouble,
    }


def _document(node: StatusReport | NodeDown) -> dict[str, Any]:
    if not isinstance(node, StatusReport):
        return {"node": node.node, "address": node.address, "up": False, "error": str(node.error)}
    return document_of(node)
