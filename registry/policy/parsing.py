"""A policy from the bytes of its document, which is JSON. Each fault is told with its place.

```text
{"format": 1,
 "roles":   {"deploy": [{"on": "prod/app", "may": ["claim", "lock"]}],
             "ops":    [{"on": "", "may": ["admin", "break", "read"]}]},
 "members": {"client/alice": ["ops"], "token/ci": ["deploy"], "anyone": []},
 "tokens":  {"ci": {"sha256": "64 hexadecimal digits", "expires": "2027-02-01T00:00:00Z"}},
 "limits":  {"anyone": {"connections": 64}},
 "quotas":  [{"on": "prod/app", "of": "anyone", "keys": 1000}],
 "refused": ["client/bob", "serial:0a1b", "sha256:64 hexadecimal digits"]}
```

Invariants kept here:

* a policy leaves somebody with the right `admin` who can come in at any time: a client by its
  certificate, which is not refused. Tokens expire, so they do not count (S11);
* `admin` is granted on the empty prefix alone, and never to callers without a name;
* a name that begins with ``$`` can be granted only by itself, and only to be read (S12);
* the same field twice in one object is a fault: which of the two counts would depend on the reader.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import GenericAlias
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from ..documents import EPOCH, time_of
from ..errors import BadRequest
from ..identity import NAME
from ..keys import LOCKS, RESERVED, parse_prefix
from .document import (
    ANYONE,
    FORMAT,
    MAX_GRANTS,
    MAX_NAMED,
    MAX_POLICY_BYTES,
    MAX_ROLES,
    Limit,
    Policy,
    Quota,
    Right,
    RoleGrant,
    Token,
)
from .names import parse_identity

STATUS = "$status"
"""Below this name is what a node says of itself; see `rights`."""
MAX_TOLD = 8
"""How many faults an error names; the rest is counted."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CERTIFICATE = re.compile(r"sha256:[0-9a-f]{64}|serial:(?:0|[1-9a-f][0-9a-f]{0,39})")
_FIELDS = ("roles", "members", "tokens", "limits", "quotas", "refused")
_NAMELESS = (ANYONE, "anonymous")

T = TypeVar("T")


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token as it is written."""

    sha256: str
    expires: str


class _Faults:
    """What is wrong with a document, each fault with its place."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, where: str, fault: object) -> None:
        """Note a fault."""
        self.told.append(f"{where}: {fault}" if where else str(fault))

    def convert(self, where: str, plain: object, kind: Any) -> Any:
        """`plain` as a value of a type, or None and a fault."""
        try:
            return msgspec.convert(plain, kind)
        except msgspec.ValidationError as error:
            self.add(where, str(error).replace("`$", "`").replace(" - at ``", ""))
            return None

    def check(self, where: str, check: Callable[[str], object], text: str) -> None:
        """Note what `check` says about `text`."""
        try:
            check(text)
        except BadRequest as error:
            self.add(where, error)

    def end(self) -> None:
        """Raise what was noted.

        Raises:
            BadRequest: with the first faults, and the count of the others.
        """
        if not self.told:
            return
        shown = self.told[:MAX_TOLD]
        more = len(self.told) - len(shown)
        lines = [*shown, *([f"and {more} more"] if more else [])]
        raise BadRequest("the policy is wrong: " + "; ".join(lines))


def parse(data: bytes) -> Policy:
    """The policy that a document says.

    Args:
        data: JSON in UTF-8.

    Raises:
        BadRequest: with the place and the cause of each fault; definite.
    """
    document, faults = _loads(data), _Faults()
    _check_fields(document, faults)
    faults.end()
    policy = Policy(
        roles=_roles(document.get("roles", {}), faults),
        members=_members(document.get("members", {}), faults),
        tokens=_tokens(document.get("tokens", {}), faults),
        limits=_limits(document.get("limits", {}), faults),
        quotas=_quotas(document.get("quotas", []), faults),
        refused=_refused(document.get("refused", []), faults),
    )
    faults.end()
    _check_names(policy, faults)
    faults.end()
    _check_admin(policy, faults)
    faults.end()
    return policy


# -- JSON


