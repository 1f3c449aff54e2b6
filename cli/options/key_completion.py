"""The keys, series and paths of a cluster, for completion.

Bounded in time and in number: a prompt must not hang. A name that is not a key is left out, even if a
node sends it, since the shell uses completions as words of a command line.
"""

import os
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from ...registry.errors import BadRequest, DecreedError
from ...registry.keys import parse_prefix, parse_readable
from ..config.contexts import read_call
from ..config.token_place import credentials

if TYPE_CHECKING:
    from ...client.keys import Keys
    from ...registry.types import Decree

SECONDS = 1.0
MOST = 100
MOST_SEEN = 1_000
_LAST = "\U0010ffff"


def complete_key(incomplete: str) -> list[str]:
    """The keys that begin with `incomplete`, some of them if there are many."""
    return _found(incomplete, lambda key: key)


def complete_series(incomplete: str) -> list[str]:
    """The series that begin with `incomplete`."""
    return _found(incomplete, lambda key: key.partition("@")[0] if "@" in key else "")


def complete_prefix(incomplete: str) -> list[str]:
    """The paths that go on from `incomplete`, one segment further."""
    depth = incomplete.count("/") + 1

    def path_of(key: str) -> str:
        segments = key.partition("@")[0].split("/")
        return "/".join(segments[:depth]) + ("/" if len(segments) > depth else "")

    return _found(incomplete, path_of)


def behind(incomplete: str) -> str:
    """A text before every key that begins with `incomplete`, and after nearly all smaller keys."""
    if not incomplete or incomplete.endswith("/") or "@" in incomplete:
        return ""
    last = ord(incomplete[-1])
    return incomplete[:-1] + chr(last - 1) + _LAST if last - 1 < 0xD800 else ""


def _found(incomplete: str, shown: Callable[[str], str]) -> list[str]:
    from . import connection

    async def ask(keys: "Keys") -> list[str]:
        parent = parse_prefix(incomplete.partition("@")[0].rpartition("/")[0])
        listed = keys.list(parent, after=behind(incomplete), timeout=SECONDS)
        return await _gathered(listed, incomplete, shown)

    try:
        call = read_call({}, os.environ)
        shown_there = credentials(call.tls, call.token)
        found: list[str] = connection.ask(call.endpoints, ask, timeout=SECONDS, **shown_there)
    except DecreedError:
        return []  # no errors at a prompt
    return found


async def _gathered(
    listed: "AsyncIterator[Decree]", incomplete: str, shown: Callable[[str], str]
) -> list[str]:
    found: dict[str, None] = {}
    seen, end = 0, time.monotonic() + SECONDS
    async for decree in listed:
        key = decree.key
        seen += 1
        if key.startswith(incomplete) and _is_key(key) and (text := shown(key)):
            found[text] = None
        if len(found) == MOST or seen == MOST_SEEN or time.monotonic() > end:
            break
    return list(found)


def _is_key(text: str) -> bool:
    try:
        parse_readable(text)
    except BadRequest:
        return False
    return True
