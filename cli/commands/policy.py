"""``decreed policy show``, ``history``, ``diff``, ``test`` and ``example``: what policies say."""

import time
from typing import TYPE_CHECKING, Annotated, Any

from ...registry.errors import BadRequest, Exit, StillUndecided
from ...registry.identity import Identity
from ...registry.keys import MAX_SLOT
from ...registry.policy.difference import EMPTY, difference
from ...registry.policy.document import Policy, Right
from ...registry.policy.names import parse_identity
from ...registry.policy.rights import CLUSTER, Denial, Rights
from ..options import types as o
from ..options.as_node import administers
from ..options.connection import ask_policies
from ..policies.documents import example as example_of
from ..policies.documents import laid_out, read_policy
from ..policies.showing import document_of, grants_said, line_of, text_of
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about
from ..shell.output import write_json, write_line
from ..shell.shown import one_line, show

if TYPE_CHECKING:
    from ...client.requests.policies import PolicyClient, PolicyVersion

NO_POLICY = "there is no policy: every client that the nodes let in may do everything"
TEST_HELP = "see 'decreed policy test --help'"
RIGHTS = tuple(str(right) for right in Right)

Number = Annotated[
    str | None,
    typer.Argument(metavar="[N]", help="The number of the policy.  [default: the newest]"),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest ones."),
]
First = Annotated[
    str, typer.Argument(metavar="A", help="A number (0: no policy), or the file of a policy.")
]
Second = Annotated[
    str | None,
    typer.Argument(
        metavar="[B]",
        help="The same. Without it a file is compared with the newest policy, as apply would;"
        " a number, too, the other way round.",
        show_default=False,
    ),
]
Who = Annotated[
    str,
    typer.Argument(
        metavar="IDENTITY", help="Whose right: client/NAME, token/NAME, node/NAME, anonymous."
    ),
]
Verb = Annotated[str, typer.Argument(metavar="VERB", help=f"The right: {', '.join(RIGHTS)}.")]
Name = Annotated[
    str,
    typer.Argument(metavar="[KEY]", help="A key, a series, a lock or a prefix; none for admin."),
]
PolicyFile = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Ask this file, and no cluster.  [default: the newest policy of the cluster]",
        show_default=False,
    ),
]
Admin = Annotated[
    str,
    typer.Option("--admin", metavar="NAME", help="The name in the administrator's certificate."),
]


@administers
def show_policy(
    number: Number = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print a policy, laid out to be read and changed; 'decreed policy apply' takes it.

    Exit code 4: there is no such policy.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    version = _version(call, None if number is None else _numbered(number))
    if as_json:
        write_json(document_of(version, whole=True))
    else:
        write_line(text_of(version))
    return Exit.DONE


@administers
def history(
    limit: Limit = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print which policies there were: when each was applied, by whom, and why."""
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(policies: "PolicyClient") -> "list[PolicyVersion]":
        return await policies.history(limit=limit)

    with about("policy history"):
        versions = ask_policies(call, ask)
    if as_json:
        write_json({"policies": [document_of(version, whole=False) for version in versions]})
    else:
        for version in versions:
            write_line(line_of(version))
    return Exit.DONE


@administers
def diff(
    first: First,
    second: Second = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print what changes from policy A to policy B, and what each identity gains and loses by it."""
    call = o.Call.of(endpoints, timeout, as_json, context)
    if second is not None:
        before, after = _policy(call, first), _policy(call, second)
    elif _is_number(first):
        before, after = _policy(call, first), _newest(call)
    else:
        before, after = _newest(call), read_policy(first)
    lines = difference(before, after)
    if as_json:
        write_json({"changes": list(lines)})
    else:
        for line in lines:
            write_line(one_line(line, 1_000))
    return Exit.DONE


@administers
def test_right(
    identity: Who,
    verb: Verb,
    name: Name = "",
    policy: PolicyFile = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Say whether a policy lets IDENTITY do VERB on KEY.

    Exit code 0: it does; 10: it does not.
    """
    with about(identity):
        who = parse_identity(identity)
    if verb not in RIGHTS:
        raise CommandFailed(BadRequest(f"it is none of {', '.join(RIGHTS)}"), verb, TEST_HELP)
    right = Right(verb)
    if (right is Right.ADMIN and name) or (right is not Right.ADMIN and not name):
        wrong = "admin is for the whole cluster" if name else "say on which key"
        raise CommandFailed(BadRequest(wrong), verb, TEST_HELP)
    rules = read_policy(policy) if policy else _newest_or_none(_call(endpoints, timeout, context))
    denial = _denial(rules, who, right, name)
    if as_json:
        write_json({"identity": identity, "verb": verb, "name": name, "allowed": denial is None})
    else:
        write_line(_verdict(rules, who, right, denial))
    return Exit.DONE if denial is None else Exit.DENIED


def example(admin: Admin = "alice", as_json: o.Json = False, timeout: o.NoTimeout = None) -> int:
    """Print a policy to begin with, for 'decreed policy apply'."""
    del timeout
    with about("--admin"):
        policy = example_of(admin)
    write_line(laid_out(policy)) if not as_json else write_json(_plain(policy))
    return Exit.DONE


def _plain(policy: Policy) -> Any:
    from ...registry.policy.encoding import to_document

    return to_document(policy)


# -- which policy


def _call(endpoints: o.Endpoints | None, timeout: float | None, context: str | None) -> o.Call:
    return o.Call.of(endpoints, timeout, False, context)


def _version(call: o.Call, number: int | None) -> "PolicyVersion":
    found = _found(call, number)
    if found is None:
        text = NO_POLICY if number is None else "no such policy is decided"
        thing = "policy" if number is None else f"policy {number}"
        raise CommandFailed(StillUndecided(text), thing, "see 'decreed policy history'")
    return found


def _found(call: o.Call, number: int | None) -> "PolicyVersion | None":
    async def ask(policies: "PolicyClient") -> "PolicyVersion | None":
        return await (policies.latest() if number is None else policies.version(number))

    with about("policy" if number is None else f"policy {number}"):
        return ask_policies(call, ask)


def _numbered(text: str) -> int:
    if not _is_number(text) or not 0 < int(text) <= MAX_SLOT:
        wrong = BadRequest(f"a policy has a number from 1 to {MAX_SLOT}")
        raise CommandFailed(wrong, text, "see 'decreed policy history'")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _policy(call: o.Call, text: str) -> Policy:
    """The policy of a number, or in a file."""
    if not _is_number(text):
        return read_policy(text)
    if int(text) == 0:
        return EMPTY
    with about(f"policy {text}"):
        return _version(call, _numbered(text)).policy


def _newest_or_none(call: o.Call) -> Policy | None:
    version = _found(call, None)
    with about("policy"):
        return None if version is None else version.policy


def _newest(call: o.Call) -> Policy:
    return _newest_or_none(call) or EMPTY


# -- what it says


def _denial(rules: Policy | None, who: Identity, right: Right, name: str) -> Denial | None:
    if rules is None:
        return None
    now_ms = time.time_ns() // 1_000_000
    verdict = Rights(rules).may(who, right, name or CLUSTER, now_ms)
    return verdict if isinstance(verdict, Denial) else None


def _verdict(rules: Policy | None, who: Identity, right: Right, denial: Denial | None) -> str:
    if rules is None:
        return f"yes: {NO_POLICY}"
    if denial is None:
        return f"yes: {grants_said(rules, str(who))}"
    place = f" on {show(denial.prefix)}" if denial.prefix else ""
    return f"no: {right}{place} is not granted; {grants_said(rules, str(who))}"
