"""``decreed member list`` and ``member file``: the members of a running cluster, and where they are."""

from pathlib import Path
from typing import Annotated, Any

from ...client.requests.changing import MembersClient
from ...registry.errors import Exit
from ...registry.paxos.quorums import majority
from ...registry.wire.members import MemberSeat, MembersReport, Role
from ..config.settings import load_config, read_config
from ..config.settings_text import config_text, with_members
from ..options import types as o
from ..options.as_node import administers
from ..options.connection import ask_members
from ..options.usage import said_by
from ..shell.deferred import typer
from ..shell.failures import about
from ..shell.output import write_json, write_line
from ..shell.shown import counted, one_line

OwnConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="DECREED_CLUSTER_CONFIG",
        metavar="FILE",
        help="Keep limits, timings and comments of this cluster.toml.  [default: the usual ones]",
        show_default=False,
    ),
]


@administers
def list_members(
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print the members of the cluster: where each is, whether it is up, ready, and how far behind.

    The answer is one member's: who does not answer it soon is down.
    """
    report = _ask(o.Call.of(endpoints, timeout, as_json, context), "member list")
    if as_json:
        write_json(_document(report))
    else:
        write_line(_sizes(report))
        for seat in report.seats:
            write_line(_line(report, seat))
        if report.under_way:
            write_line(
                f"a change to {' '.join(report.under_way)} may be decided: propose just that again,"
                f" with --epoch {report.epoch}"
            )
    return Exit.DONE


def print_file(
    config: OwnConfig = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print a cluster.toml with the members, addresses and quorums that the cluster has now.

    Limits and timings are each node's own affair, and the cluster does not know them: they are the
    usual ones, or with --config those of a file.
    """
    own = None
    if config is not None:
        with said_by("DECREED_CLUSTER_CONFIG", config):
            load_config(config)
            own = read_config(config)
    known = _ask(o.Call.of(endpoints, timeout, as_json, context), "member file")
    members = {str(seat.node): seat.address for seat in known.of(Role.VOTER)}
    usual = majority(len(members))
    prepare, accept = (0 if size == usual else size for size in (known.prepare, known.accept))
    if own is not None:
        with said_by("DECREED_CLUSTER_CONFIG", config), about(str(config)):
            text = with_members(own, known.cluster_id, members, prepare, accept)
    else:
        text = config_text(known.cluster_id, members, prepare, accept)
    if as_json:
        write_json({"members": members, "prepare": prepare, "accept": accept, "file": text})
    else:
        write_line(text.removesuffix("\n"))
    return Exit.DONE


def _ask(call: o.Call, command: str) -> MembersReport:
    """The report of a member that is up.

    Raises:
        CommandFailed: if none is.
    """

    async def ask(cluster: MembersClient) -> MembersReport:
        return await cluster.report(cluster.deadline())

    with about(command):
        return ask_members(call, ask)


def _sizes(report: MembersReport) -> str:
    voters = report.of(Role.VOTER)
    names = " ".join(one_line(seat.node, 100) for seat in voters)
    voting = sum(seat.votes for seat in voters)
    spare = f"{voting - report.needed} may fail" if voting >= report.needed else "no quorum"
    return (
        f"epoch {report.epoch}: {names} ({report.needed} of {len(voters)} needed, {voting} voting:"
        f" {spare})"
    )


def _line(report: MembersReport, seat: MemberSeat) -> str:
    name, address = one_line(seat.node, 100), one_line(seat.address, 300)
    return f"{name:<8} {address:<24} {', '.join(_words(report, seat))}"


def _words(report: MembersReport, seat: MemberSeat) -> list[str]:
    words = ["up" if seat.up else "down"]
    if seat.role == Role.VOTER and seat.up:
        words.append("voting" if seat.votes else "silent")
    if seat.role == Role.EARLIER:
        words += _left(report, seat)
    elif seat.role in _WITHOUT_VOTE:
        words.append("observes" if seat.role == Role.OBSERVER else "no vote")
    elif report.epoch:
        words.append("ready" if seat.ready == report.epoch else "not ready")
    if seat.behind:
        words.append(f"{seat.behind:,} behind")
    elif seat.role in _WITHOUT_VOTE and seat.up:
        words.append("caught up")
    if seat.role == Role.GUEST and seat.node in {voter.node for voter in report.of(Role.VOTER)}:
        words.append(f"another directory: 'decreed member replace {one_line(seat.node, 100)}'")
    if seat.withheld:
        words.append(f"withholds {counted(seat.withheld, 'key')}")
    if seat.trouble:
        words.append(one_line(seat.trouble, 500))
    return words


_WITHOUT_VOTE = (Role.GUEST, Role.OBSERVER)


def _left(report: MembersReport, seat: MemberSeat) -> list[str]:
    """What there is to say of a voter of the epoch before."""
    if len(report.ready) < report.needed:
        return ["left", "still needed"]
    is_told = seat.known is not None and seat.known >= report.epoch
    return ["left", "may be switched off" if is_told else "not told"]


def _document(report: MembersReport) -> dict[str, Any]:
    return {
        "cluster_id": report.cluster_id,
        "formation": report.formation.hex() if report.formation else None,
        "epoch": report.epoch,
        "prepare_quorum": report.prepare,
        "accept_quorum": report.accept,
        "under_way": list(report.under_way),
        "members": [_member(seat) for seat in report.of(Role.VOTER)],
        "others": [_member(seat) for seat in report.seats if seat.role != Role.VOTER],
    }


def _member(seat: MemberSeat) -> dict[str, Any]:
    return {
        "id": seat.node,
        "disk_id": seat.disk_id.hex() if seat.disk_id else None,
        "address": seat.address,
        "role": seat.role.name.lower(),
        "up": seat.up,
        "voting": seat.votes,
        "known": seat.known,
        "ready": seat.ready,
        "behind": seat.behind,
        "withheld": seat.withheld,
        "trouble": seat.trouble,
    }
