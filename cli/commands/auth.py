"""``decreed auth create``, ``list`` and ``revoke``: tokens, for clients without a certificate.

A token is shown once, to who makes it. The policy has its digest alone, so nobody can show it again.
"""

import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from ...client.requests.claims import checked_claimant
from ...client.requests.policies import PolicyClient, PolicyOutcome
from ...client.requests.sender import RequestSender
from ...registry.errors import DecreedError, Exit, OutcomeUnknown
from ...registry.policy.document import Token
from ...registry.policy.series import policy_of
from ...registry.policy.tokens import SECRET_BYTES, USUAL_LIFE_MS, AuthToken, make_token
from ..changing.tokens import (
    TokenFacts,
    change,
    identity_of,
    newest,
    tokens_in,
    with_token,
    without_token,
)
from ..config.token_place import keep_token
from ..options import types as o
from ..options.connection import ask_sender
from ..shell.core_files import write_no_core_file
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about
from ..shell.output import write_error, write_json, write_line, write_text
from ..shell.shown import counted

USUAL_SECONDS = 60.0
"""How long it may take until a change is in force, unless --timeout says otherwise."""
DAY_SECONDS = 86_400

TokenName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The name of the token: 1 to 128 of A-Z a-z 0-9 . _ @ -, such as ci-2026-07.",
    ),
]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="A role of the policy that the token gets; repeat it for each."
        "  [default: those that the policy gives token/NAME]",
        show_default=False,
    ),
]
Expires = Annotated[
    float | None,
    typer.Option(
        "--expires",
        parser=o.parse_duration,
        metavar="TIME",
        help="How long it is good: 12h, 30d, at most 365d.  [default: 30d]",
        show_default=False,
    ),
]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the token to this new file, open to its owner alone.  [default: standard output]",
        show_default=False,
    ),
]


