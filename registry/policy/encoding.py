"""The one form of a policy's document: what is decided, compared and shown.

JSON, minimal, with sorted fields, and without sections and settings that say nothing. So two documents
that mean the same are the same bytes, if only their order and their layout differ.
"""

import json
from typing import Any

import msgspec

from ..documents import time_of
from .document import FORMAT, CutOff, Policy, RoleGrant, Token


def encode(policy: Policy) -> bytes:
    """The canonical document of a policy; `parsing.parse` reads it as an equal policy."""
    return json.dumps(
        to_document(policy), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def to_document(policy: Policy) -> dict[str, Any]:
    """A policy as plain data, without what says nothing."""
    sections: dict[str, Any] = {
        "roles": {name: [_grant(grant) for grant in role] for name, role in policy.roles.items()},
        "members": {name: list(roles) for name, roles in policy.members.items()},
        "tokens": {name: _token(token) for name, token in policy.tokens.items()},
        "limits": {name: _said(limit) for name, limit in policy.limits.items()},
        "quotas": [_said(quota) for quota in policy.quotas],
        "refused": list(policy.refused),
    }
    return {"format": FORMAT, **{name: said for name, said in sections.items() if said}}


def _grant(grant: RoleGrant) -> dict[str, Any]:
    document: dict[str, Any] = {"on": grant.on, "may": [str(right) for right in grant.may]}
    if grant.when_cut_off is not CutOff.SERVE:
        document["when_cut_off"] = str(grant.when_cut_off)
    return document


def _token(token: Token) -> dict[str, Any]:
    return {"sha256": token.sha256, "expires": expiry_text(token)}


def expiry_text(token: Token) -> str:
    """When a token ends, in ISO 8601, in UTC."""
    time = time_of(token.expires_ms)
    spec = "milliseconds" if token.expires_ms % 1000 else "seconds"
    return time.isoformat(timespec=spec).removesuffix("+00:00") + "Z"


def _said(value: msgspec.Struct) -> dict[str, Any]:
    """The fields of a value that are set."""
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return {name: said for name, said in fields.items() if said is not None}
