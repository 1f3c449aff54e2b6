"""``decreed member add``, ``remove``, ``replace``, ``promote`` and ``quorums``: who votes from now on.

A command finds out what its words mean, has the change judged, has it proposed, and waits until a
quorum of the new voters is ready. It may be stopped at any time, and says how to go on.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from ...client.requests.changing import Change, MembersClient
from ...registry.config import check_node_name
from ...registry.errors import ConfigError, DecreedError, Exit, OutcomeUnknown, Unreachable
from ...registry.types import Decree
from ...registry.wire.members import ChangePlan, FindingKind
from ..changing.carrying_out import Carrying, ChangeOutcome, State, refuse, texts
from ..changing.wanted import Base, Wanted, names_of
from ..options import types as o
from ..options.as_node import administers
from ..options.connection import ask_members
from ..shell.deferred import typer
from ..shell.failures import CommandFailed
from ..shell.output import progress_writer, write_error, write_json, write_line
from ..shell.shown import one_line

CHANGE_SECONDS = 120.0

Nodes = Annotated[list[str], typer.Argument(metavar="NODE…", help="Names of nodes.")]
Old = Annotated[str, typer.Argument(metavar="OLD", help="The voter that leaves.")]
New = Annotated[
    str | None,
    typer.Argument(
        metavar="NEW",
        help="The node that takes its place.  [default: OLD itself, with its new directory]",
        show_default=False,
    ),
]
Promoted = Annotated[str, typer.Argument(metavar="NODE", help="The node that is to vote.")]
For = Annotated[str, typer.Option("--for", metavar="OLD", help="The voter whose place it takes.")]
Prepare = Annotated[
    int | None,
    typer.Option(
        "--prepare",
        metavar="P",
        min=1,
        help="How many voters a read needs.  [default: as it was, or a majority]",
        show_default=False,
    ),
]
Accept = Annotated[
    int | None,
    typer.Option(
        "--accept",
        metavar="A",
        min=1,
        help="How many voters a claim needs.  [default: as it was, or a majority]",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would happen, and what speaks against it.")
]
EpochSeen = Annotated[
    int | None,
    typer.Option(
        "--epoch",
        metavar="K",
        min=0,
        help="Change the members only if their epoch is K; also goes on with a change from K."
        "  [default: the present one]",
        show_default=False,
    ),
]
ChangeTime = Annotated[
    float | None,
    o.duration(
        "--timeout",
        "DECREED_MEMBER_TIMEOUT",
        "How long to wait for the change, and for its voters to be ready.",
        "2m",
    ),
]


@administers
def add(
    nodes: Nodes,
    prepare: Prepare = None,
    accept: Accept = None,
    dry_run: DryRun = False,
    epoch: EpochSeen = None,
    claimant: o.Claimant = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ChangeTime = None,
    as_json: o.Json = False,
) -> int:
    """Have more nodes vote: two, four or six more, since the number of voters is odd.

    The nodes must run, and follow the cluster (decreed serve --join). Exit codes: 0 when enough of the
    new voters are ready; 5 without a quorum; 6 if it is unknown whether it is decided; 7 if refused.
    """
    call = o.Call.of(endpoints, timeout or CHANGE_SECONDS, as_json, context)
    wanted = Wanted(f"member add {names_of(nodes)}", (), tuple(nodes), prepare, accept)
    return _run(call, wanted, epoch, dry_run, claimant)


@administers
def remove(
    nodes: Nodes,
    prepare: Prepare = None,
    accept: Accept = None,
    dry_run: DryRun = False,
    epoch: EpochSeen = None,
    claimant: o.Claimant = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ChangeTime = None,
    as_json: o.Json = False,
) -> int:
    """Have nodes vote no more; it says when they may be switched off.

    They need not be up, if there are enough others. Exit codes: as for decreed member add.
    """
    call = o.Call.of(endpoints, timeout or CHANGE_SECONDS, as_json, context)
    wanted = Wanted(f"member remove {names_of(nodes)}", tuple(nodes), (), prepare, accept)
    return _run(call, wanted, epoch, dry_run, claimant)


@administers
def replace(
    old: Old,
    new: New = None,
    dry_run: DryRun = False,
    epoch: EpochSeen = None,
    claimant: o.Claimant = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ChangeTime = None,
    as_json: o.Json = False,
) -> int:
    """Have NEW vote in the place of OLD, in one step; OLD may be down.

    Without NEW, OLD itself votes on with a new directory: start it with an empty one and --join first.
    Its first directory must be down. Exit codes: as for decreed member add.
    """
    call = o.Call.of(endpoints, timeout or CHANGE_SECONDS, as_json, context)
    words = f"member replace {old}" if new is None else f"member replace {old} {new}"
    joining = old if new is None else new
    return _run(call, Wanted(words, (old,), (joining,)), epoch, dry_run, claimant)


@administers
def promote(
    node: Promoted,
    for_: For,
    dry_run: DryRun = False,
    epoch: EpochSeen = None,
    claimant: o.Claimant = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ChangeTime = None,
    as_json: o.Json = False,
) -> int:
    """Have a node that has followed the cluster so far vote in the place of another.

    Exit codes: as for decreed member add.
    """
    call = o.Call.of(endpoints, timeout or CHANGE_SECONDS, as_json, context)
    wanted = Wanted(f"member promote {node} --for {for_}", (for_,), (node,))
    return _run(call, wanted, epoch, dry_run, claimant)


@administers
def quorums(
    prepare: Prepare = None,
    accept: Accept = None,
    dry_run: DryRun = False,
    epoch: EpochSeen = None,
    claimant: o.Claimant = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ChangeTime = None,
    as_json: o.Json = False,
) -> int:
    """Change how many voters a read and a claim need; the voters stay.

    Their sum must exceed the number of voters. Exit codes: as for decreed member add.
    """
    if prepare is None and accept is None:
        raise typer.BadParameter("say --prepare, --accept, or both")
    call = o.Call.of(endpoints, timeout or CHANGE_SECONDS, as_json, context)
    return _run(call, Wanted("member quorums", (), (), prepare, accept), epoch, dry_run, claimant)


# -- one change


def _run(
    call: o.Call, wanted: Wanted, epoch: int | None, dry_run: bool, claimant: str | None
) -> int:
    thing = wanted.words
    _check_names(wanted)
    wanted = wanted.by(claimant or call.claimant)
    carrying: list[Carrying] = []

    async def body(cluster: MembersClient) -> int:
        say = progress_writer(as_json=call.as_json)
        carrying.append(Carrying(cluster, wanted, cluster.deadline(), say))
        return await _change(carrying[0], epoch, call, dry_run)

    try:
        return ask_members(call, body)
    except KeyboardInterrupt:
        if carrying:
            state, base = carrying[0].state, carrying[0].base
            write_error(f"decreed: {thing}: interrupted; {_state_line(wanted, state, base)}")
        raise
    except DecreedError as error:
        state, base = (carrying[0].state, carrying[0].base) if carrying else (State.NOTHING, None)
        raise CommandFailed(error, thing, _way_out(error, wanted, state, base)) from error


def _check_names(wanted: Wanted) -> None:
    """An unset variable in a script is an empty name, and must not mean another change."""
    for name in (*wanted.leaving, *wanted.joining):
        try:
            check_node_name(name)
        except ConfigError as error:
            raise typer.BadParameter(f"{name!r} names no node: {error}") from error


async def _change(carrying: Carrying, epoch: int | None, call: o.Call, dry_run: bool) -> int:
    base, change = await carrying.prepare(epoch)
    if dry_run:
        return _show_plan(base, change, await carrying.judge(change), call)
    _show_outcome(await carrying.carry_out(base, change), call)
    return Exit.DONE


def _state_line(wanted: Wanted, state: State, base: int | None) -> str:
    if state is State.NOTHING or base is None:
        return state.value
    return f"{state.value}; see how it went with '{wanted.command(base)}'"


def _way_out(error: DecreedError, wanted: Wanted, state: State, base: int | None) -> str:
    if isinstance(error, OutcomeUnknown | Unreachable) or state is not State.NOTHING:
        return _state_line(wanted, state, base)
    return State.NOTHING.value if error.exit_code == Exit.REFUSED else ""


# -- for people, and for programs


def _show_plan(base: Base, change: Change, answer: ChangePlan | Decree, call: o.Call) -> int:
    if isinstance(answer, Decree):
        done = (
            "this change is decided" if change.is_made_by(answer) else "another change is decided"
        )
        raise CommandFailed(Unreachable(f"epoch {base.number} is over: {done}"), "--dry-run")
    findings = answer.findings
    if call.as_json:
        write_json(_plan_document(base, change, answer))
    else:
        write_line(_epochs(base.nodes, base.number, change))
        for kind, name in ((FindingKind.WAITS, "waits"), (FindingKind.WARNING, "warning")):
            for text in texts(findings, kind):
                write_line(f"{name}: {one_line(text, 1_000)}")
    refuse(findings)
    return Exit.DONE


def _epochs(nodes: Sequence[str], number: int, change: Change) -> str:
    names = names_of(voter.node for voter in change.voters)
    return (
        f"epoch {number} -> {number + 1}: {names_of(nodes)} -> {names}"
        f" (prepare = {change.prepare}, accept = {change.accept})"
    )


def _plan_document(base: Base, change: Change, plan: ChangePlan) -> dict[str, Any]:
    return {
        **_change_document(change),
        "before": list(base.nodes),
        "findings": [
            {"kind": finding.kind.name.lower(), "text": finding.text} for finding in plan.findings
        ],
    }


def _change_document(change: Change) -> dict[str, Any]:
    return {
        "epoch": change.base + 1,
        "voters": [voter.node for voter in change.voters],
        "prepare": change.prepare,
        "accept": change.accept,
    }


def _show_outcome(outcome: ChangeOutcome, call: o.Call) -> None:
    if call.as_json:
        write_json(_outcome_document(outcome))
        return
    number = outcome.change.base + 1
    voters = names_of(voter.node for voter in outcome.change.voters)
    write_line(f"epoch {number}: {voters} (ready: {names_of(outcome.ready) or 'all'})")
    if outcome.left:
        write_line(f"{names_of(outcome.left)} may be switched off")
    if outcome.needed:
        write_line(
            f"{names_of(outcome.needed)} must stay up: too few voters are up and withhold nothing, and"
            " what they withhold an earlier voter may have to show; see 'decreed member list'"
        )
    voting = [voter.node for voter in outcome.change.voters]
    for node in outcome.untold:
        write_line(_not_told(node, replaced=node in voting))


def _not_told(node: str, *, replaced: bool) -> str:
    if replaced:
        return f"the first directory of {node} was not told, and is of no use any more: wipe it"
    return (
        f"not told: {node}; wipe its directory, or let it meet a member once, before anything of this"
        " cluster is restored from a copy"
    )


def _outcome_document(outcome: ChangeOutcome) -> dict[str, Any]:
    return {
        **_change_document(outcome.change),
        "before": list(outcome.nodes),
        "sealed": list(outcome.sealed),
        "ready": list(outcome.ready),
        "may_be_switched_off": list(outcome.left),
        "not_told": list(outcome.untold),
        "still_needed": list(outcome.needed),
        "warnings": outcome.warnings,
    }
