"""``decreed policy apply``: have the cluster obey another policy, and wait until it is in force."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from ...registry.errors import DecreedError, Denied, Exit, OutcomeUnknown, Refused
from ...registry.identity import ANONYMOUS, Identity
from ...registry.policy.difference import difference
from ...registry.policy.document import Policy
from ...registry.policy.tokens import is_alive
from ...registry.types import MAX_NOTE_CHARS
from ..changing.wanted import names_of
from ..config.tls_paths import SYSTEM
from ..options import types as o
from ..options.as_node import administers
from ..options.connection import ask_policies
from ..policies.documents import read_document
from ..policies.following import PolicyOnItsWay, Stage, keeps_admin, policy_before
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about
from ..shell.output import progress_writer, write_error, write_json, write_line
from ..shell.shown import one_line

if TYPE_CHECKING:
    from ...client.requests.policies import PolicyClient, PolicyOutcome, PolicyVersion

APPLY_SECONDS = 120.0

File = Annotated[
    str, typer.Argument(metavar="FILE", help="The policy, as JSON; - is standard input.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only check it, and show what it would change.")
]
Note = Annotated[
    str,
    typer.Option(
        "--note",
        parser=o.at_most(MAX_NOTE_CHARS, "note"),
        metavar="TEXT",
        help="Why; kept in the decree.",
    ),
]
Base = Annotated[
    int | None,
    typer.Option(
        "--base",
        metavar="N",
        min=0,
        help="Apply it only if policy N is the newest; 0: if there is none."
        "  [default: whichever is the newest]",
        show_default=False,
    ),
]
GiveUp = Annotated[
    bool, typer.Option("--give-up", help="Apply it also if it takes the right admin from you.")
]
ApplyTime = Annotated[
    float | None,
    o.duration(
        "--timeout", "DECREED_POLICY_TIMEOUT", "How long to wait until it is in force.", "2m"
    ),
]


@administers
def apply(
    file: File,
    dry_run: DryRun = False,
    note: Note = "",
    base: Base = None,
    give_up: GiveUp = False,
    claimant: o.Claimant = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: ApplyTime = None,
    as_json: o.Json = False,
) -> int:
    """Check a policy, show what it changes, and have the cluster obey it from now on.

    It may be run again with the same file: then it goes on waiting. Exit codes: 0 when it is in force;
    2 if it is wrong; 5 without a quorum; 6 if it is not sure to be in force, or to be decided; 7 if
    another one came first; 10 without the right admin.
    """
    call = o.Call.of(endpoints, timeout or APPLY_SECONDS, as_json, context)
    document = read_document(file)
    applying: list[PolicyOnItsWay] = []

    async def body(policies: "PolicyClient") -> int:
        applying.append(PolicyOnItsWay(policies, document, progress_writer(as_json=as_json)))
        return await _apply(applying[0], call, base, note, claimant, dry=dry_run, give_up=give_up)

    try:
        return ask_policies(call, body)
    except KeyboardInterrupt:
        stage = applying[0].stage if applying else Stage.NOTHING
        write_error(f"decreed: policy apply: interrupted; {_stopped(stage, file)}")
        raise
    except DecreedError as error:
        raise CommandFailed(error, f"policy {file}", _way_out(error, file)) from error


def _stopped(stage: Stage, file: str) -> str:
    again = f"; 'decreed policy apply {file}' says how it goes"
    return stage.value + (again if stage is not Stage.NOTHING else "")


def _way_out(error: DecreedError, file: str) -> str:
    if isinstance(error, OutcomeUnknown):
        return f"run 'decreed policy apply {file}' again: it goes on, and proposes nothing twice"
    nameless = isinstance(error, Denied) and "certificate" in str(error)
    return "see docs/how-to/secure-a-cluster.md" if nameless else ""


async def _apply(
    applying: PolicyOnItsWay,
    call: o.Call,
    base: int | None,
    note: str,
    claimant: str | None,
    *,
    dry: bool,
    give_up: bool,
) -> int:
    before = await applying.newest()
    _check_base(before, base)
    changes = difference(policy_before(before), applying.policy)
    warnings = _warnings(applying, before, call, give_up=give_up or dry)
    if not call.as_json:
        _show(before, applying, changes, warnings)
    outcome = None if dry else await applying.follow(before, note, claimant or call.claimant)
    if call.as_json:
        write_json(_document(before, changes, warnings, outcome))
    elif outcome is not None:
        for line in _told(outcome):
            write_line(line)
    return Exit.DONE


def _check_base(before: "PolicyVersion | None", base: int | None) -> None:
    number = 0 if before is None else before.number
    if base is not None and base != number:
        newest = f"policy {number} is the newest" if number else "there is no policy yet"
        way_out = f"look at it with 'decreed policy diff {base}', and name it with --base"
        raise CommandFailed(Refused(f"{newest}, and not {base}"), "--base", way_out)


# -- what the applier should know


def _warnings(
    applying: PolicyOnItsWay, before: "PolicyVersion | None", call: o.Call, *, give_up: bool
) -> list[str]:
    """What is said before it is applied.

    Raises:
        CommandFailed: if the applier would lose admin, and has not said that this is meant.
    """
    warnings: list[str] = []
    if before is None:
        warnings.append("it is the first policy: from now on nothing is allowed but what it grants")
    now_ms = time.time_ns() // 1_000_000
    if revoked := _revoked(policy_before(before), applying.policy, now_ms):
        names = names_of(Identity("token", name) for name in revoked)
        warnings.append(f"it revokes {names}; 'decreed policy show' prints the policy with them")
    own = own_identity(call)
    if own.kind == "client" and not keeps_admin(applying.policy, own, now_ms):
        lost = f"it leaves {own}, which is you, without admin"
        if not give_up:
            way_out = "give that identity a role with admin, or say --give-up"
            raise CommandFailed(Refused(lost), "policy", way_out)
        warnings.append(lost)
    return warnings


def _revoked(before: Policy, after: Policy, now_ms: int) -> list[str]:
    """The tokens that were good: a file from before they were made does not have them."""
    good = {name for name, token in before.tokens.items() if is_alive(token, now_ms)}
    return sorted(good - after.tokens.keys())


def own_identity(call: o.Call) -> Identity:
    """Who this command is to the nodes, by the certificate that it shows."""
    files = call.tls
    if files.cert is None or files.key is None or files.ca is None:
        return ANONYMOUS
    from pathlib import Path

    from ...registry.tls.contexts import TlsFiles, own_subject

    with about("tls"):
        ca = None if files.ca == SYSTEM else Path(files.ca)
        subject = own_subject(TlsFiles(Path(files.cert), Path(files.key), ca))
    return subject.identity if subject is not None else ANONYMOUS


# -- for people, and for programs


def _show(
    before: "PolicyVersion | None",
    applying: PolicyOnItsWay,
    changes: Sequence[str],
    warnings: Sequence[str],
) -> None:
    number = 0 if before is None else before.number
    same = before is not None and before.document == applying.document
    write_line(f"policy {number} says the same" if same else f"policy {number} -> {number + 1}")
    for line in changes:
        write_line(one_line(line, 1_000))
    for text in warnings:
        write_error(f"warning: {text}")


def _told(outcome: "PolicyOutcome") -> list[str]:
    lines = [f"policy {outcome.number} is in force"]
    if outcome.missing:
        lines.append(
            f"not told: {names_of(outcome.missing)}; nothing begins there, and it learns the policy"
            " when it is back"
        )
    return lines


def _document(
    before: "PolicyVersion | None",
    changes: Sequence[str],
    warnings: Sequence[str],
    outcome: "PolicyOutcome | None",
) -> dict[str, Any]:
    return {
        "before": 0 if before is None else before.number,
        "changes": list(changes),
        "warnings": list(warnings),
        "number": None if outcome is None else outcome.number,
        "in_force": outcome is not None and outcome.in_force,
        "not_told": [] if outcome is None else list(outcome.missing),
    }