def _loads(data: bytes) -> Mapping[str, Any]:
    if len(data) > MAX_POLICY_BYTES:
        raise _bad(f"it has {len(data)} bytes, and {MAX_POLICY_BYTES} are allowed")
    try:
        document: object = json.loads(
            data.decode(), object_pairs_hook=_object, parse_constant=_no_constant
        )
        json.dumps(document, ensure_ascii=False).encode()  # JSON can spell halves of characters
    except RecursionError:
        raise _bad("it is nested too deeply") from None
    except ValueError as error:  # both of JSON and of UTF-8
        raise _bad(f"it is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _bad("it is no JSON object, which begins with '{'")
    return cast("Mapping[str, Any]", document)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad(f"{twice[:60]!a} is there twice in one object, and only one of them would count")
    return fields


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _bad(fault: str) -> BadRequest:
    return BadRequest(f"the policy is wrong: {fault}")


def _check_fields(document: Mapping[str, Any], faults: _Faults) -> None:
    if "format" not in document:
        faults.add("format", f'it is missing; write "format": {FORMAT}')
    elif type(document["format"]) is not int or document["format"] != FORMAT:
        faults.add("format", f"this version of decreed reads format {FORMAT} alone")
    for name in document:
        if name not in ("format", *_FIELDS):
            faults.add("", f"{name[:60]!a} is no field of a policy: they are {', '.join(_FIELDS)}")


def _entries(
    where: str, plain: object, most: int, faults: _Faults
) -> Iterator[tuple[str, str, Any]]:
    """The place, name and content of each entry of an object."""
    found: dict[str, Any] = faults.convert(where, plain, dict[str, Any]) or {}
    if len(found) > most:
        faults.add(where, f"{len(found)} entries, and {most} are allowed")
        return
    for name, entry in sorted(found.items()):
        yield f"{where}.{name[:140]!a}".replace("'", ""), name, entry


def _list(where: str, plain: object, kind: type[T], faults: _Faults) -> list[tuple[str, T]]:
    """The place and content of each entry of a list."""
    found: list[T] = faults.convert(where, plain, GenericAlias(list, (kind,))) or []
    if len(found) > MAX_NAMED:
        faults.add(where, f"{len(found)} entries, and {MAX_NAMED} are allowed")
        return []
    return [(f"{where}[{index}]", entry) for index, entry in enumerate(found)]


# -- sections


def _roles(plain: object, faults: _Faults) -> dict[str, tuple[RoleGrant, ...]]:
    roles: dict[str, tuple[RoleGrant, ...]] = {}
    for where, name, entry in _entries("roles", plain, MAX_ROLES, faults):
        _check_name(where, name, faults)
        grants = _list(where, entry, RoleGrant, faults)
        checked = [_grant(place, grant, faults) for place, grant in grants]
        roles[name] = tuple(sorted(set(checked)))
    count = sum(map(len, roles.values()))
    if count > MAX_GRANTS:
        faults.add("roles", f"{count} grants, and {MAX_GRANTS} are allowed")
    return roles


def _grant(where: str, grant: RoleGrant, faults: _Faults) -> RoleGrant:
    rights = tuple(right for right in Right if right in grant.may)
    if not rights:
        faults.add(f"{where}.may", f"it names no right: they are {', '.join(Right)}")
    if grant.on.startswith(RESERVED) and set(rights) - {Right.READ}:
        faults.add(f"{where}.may", f"{grant.on[:60]!a} can only be read")
    if grant.on and Right.ADMIN in rights:
        faults.add(f"{where}.on", 'admin is about the whole cluster: grant it on "" alone')
    return RoleGrant(_prefix(f"{where}.on", grant.on, faults), rights, grant.when_cut_off)


def _prefix(where: str, text: str, faults: _Faults) -> str:
    """A prefix in its one form."""
    try:
        return _parse_granted(text)
    except BadRequest as error:
        faults.add(where, error)
        return text


def _parse_granted(text: str) -> str:
    path = text.removesuffix("/")
    if path == STATUS:
        return path
    if text.startswith(RESERVED) and path.partition("/")[0] != LOCKS:
        names = f"{LOCKS}, {LOCKS}/NAME and {STATUS}"
        raise BadRequest(f"{text[:60]!a} cannot be granted: of the names with '$' only {names} can")
    return parse_prefix(text)


def _members(plain: object, faults: _Faults) -> dict[str, tuple[str, ...]]:
    members: dict[str, tuple[str, ...]] = {}
    for where, name, entry in _entries("members", plain, MAX_NAMED, faults):
        _check_subject(where, name, faults)
        if name.startswith("node/"):
            faults.add(
                where, "a node's certificate has no roles: it is the way back in, and no more"
            )
        members[name] = tuple(sorted({role for _, role in _list(where, entry, str, faults)}))
    return members


def _tokens(plain: object, faults: _Faults) -> dict[str, Token]:
    tokens: dict[str, Token] = {}
    for where, name, entry in _entries("tokens", plain, MAX_NAMED, faults):
        _check_name(where, name, faults)
        written: _Token | None = faults.convert(where, entry, _Token)
        if written is not None:
            tokens[name] = _token(where, written, faults)
    by_hash: dict[str, str] = {}
    for name, token in tokens.items():
        other = by_hash.setdefault(token.sha256, name)
        if other != name:
            faults.add(f"tokens.{name}.sha256", f"it is that of the token {other} as well")
    return tokens


def _token(where: str, written: _Token, faults: _Faults) -> Token:
    if not _SHA256.fullmatch(written.sha256):
        faults.add(f"{where}.sha256", "write SHA-256 as 64 hexadecimal digits, in lower case")
    try:
        time = datetime.fromisoformat(written.expires)
        if time.tzinfo is None:
            faults.add(f"{where}.expires", "the time has no zone; write Z behind it for UTC")
            return Token(written.sha256, 0)
        expires_ms = (time - EPOCH) // timedelta(milliseconds=1)
        time_of(expires_ms)
    except (ValueError, OverflowError):
        faults.add(f"{where}.expires", "write a time as 2027-02-01T00:00:00Z")
        return Token(written.sha256, 0)
    return Token(written.sha256, expires_ms)


def _limits(plain: object, faults: _Faults) -> dict[str, Limit]:
    limits: dict[str, Limit] = {}
    for where, name, entry in _entries("limits", plain, MAX_NAMED, faults):
        _check_subject(where, name, faults)
        limit: Limit | None = faults.convert(where, entry, Limit)
        if limit is not None:
            limits[name] = limit
    return limits


def _quotas(plain: object, faults: _Faults) -> tuple[Quota, ...]:
    quotas: dict[tuple[str, str], Quota] = {}
    for where, quota in _list("quotas", plain, Quota, faults):
        _check_subject(f"{where}.of", quota.of, faults)
        if quota.on.startswith(RESERVED):
            faults.add(f"{where}.on", "nobody claims what begins with '$'")
        prefix = _prefix(f"{where}.on", quota.on, faults)
        if (prefix, quota.of) in quotas:
            faults.add(where, f"{quota.of} has a quota on {prefix!a} already")
        quotas[prefix, quota.of] = Quota(prefix, quota.of, quota.keys, quota.bytes)
    return tuple(quotas[each] for each in sorted(quotas))


def _refused(plain: object, faults: _Faults) -> tuple[str, ...]:
    found = _list("refused", plain, str, faults)
    for where, text in found:
        if text.startswith(("sha256:", "serial:")):
            if not _CERTIFICATE.fullmatch(text):
                faults.add(where, "write sha256: or serial: and hexadecimal digits, in lower case")
        elif text == "anonymous":
            faults.add(where, "who has no name is kept out by granting nothing to 'anyone'")
        else:
            faults.check(where, parse_identity, text)
    return tuple(sorted({text for _, text in found}))


# -- names


def _check_name(where: str, name: str, faults: _Faults) -> None:
    if not NAME.fullmatch(name):
        faults.add(where, "a name has 1 to 128 of the characters A-Z a-z 0-9 . _ @ -")


def _check_subject(where: str, name: str, faults: _Faults) -> None:
    if name != ANYONE:
        faults.check(where, parse_identity, name)


def _check_names(policy: Policy, faults: _Faults) -> None:
    """Names that stand for something elsewhere in the document must be there."""
    for member, roles in policy.members.items():
        where = f"members.{member}"
        for role in (role for role in roles if role not in policy.roles):
            faults.add(where, f"there is no role {role[:60]!a}")
    if not faults.told:
        for where, name in _token_names(policy):
            if name not in policy.tokens:
                faults.add(where, f"there is no token {name!a}")


def _token_names(policy: Policy) -> Iterable[tuple[str, str]]:
    """Each place that names a token, with the name."""
    for field, names in (("members", policy.members), ("limits", policy.limits)):
        for name in names:
            if name.startswith("token/"):
                yield f"{field}.{name}", name.removeprefix("token/")


def _check_admin(policy: Policy, faults: _Faults) -> None:
    """S11: somebody can change the policy again."""
    for name in _NAMELESS:
        if any(Right.ADMIN in grant.may for grant in policy.grants_of(name)):
            faults.add(f"members.{name}", "admin is for those who have a name")
    if not any(admins(policy)):
        faults.add(
            "",
            "it leaves nobody with admin: give a role with admin on \"\" to a 'client/NAME' that is not"
            " refused (a token does not count, since it expires)",
        )


def admins(policy: Policy) -> Iterator[str]:
    """The clients that have the right `admin` by a certificate which is not refused by its name."""
    clients = (name for name in policy.members if name.startswith("client/"))
    for name in clients:
        has_it = any(Right.ADMIN in grant.may for grant in policy.grants_of(name))
        if has_it and name not in policy.refused:
            yield name