def create(
    name: TokenName,
    roles: Roles = None,
    expires: Expires = None,
    out: OutFile = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Make a token and print it: this is the only time that it is shown.

    Nothing else goes to standard output, so it can be sent to a file or to another program. It takes
    the right admin.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    write_no_core_file()
    with about(name):
        new = make_token(name, secrets.token_bytes(SECRET_BYTES))
    if out is not None:
        keep_token(out, new)
    try:
        life = USUAL_LIFE_MS / 1000 if expires is None else expires
        outcome, made = _made(call, new, tuple(roles or ()), life)
    except BaseException:
        if out is not None:
            with suppress(OSError):
                out.unlink()  # nobody needs it: it is not in force, or nobody knows whether it is
        raise
    _tell_made(call, new, made, outcome, out)
    return _ended(outcome, name)


def list_tokens(
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print the tokens of the policy: their roles, and when they expire.

    No token can be shown again: the policy does not have it.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(sender: RequestSender) -> list[TokenFacts]:
        policies = PolicyClient(sender, "")
        return tokens_in((await newest(policies, call.seconds)).policy)

    with about("auth list"):
        found = ask_sender(call, ask)
    now_s = time.time()
    for facts in found:
        if as_json:
            write_json(_document(facts, now_s))
        else:
            roles = ",".join(facts.roles) or "no role"
            write_line(f"{facts.name:<24} {roles:<24} {facts.expires}  {_how_long(facts, now_s)}")
    if not found:
        write_error("decreed: the policy has no tokens")
    return Exit.DONE


def revoke(
    name: TokenName,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Take a token out of the policy: once this returns, nobody begins anything with it.

    Open connections of the token end. A lock that it holds ends within its ttl. It takes the right
    admin.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(sender: RequestSender) -> PolicyOutcome:
        policies = PolicyClient(sender, _claimant(call))
        note = f"token {name} is revoked"
        return await change(policies, without_token(name), note, _seconds(call), _progress)

    with _about_change(
        name, f"look with 'decreed auth list', and run 'decreed auth revoke {name}' again"
    ):
        outcome = ask_sender(call, ask)
    if as_json:
        write_json({"name": name, "policy": outcome.number, "in_force": outcome.in_force})
    else:
        write_line(f"{identity_of(name)} is revoked by policy {outcome.number}")
    return _ended(outcome, name)


def _made(
    call: o.Call, new: AuthToken, roles: tuple[str, ...], seconds: float
) -> tuple[PolicyOutcome, TokenFacts]:
    """Have the policy take the digest of a token."""
    now_ms = int(time.time() * 1000)
    expires_ms = (now_ms + int(seconds * 1000)) // 1000 * 1000

    async def ask(sender: RequestSender) -> tuple[PolicyOutcome, TokenFacts]:
        policies = PolicyClient(sender, _claimant(call))
        await newest(policies, call.seconds)
        assert sender.pool.welcome is not None, "a node has answered"
        kept = Token(new.digest(sender.pool.welcome.cluster_id), expires_ms)
        edit = with_token(new.name, kept, roles, now_ms)
        note = f"token {new.name} is made"
        outcome = await change(policies, edit, note, _seconds(call), _progress)
        has = policy_of(outcome.decree).members.get(identity_of(new.name), ())
        return outcome, TokenFacts(new.name, has, kept)

    way_out = (
        f"look with 'decreed auth list'; a token that nobody has: 'decreed auth revoke {new.name}'"
    )
    with _about_change(new.name, way_out):
        return ask_sender(call, ask)


def _tell_made(
    call: o.Call, new: AuthToken, made: TokenFacts, outcome: PolicyOutcome, out: Path | None
) -> None:
    if call.as_json:
        shown = {"token": new.show()} if out is None else {"file": str(out)}
        facts = {"policy": outcome.number, "in_force": outcome.in_force}
        write_json({**_document(made, time.time()), **shown, **facts})
        return
    if out is None:
        write_text(new.show())
    roles = f"has the roles {', '.join(made.roles)}" if made.roles else "has no role"
    write_error(f"decreed: {made.identity} {roles} until {made.expires}; it is not shown again")


def _progress(outcome: PolicyOutcome) -> None:
    missing = ", ".join(outcome.missing) or "the nodes"
    write_error(f"decreed: policy {outcome.number} is decided; waiting for {missing}")


def _ended(outcome: PolicyOutcome, name: str) -> int:
    """Done, if nobody goes by an older policy any more.

    Raises:
        CommandFailed: if that is not known.
    """
    if outcome.in_force:
        return Exit.DONE
    missing = ", ".join(outcome.missing) or "some node"
    unsure = OutcomeUnknown(
        f"policy {outcome.number} is decided, and not yet in force: {missing} may go by an older one"
    )
    raise CommandFailed(unsure, name, "it comes into force by itself once its nodes are up")


@contextmanager
def _about_change(name: str, way_out: str) -> Generator[None]:
    """Errors raised inside are about a token; one that leaves the outcome open says where to look."""
    try:
        yield
    except DecreedError as error:
        raise CommandFailed(error, name, "" if error.definite else way_out) from error


def _document(facts: TokenFacts, now_s: float) -> dict[str, Any]:
    return {
        "name": facts.name,
        "identity": facts.identity,
        "roles": list(facts.roles),
        "expires": facts.expires,
        "seconds_left": max(0, int(facts.token.expires_ms / 1000 - now_s)),
    }


def _how_long(facts: TokenFacts, now_s: float) -> str:
    left = facts.token.expires_ms / 1000 - now_s
    if left <= 0:
        return "expired"
    return (
        f"in {counted(int(left // DAY_SECONDS), 'day')}" if left >= DAY_SECONDS else "within a day"
    )


def _seconds(call: o.Call) -> float:
    return USUAL_SECONDS if call.timeout is None else call.timeout


def _claimant(call: o.Call) -> str:
    return checked_claimant(call.claimant)
