"""Histories as files: one operation per line, as JSON.

A line has ``client``, ``kind``, ``subject``, ``called``, ``returned`` (null if it never did) and
``result``; a claim has ``wish``; ``first_slot`` and ``decrees`` are there when there is something to
say. Bytes are text, or ``…_base64`` when they are not UTF-8; a ballot is ``round.node#incarnation``:
as the command line shows decrees::

    {"client": "c1", "kind": "claim", "subject": "a", "called": 1.0, "returned": 1.5,
     "result": "won", "wish": {"value": "x", "claim_id": "i1", "content_type": "text/plain",
     "claimant": "me", "note": ""}, "decrees": [{"key": "a", "value": "x", …, "ballot": "1.n1#3"}]}
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from decreed.registry.types import Ballot, Decree, Key, NodeId, Process

from .operations import HistoryError, Kind, Operation, Result, Wish

_BALLOT = re.compile(r"([0-9]+)\.(.+)#([0-9]+)")


def dump(history: Iterable[Operation], path: Path) -> None:
    """Write a history, one operation per line."""
    text = "".join(line_of(operation) + "\n" for operation in history)
    path.write_text(text, encoding="utf-8")


def load(path: Path) -> Iterator[Operation]:
    """Read a history; empty lines are skipped.

    Raises:
        HistoryError: naming the line that is wrong.
    """
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield operation_of(line)
                except HistoryError as error:
                    raise HistoryError(f"line {number}: {error}") from error


def line_of(operation: Operation) -> str:
    """An operation as one line of JSON."""
    document: dict[str, Any] = {
        "client": operation.client,
        "kind": operation.kind.value,
        "subject": operation.subject,
        "called": operation.called,
        "returned": operation.returned,
        "result": operation.result.value,
    }
    if operation.wish is not None:
        document["wish"] = _words(operation.wish)
    if operation.first_slot is not None:
        document["first_slot"] = operation.first_slot
    if operation.decrees:
        document["decrees"] = [_decree_document(decree) for decree in operation.decrees]
    return json.dumps(document)


def operation_of(line: str) -> Operation:
    """The operation on a line.

    Raises:
        HistoryError: if it is none.
    """
    try:
        document = json.loads(line)
        wish = document.get("wish")
        return Operation(
            _text(document["client"]),
            Kind(document["kind"]),
            _text(document["subject"]),
            _number(document["called"]),
            None if document["returned"] is None else _number(document["returned"]),
            Result(document["result"]),
            None if wish is None else _wish(wish),
            _slot(document.get("first_slot")),
            tuple(_decree(each) for each in document.get("decrees", ())),
        )
    except HistoryError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HistoryError(f"no operation ({type(error).__name__}: {error})") from error


def _words(source: Wish | Decree) -> dict[str, Any]:
    return {
        **_bytes_field("value", source.value),
        **_bytes_field("claim_id", source.claim_id),
        "content_type": source.content_type,
        "claimant": source.claimant,
        "note": source.note,
    }


def _decree_document(decree: Decree) -> dict[str, Any]:
    own = {"time_ms": decree.time_ms, "ballot": str(decree.ballot)}
    return {"key": decree.key, **_words(decree), **own}


def _wish(document: dict[str, Any]) -> Wish:
    return Wish(
        _bytes(document, "value"),
        _bytes(document, "claim_id"),
        _text(document["content_type"]),
        _text(document["claimant"]),
        _text(document["note"]),
    )


def _decree(document: dict[str, Any]) -> Decree:
    wish = _wish(document)
    ballot = _BALLOT.fullmatch(document["ballot"])
    if ballot is None:
        raise HistoryError(f"{document['ballot']!r} is no ballot: round.node#incarnation")
    return Decree(
        Key(_text(document["key"])),
        wish.value,
        wish.content_type,
        wish.claimant,
        wish.claim_id,
        wish.note,
        int(document["time_ms"]),
        Ballot(int(ballot[1]), Process(NodeId(ballot[2]), int(ballot[3]))),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise HistoryError(f"{value!r} is no text")
    return value


def _number(value: object) -> float:
    """A time, unchanged: whole nanoseconds would lose digits as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise HistoryError(f"{value!r} is no time")
    return value


def _slot(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise HistoryError(f"{value!r} is no slot")
    return value


def _bytes_field(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode("ascii")}


def _bytes(document: dict[str, Any], name: str) -> bytes:
    if name in document:
        return _text(document[name]).encode()
    return base64.b64decode(_text(document[f"{name}_base64"]), validate=True)
