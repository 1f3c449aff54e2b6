"""What a policy allows, read from its document: the judge's own reading of the rules S07, S11 to S13.

It shares no code with `decreed.registry.policy`, so that a mistake there is not made here as well.
"""

import json
from datetime import datetime
from typing import Any

from decreed.registry.locks.terms import How
from decreed.registry.wire.members import ChangeRequest, MembersRequest
from decreed.registry.wire.requests import (
    ClaimNextRequest,
    ClaimRequest,
    EndRequest,
    GetRequest,
    HolderRequest,
    KeepAliveRequest,
    LatestRequest,
    ListRequest,
    LockRequest,
    PolicyRequest,
    Request,
    StatusRequest,
    WaitRequest,
    WatchRequest,
)
from decreed.registry.wire.scrub import ScrubRequest

Need = tuple[str, str]
"""A right, and the name that it is wanted on. `look` is to read anything at it, above or below it."""
ADMIN: Need = ("admin", "")


class Rules:
    """One policy.

    Args:
        document: its bytes; None for no policy, under which everything is open.
    """

    def __init__(self, document: bytes | None) -> None:
        self._open = document is None
        self._document: dict[str, Any] = json.loads(document or b"{}")

    def allows(self, who: str, need: Need, wall_ms: int) -> bool:
        """Whether somebody may do something, by a wall clock.

        Args:
            who: an identity as text, such as ``client/alice``; empty for callers without a name.
            need: what it takes.
            wall_ms: milliseconds since 1970.
        """
        return self._open or bool(self._covering(who, need, wall_ms))

    def waits(self, who: str, need: Need, wall_ms: int) -> bool:
        """Whether a read is to be refused while the policy is not confirmed (S15)."""
        covering = () if self._open else self._covering(who, need, wall_ms)
        return any(grant.get("when_cut_off") == "refuse" for grant in covering)

    def _covering(self, who: str, need: Need, wall_ms: int) -> list[dict[str, Any]]:
        """The grants that allow it."""
        right, name = need
        if self._is_out(who, wall_ms):
            return []
        if who.startswith("node/"):
            return [{}] if right == "admin" else []
        grants = [grant for role in self._roles(who) for grant in self._document["roles"][role]]
        if right == "look":
            seen = [g for g in grants if "read" in g["may"]]
            return [g for g in seen if covers(g["on"], name) or covers(name, g["on"])]
        return [g for g in grants if right in g["may"] and covers(g["on"], name)]

    def _roles(self, who: str) -> set[str]:
        members = self._document.get("members", {})
        return {*members.get(who or "anonymous", ()), *members.get("anyone", ())}

    def _is_out(self, who: str, wall_ms: int) -> bool:
        if who in self._document.get("refused", ()):
            return True
        kind, _, name = who.partition("/")
        if kind != "token":
            return False
        token = self._document.get("tokens", {}).get(name)
        return token is None or wall_ms >= ends_ms(token["expires"])


def covers(prefix: str, name: str) -> bool:
    """S12: whole segments; the empty prefix covers no name that begins with a dollar."""
    path = name.split("@")[0].split("/")
    if not prefix:
        return not name.startswith("$")
    return path[: prefix.count("/") + 1] == prefix.split("/")


def ends_ms(expires: str) -> int:
    """When a token ends, in milliseconds since 1970."""
    return round(datetime.fromisoformat(expires).timestamp() * 1000)


def to_read(key: str) -> Need:
    """What it takes to be told a decree."""
    path = key.split("@")[0]
    return ADMIN if path in ("$policy", "$members") else ("read", path)


def to_look(prefix: str) -> Need:
    """What it takes to be told a page: to read anything at its prefix, above it or below it."""
    return ADMIN if prefix in ("$policy", "$members") else ("look", prefix)


def to_propose(key: str) -> Need | None:
    """What it takes to have a value proposed for a key; None for members, whose storms ask nobody."""
    path = key.split("@")[0]
    if path == "$members":
        return None
    if path == "$policy":
        return ADMIN
    lock = path.removeprefix("$locks/")
    return ("lock", lock) if lock != path else ("claim", path)


def need_of(request: Request) -> Need | None:
    """What a request takes to be answered at all; None: nothing, or it is judged by what is told."""
    match request:
        case ClaimRequest() | ClaimNextRequest():
            return ("claim", request.claim.key.split("@")[0])
        case GetRequest() | WaitRequest():
            return to_read(request.key)
        case LatestRequest():
            return to_read(request.series)
        case LockRequest():
            return ("lock", request.lock)
        case KeepAliveRequest():
            return ("lock", request.lease_id.lock)
        case HolderRequest():
            return ("read", request.lock)
        case EndRequest():
            broken = request.ending.how is not How.RELEASED
            return ("break", request.lease_id.lock) if broken else None
        case ChangeRequest() | MembersRequest() | PolicyRequest() | ScrubRequest():
            return ADMIN
        case StatusRequest():
            return ("read", "$status")
        case ListRequest() | WatchRequest():
            return ("read", request.prefix)
        case _:
            return None
