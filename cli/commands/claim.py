"""``decreed claim`` and ``decreed next``: freeze a key, or the next slot of a series.

The claim id is chosen here, before anything is sent, so that the user can always be told it and repeat
the claim with it.
"""

import os
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from ...client.keys import Keys
from ...client.requests.results import Claimed
from ...registry.errors import (
    BadRequest,
    DecreedError,
    Exit,
    OutcomeUnknown,
    SeriesGap,
    Unreachable,
)
from ...registry.keys import MAX_SLOT, parse_key, parse_series
from ...registry.types import MAX_CLAIM_ID_BYTES, MAX_CONTENT_TYPE_CHARS, Decree, Outcome
from ..options import types as o
from ..options.connection import with_keys
from ..options.series_hints import name_next_slot
from ..options.values import Literal, ValueText, payload, value_bytes
from ..shell.deferred import typer
from ..shell.documents import claim_line
from ..shell.failures import INTERRUPTED, CommandFailed, about, error_line
from ..shell.output import write_bytes, write_error, write_json, write_line

NOTHING_CHOSEN = (
    "nothing was chosen by this request; check --endpoints and the nodes, and ask again"
)

ClaimId = Annotated[
    str | None,
    typer.Option(
        "--claim-id",
        metavar="ID",
        help="The id of this wish; asking again with it is safe.  [default: a random one]",
        show_default=False,
    ),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Free text, kept in the decree.")]
ContentType = Annotated[
    str | None,
    typer.Option(
        "--content-type",
        parser=o.at_most(MAX_CONTENT_TYPE_CHARS, "content type"),
        envvar="DECREED_CONTENT_TYPE",
        metavar="TYPE",
        help="Media type of the value.  [default: plain text if it is UTF-8, else bytes]",
        show_default=False,
    ),
]
FirstSlot = Annotated[
    int | None,
    typer.Option(
        "--first-slot",
        metavar="N",
        min=1,
        max=MAX_SLOT,
        help="Where this was first tried.  [default: after the last slot; 1 with --claim-id]",
        show_default=False,
    ),
]
Exclusive = Annotated[
    bool,
    typer.Option("--exclusive", help="Exit with 3 if another claim froze the same value first."),
]


@dataclass(frozen=True)
class Wish:
    """The value to freeze, and the details of the claim.

    Args:
        value: the exact bytes.
        claim_id: chosen here or by the user.
        details: the keyword arguments of the client's call.
    """

    value: bytes
    claim_id: str
    details: dict[str, Any]

    @classmethod
    def of(
        cls, value: bytes, claim_id: str | None, claimant: str | None, note: str, kind: str | None
    ) -> "Wish":
        """Fill in what the user left out."""
        chosen = secrets.token_hex(16) if claim_id is None else claim_id
        details = {
            "content_type": kind,
            "note": note,
            "claim_id": _id_bytes(chosen),
            "claimant": claimant,
        }
        return cls(value, chosen, details)


def claim(
    key: o.KeyName,
    value: ValueText,
    literal: Literal = False,
    claim_id: ClaimId = None,
    claimant: o.Claimant = None,
    note: Note = "",
    content_type: ContentType = None,
    exclusive: Exclusive = False,
    raw: o.Raw = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Freeze KEY to VALUE permanently, unless it is frozen already.

    The first claim wins; later claims get what the key is frozen to. Exit code 0: won,
    or frozen to the same value before; 3: lost to another value, which is printed.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    with about(key):
        parse_key(key)
    wish = Wish.of(
        value_bytes(value, literal), claim_id, claimant or call.claimant, note, content_type
    )

    async def ask(registry: Keys) -> Claimed:
        return await registry.claim(key, payload(wish.value), **wish.details, timeout=call.seconds)

    return _tell(_ask(call, key, wish, ask), call, raw, exclusive)


def claim_next(
    series: o.SeriesName,
    value: ValueText,
    literal: Literal = False,
    claim_id: ClaimId = None,
    claimant: o.Claimant = None,
    note: Note = "",
    content_type: ContentType = None,
    first_slot: FirstSlot = None,
    raw: o.Raw = False,
    endpoints: o.EndpointsText = None,
    context: o.ContextName = None,
    timeout: o.Timeout = None,
    as_json: o.Json = False,
) -> int:
    """Freeze the next free slot of SERIES to VALUE, and say which slot it is.

    Slots are the keys SERIES@1, SERIES@2, and so on, without gaps. With --claim-id all slots are
    searched for that claim first, or those from --first-slot on, so that repeating is safe.
    """
    call = o.Call.of(endpoints, timeout, as_json, context)
    with about(series):
        parse_series(series)
    wish = Wish.of(
        value_bytes(value, literal), claim_id, claimant or call.claimant, note, content_type
    )

    async def ask(registry: Keys) -> Claimed:
        first = first_slot or (1 if claim_id else None)
        return await registry.claim_next(
            series, payload(wish.value), **wish.details, first_slot=first, timeout=call.seconds
        )

    return _tell(_ask(call, series, wish, ask), call, raw, exclusive=False)


def _ask(
    call: o.Call, thing: str, wish: Wish, ask: Callable[[Keys], Coroutine[Any, Any, Claimed]]
) -> Claimed:
    """Send the claim; an error that leaves its outcome unknown names the claim id."""
    try:
        claimed = with_keys(call, ask)
    except OutcomeUnknown as error:
        way_out = f"it may be chosen; ask again with --claim-id {wish.claim_id}"
        # the error itself names the claim id too, in the words of the library
        reason = OutcomeUnknown(str(error.__cause__ or error))
        raise CommandFailed(reason, thing, way_out, claim_id=wish.claim_id) from error
    except DecreedError as error:
        way_out = NOTHING_CHOSEN if isinstance(error, Unreachable) else ""
        failure = CommandFailed(error, thing, way_out, claim_id=wish.claim_id)
        if isinstance(error, SeriesGap):
            name_next_slot(failure, call)
        raise failure from error
    except KeyboardInterrupt:
        way_out = f"it may be chosen; ask again with --claim-id {wish.claim_id}"
        write_error(error_line(thing, "interrupted", way_out))
        raise typer.Exit(INTERRUPTED) from None
    return claimed


def _tell(claimed: Claimed, call: o.Call, raw: bool, exclusive: bool) -> int:
    """Print how the claim ended; returns the exit code."""
    decree: Decree = claimed.decree
    if raw:
        write_bytes(decree.value)
    elif call.as_json:
        write_json(claimed.to_dict())
    else:
        write_line(claim_line(claimed.outcome, decree))
    beaten = (Outcome.LOST, Outcome.SAME) if exclusive else (Outcome.LOST,)
    return Exit.LOST if claimed.outcome in beaten else Exit.DONE


def _id_bytes(text: str) -> bytes:
    """A claim id as bytes.

    Raises:
        CommandFailed: if it is empty or too long.
    """
    data = os.fsencode(text)
    if not 1 <= len(data) <= MAX_CLAIM_ID_BYTES:
        error = BadRequest(f"a claim id has 1 to {MAX_CLAIM_ID_BYTES} bytes, not {len(data)}")
        raise CommandFailed(error, "--claim-id", "give one of such a length, or none")
    return data
