"""``decreed lock list``, ``show``, ``history``, ``break`` and ``decreed leader``: who holds what."""

import sys
from typing import Annotated, Any

import trio

from ...client import Holder, LockState, PastTerm, Registry
from ...registry.documents import bytes_field, time_text
from ...registry.errors import Exit, StillUndecided
from ...registry.locks.terms import Ending, How, parse_lock
from ...registry.types import MAX_KEY_BYTES
from ..options import types as o
from ..options.connection import with_registry
from ..shell.deferred import typer
from ..shell.documents import proven_text
from ..shell.failures import CommandFailed, about
from ..shell.output import write_json, write_line
from ..shell.shown import show as shown
from .lock_run import LockName

NOBODY = "nobody has ever had it"
FREE_NOW = "free"

Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the next term.")
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Do not wait for the lease: two may be at work for a while."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on and print each new leader.")]


def list_locks(
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print all locks that anybody ever had: who has them, since when, and how many wait."""
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(registry: Registry) -> None:
        for name in await registry.lock_names():
            lock_state = await registry.lock_state(name, timeout=call.seconds)
            if lock_state is not None:
                _show(lock_state, call)

    with about("lock list"):
        with_registry(call, ask)
    return Exit.DONE


def show(
    name: LockName,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print who has the lock NAME, for how long at least, and how many wait.

    Exit code 4: nobody ever had it.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    _show(_standing(name, call), call)
    return Exit.DONE


def history(
    name: LockName,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Print all terms of the lock NAME that are remembered, and how each of them ended.

    Exit code 4: nobody ever had it.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)

    async def ask(registry: Registry) -> list[PastTerm]:
        return await registry.lock_history(name, timeout=call.seconds)

    with about(name):
        terms = with_registry(call, ask)
    if not terms:
        raise CommandFailed(StillUndecided(NOBODY), name, "check the name")
    for past in terms:
        _show_past(past, call)
    return Exit.DONE


def break_lock(
    name: LockName,
    reason: Reason,
    force: Force = False,
    yes: Yes = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """End the term of the holder of the lock NAME; the next term's decree says who did it, and why.

    The holder can renew it no more, finds out, and the lock is free when its lease has run out.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    lock_state = _standing(name, call)
    if not lock_state.held:
        raise CommandFailed(StillUndecided("nobody has it now"), name, "there is nothing to break")
    if not yes:
        _confirm(lock_state)

    async def ask(registry: Registry) -> None:
        await registry.break_lock(lock_state.holder, reason, force=force, timeout=call.seconds)

    with about(name):
        with_registry(call, ask)
    _show_broken(lock_state, force, call)
    return Exit.DONE


def leader(
    name: LockName,
    watch: Watch = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Patience = None,
    as_json: o.Json = False,
) -> int:
    """Print who leads NAME; with --watch also each new leader, until interrupted or time is up.

    Exit code 4: nobody leads it now.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    if not watch:
        lock_state = _standing(name, call)
        if not lock_state.held:
            raise CommandFailed(StillUndecided("nobody leads it now"), name, "wait with --watch")
        _show_leader(lock_state.holder, call)
        return Exit.DONE

    async def ask(registry: Registry) -> None:
        await registry.lock_state(name, timeout=call.seconds)  # raises an error if no node answers
        with trio.move_on_after(call.timeout or float("inf")):
            async for holder in registry.observe(name):
                _show_leader(holder, call)

    with about(name):
        with_registry(call, ask)
    return Exit.DONE


def _standing(name: str, call: o.Call) -> LockState:
    async def ask(registry: Registry) -> LockState | None:
        return await registry.lock_state(name, timeout=call.seconds)

    with about(name):
        parse_lock(name)
        lock_state = with_registry(call, ask)
    if lock_state is None:
        raise CommandFailed(StillUndecided(NOBODY), name, "check the name")
    return lock_state


def _confirm(lock_state: LockState) -> None:
    """Ask for confirmation at the terminal; scripts pass --yes."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is nobody to ask: say --yes")
    typer.confirm(f"{_line(lock_state)}\nbreak it?", abort=True, err=True)


# -- for people, and for programs


def _show(lock_state: LockState, call: o.Call) -> None:
    if call.as_json:
        write_json(_document(lock_state))
    else:
        write_line(_line(lock_state))


def _line(lock_state: LockState) -> str:
    holder = lock_state.holder
    waiters = f", {lock_state.waiters} waiting" if lock_state.waiters else ""
    if not lock_state.held:
        how = lock_state.ending.how.name.lower() if lock_state.ending else "expired"
        return f"{_lock(holder)}  {FREE_NOW}, {how}  last: {_who(holder)}{waiters}"
    broken = ", broken" if lock_state.ending else ""
    left = f"{lock_state.remaining:.1f} s left{broken}"
    return f"{_lock(holder)}  held by {_who(holder)}, {left}{waiters}"


def _lock(holder: Holder) -> str:
    return shown(holder.lock, MAX_KEY_BYTES)


def _who(holder: Holder) -> str:
    note = f", note: {shown(holder.note)}" if holder.note else ""
    who = f"{shown(holder.name)}{proven_text(holder.identity)}"
    return f"{who} since {time_text(holder.since_ms)} (term {holder.term}{note})"


def _document(lock_state: LockState) -> dict[str, Any]:
    return {
        **_holder_document(lock_state.holder),
        "held": lock_state.held,
        "remaining": lock_state.remaining,
        "ending": _ending_document(lock_state.ending),
        "waiters": lock_state.waiters,
    }


def _holder_document(holder: Holder) -> dict[str, Any]:
    return {
        "lock": holder.lock,
        "term": holder.term,
        "holder": holder.name,
        "identity": holder.identity,
        "host": holder.host,
        "pid": holder.pid,
        "since": time_text(holder.since_ms),
        "ttl": holder.ttl,
        "note": holder.note,
        **bytes_field("info", holder.info),
    }


def _ending_document(ending: Ending | None) -> dict[str, str] | None:
    if ending is None:
        return None
    return {"how": ending.how.name.lower(), "by": ending.by, "reason": ending.reason}


def _show_past(past: PastTerm, call: o.Call) -> None:
    if call.as_json:
        ending = {"ending": _ending_document(past.ending)}
        write_json({**_holder_document(past.holder), **ending})
        return
    write_line(f"{past.holder.term}  {_who(past.holder)}  {_ending_text(past.ending)}".rstrip())


def _ending_text(ending: Ending | None) -> str:
    if ending is None:
        return ""
    if ending.how in (How.BROKEN, How.FORCED):
        how = ending.how.name.lower()
        return f"{how} by {shown(ending.by)}: {shown(ending.reason)}"
    return ending.how.name.lower()


def _show_broken(lock_state: LockState, force: bool, call: o.Call) -> None:
    if call.as_json:
        write_json({**_document(lock_state), "forced": force})
    elif force:
        write_line(f"{_lock(lock_state.holder)} is free now; its holder may still be at work")
    else:
        left = f"in {lock_state.holder.ttl:g} s at the latest"
        write_line(f"{_lock(lock_state.holder)} is broken, and free {left}")


def _show_leader(holder: Holder, call: o.Call) -> None:
    if call.as_json:
        write_json(_holder_document(holder))
    else:
        write_line(f"{_lock(holder)}  {_who(holder)}{_info(holder)}")


def _info(holder: Holder) -> str:
    return f"  {shown(holder.info)}" if holder.info else ""
