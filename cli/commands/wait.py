"""``decreed wait`` and ``decreed watch``: wait for keys to be frozen."""

from typing import Annotated

import trio

from ...client import Registry, Watched
from ...registry.errors import Exit, StillUndecided, Unreachable
from ...registry.keys import parse_key, parse_prefix
from ...registry.types import Decree
from ..options import types as o
from ..options.connection import with_registry
from ..shell.deferred import typer
from ..shell.documents import decree_line
from ..shell.failures import CommandFailed, about
from ..shell.output import write_json, write_line
from .read import show_value

LONG_SECONDS = 100 * 365 * 86_400.0
"""Rather than no limit, with which a wrong address would wait forever instead of raising an error."""

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="POS",
        help="Go on after this position, as --json printed it.  [default: from now on]",
        show_default=False,
    ),
]


def wait(
    key: o.KeyName,
    raw: o.Raw = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    prefer: o.Prefer = None,
    timeout: o.Patience = None,
    as_json: o.Json = False,
) -> int:
    """Wait until KEY is frozen, and print its value.

    Exit code 4: the time ran out and nobody had frozen it.
    """
    call = o.Call.of(endpoints, timeout, as_json, context).reading(context, prefer)

    async def ask(registry: Registry) -> Decree:
        timeout = LONG_SECONDS if call.timeout is None else call.timeout
        return await registry.wait(key, timeout=timeout)

    with about(key):
        parse_key(key)
        try:
            decree = with_registry(call, ask)
        except StillUndecided:
            error = StillUndecided("undecided: nobody froze it in time")
            raise CommandFailed(error, key, "claim it, or wait longer with --timeout") from None
    return show_value(decree, call, raw)


def watch(
    prefix: o.Prefix = "",
    since: Since = None,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    prefer: o.Prefer = None,
    timeout: o.Patience = None,
    as_json: o.Json = False,
) -> int:
    """Print keys under PREFIX as they are frozen, until interrupted or the time is up.

    With --json each row carries the position from which --since goes on.
    """
    call = o.Call.of(endpoints, timeout, as_json, context).reading(context, prefer)

    thing = prefix or "watch"

    async def ask(registry: Registry) -> None:
        begun = False
        with trio.move_on_after(call.timeout or float("inf")):
            with about("--since" if since is not None else thing):
                watching = registry.watch(prefix, since=since)
            await watching.begin(LONG_SECONDS)
            begun = True
            async for seen in watching:
                _show_seen(seen, call)
        if not begun:
            raise Unreachable("no node answered in time")

    with about(thing):
        parse_prefix(prefix)
        with_registry(call, ask)
    return Exit.DONE


def _show_seen(seen: Watched, call: o.Call) -> None:
    if call.as_json:
        write_json(seen.to_dict())
    else:
        write_line(decree_line(seen.decree))
