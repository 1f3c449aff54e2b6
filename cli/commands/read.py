"""``decreed get``, ``decreed list`` and ``decreed latest``: read what is frozen."""

from typing import Annotated

from ...client.keys import Keys
from ...registry.errors import Exit, StillUndecided
from ...registry.keys import parse_key, parse_prefix, parse_series
from ...registry.types import MAX_KEY_BYTES, Decree
from ..options import types as o
from ..options.connection import with_keys
from ..options.series_hints import is_plain_key, unfrozen_hint
from ..shell.deferred import typer
from ..shell.documents import decree_line
from ..shell.failures import CommandFailed, about, error_line
from ..shell.output import is_terminal, write_bytes, write_error, write_json, write_line, write_text
from ..shell.shown import show, show_lines, show_piped

EXACT = "--raw writes the exact bytes"

KeysOnly = Annotated[bool, typer.Option("--keys", help="Print the keys alone.")]


def get(
    key: o.KeyName,
    raw: o.Raw = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    prefer: o.Prefer = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print the value that KEY is frozen to.

    Exit code 4: nobody has frozen it; 5: no quorum could be asked, so it is not known.
    """
    call = o.Call.of(endpoints, timeout, as_json, context).reading(context, prefer)

    async def ask(registry: Keys) -> tuple[Decree | None, str]:
        decree = await registry.get(key, timeout=call.seconds)
        if decree is not None:
            return decree, ""
        return None, await unfrozen_hint(registry, key, call)

    with about(key):
        parse_key(key)
        decree, hint = with_keys(call, ask)
    if decree is None:
        raise CommandFailed(StillUndecided("undecided: nobody has frozen it"), key, hint)
    return show_value(decree, call, raw)


def latest(
    series: o.SeriesName,
    raw: o.Raw = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    prefer: o.Prefer = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print the last decided slot of SERIES and its value.

    Exit code 4: no slot is decided yet.
    """
    call = o.Call.of(endpoints, timeout, as_json, context).reading(context, prefer)

    async def ask(registry: Keys) -> tuple[Decree | None, bool]:
        decree = await registry.latest(series, timeout=call.seconds)
        return decree, decree is None and await is_plain_key(registry, series, call)

    with about(series):
        parse_series(series)
        decree, is_key = with_keys(call, ask)
    if decree is None:
        error = StillUndecided("undecided: the series has no slot yet")
        key_hint = f"the key of that name is frozen: 'decreed get {series}' reads it"
        way_out = key_hint if is_key else "freeze the first with 'decreed next'"
        raise CommandFailed(error, series, way_out)
    if raw or call.as_json:
        return show_value(decree, call, raw)
    write_line(decree_line(decree))
    return Exit.DONE


def list_keys(
    prefix: o.Prefix = "",
    keys: KeysOnly = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    prefer: o.Prefer = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print all frozen keys under PREFIX with their values, in order.

    Every decree whose claim was answered before the list began is in it. It is no snapshot of one
    instant.
    """
    call = o.Call.of(endpoints, timeout, as_json, context).reading(context, prefer)

    async def ask(registry: Keys) -> None:
        async for decree in registry.list(prefix):
            show_row(decree, call, keys)

    with about(prefix or "list"):
        parse_prefix(prefix)
        with_keys(call, ask)
    return Exit.DONE


def show_value(decree: Decree, call: o.Call, raw: bool) -> int:
    """Print one decree: its exact bytes, or JSON, or its text."""
    if raw:
        write_bytes(decree.value)
    elif call.as_json:
        write_json(decree.to_dict())
    elif is_terminal():
        write_text(show_lines(decree.value))
    else:
        _pipe_value(decree)
    return Exit.DONE


def _pipe_value(decree: Decree) -> None:
    """Print text exactly; other bytes and terminal controls are escaped, with a warning."""
    text, exact = show_piped(decree.value)
    write_text(text)
    if not exact:
        write_error(error_line(decree.key, "not plain text, written with escapes", EXACT))


def show_row(decree: Decree, call: o.Call, keys: bool) -> None:
    """Print one decree of many on one line."""
    if call.as_json:
        write_json(decree.to_dict())
    else:
        write_line(show(decree.key, MAX_KEY_BYTES) if keys else decree_line(decree))
