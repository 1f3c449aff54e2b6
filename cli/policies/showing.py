"""Policies that were applied, as lines for people and as documents for programs."""

import json
from typing import Any

from ...client.requests.policies import PolicyVersion
from ...registry.documents import time_text
from ...registry.errors import ProtocolError
from ...registry.policy.document import Policy
from ...registry.policy.encoding import to_document
from ..shell.documents import proven_text
from ..shell.shown import one_line, show
from .documents import laid_out


def text_of(version: PolicyVersion) -> str:
    """The document of a policy; as it is, if this version cannot read it."""
    try:
        return laid_out(version.policy)
    except ProtocolError:
        return version.decree.value.decode(errors="backslashreplace")


def line_of(version: PolicyVersion) -> str:
    """Which policy it is, who applied it and when, and the note."""
    decree = version.decree
    who = f"{show(decree.claimant)}{proven_text(decree.identity)}"
    note = f"  {show(decree.note)}" if decree.note else ""
    return f"{version.number:<5} {time_text(decree.time_ms)}  {who}{note}"


def document_of(version: PolicyVersion, *, whole: bool) -> dict[str, Any]:
    """The same for programs; with the policy itself, if that is wanted."""
    decree = version.decree
    facts = {
        "number": version.number,
        "claimant": decree.claimant,
        "identity": decree.identity,
        "time_ms": decree.time_ms,
        "note": decree.note,
        "bytes": len(decree.value),
    }
    return facts | ({"policy": plain_of(version)} if whole else {})


def plain_of(version: PolicyVersion) -> Any:
    """The document as plain data; its text, if this version cannot read it."""
    try:
        return to_document(version.policy)
    except ProtocolError:
        text = version.decree.value.decode(errors="backslashreplace")
        try:
            return json.loads(text)
        except ValueError:
            return text


def grants_said(policy: Policy, name: str) -> str:
    """The roles of an identity, for people to see why something is granted."""
    roles = policy.members.get(name, ())
    return one_line(f"{name} has {' '.join(roles) or 'no role'}", 500)
