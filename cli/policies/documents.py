"""The file of a policy: read with its faults in words, and the one to begin with."""

import json
import sys
from pathlib import Path

from ...client.requests.policies import canonical
from ...registry.errors import BadRequest
from ...registry.keys import LOCKS
from ...registry.policy.document import MAX_POLICY_BYTES, Policy, Right, RoleGrant
from ...registry.policy.encoding import encode, to_document
from ...registry.policy.parsing import STATUS, parse
from ..shell.failures import CommandFailed, about, reading

STANDARD_INPUT = "-"
WAY_OUT = "correct it; docs/policies.md has every section, 'decreed policy example' prints one"


def read_document(path: str) -> bytes:
    """The canonical form of the policy in a file, or on standard input if it is ``-``.

    Raises:
        CommandFailed: if it cannot be read, or is wrong; says where; exit code 2.
    """
    name = "standard input" if path == STANDARD_INPUT else path
    if path != STANDARD_INPUT and not Path(path).exists():
        cause = BadRequest("there is no such file")
        way_out = f"write one with 'decreed policy example --admin NAME > {path}', and change it"
        raise CommandFailed(cause, path, way_out)
    with reading(name):
        if path == STANDARD_INPUT:
            data = sys.stdin.buffer.read(MAX_POLICY_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MAX_POLICY_BYTES + 1)
    with about(name, WAY_OUT):
        return canonical(data)


def read_policy(path: str) -> Policy:
    """The policy in a file, as a value; errors as `read_document`."""
    return parse(read_document(path))


def example(admin: str) -> Policy:
    """A policy to begin with: an administrator, those who deploy, and those who only look.

    Args:
        admin: the name in the certificate of the administrator.

    Raises:
        BadRequest: if nobody can have this name.
    """
    looks = tuple(RoleGrant(name, (Right.READ,)) for name in (LOCKS, STATUS))
    everything = (Right.READ, Right.CLAIM, Right.LOCK, Right.BREAK, Right.ADMIN)
    deploys = RoleGrant("prod", (Right.READ, Right.CLAIM, Right.LOCK))
    roles = {
        "operators": (RoleGrant("", everything), *looks),
        "deployers": (deploys,),
        "readers": (RoleGrant("", (Right.READ,)), *looks),
    }
    members = {f"client/{admin}": ("operators",), "client/ci": ("deployers",)}
    return parse(encode(Policy(roles, members, {}, {}, (), ())))


def laid_out(policy: Policy) -> str:
    """A document for people to read and to change; `read_document` reads it as the same policy."""
    return json.dumps(to_document(policy), indent=2, ensure_ascii=False)
