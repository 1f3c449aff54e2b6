"""JSON (RFC 8259), with its numbers as they are written."""

import json
import re
from typing import Any

from ....registry.errors import BadRequest
from ..verbatim import Verbatim
from . import once_each
from .json_faults import JsonFault, first_fault, place

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read(text: str) -> list[Any]:
    """The value of a JSON text, as its only document."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=once_each,
            parse_float=Verbatim.of,
            parse_int=Verbatim.of,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as error:
        raise BadRequest(f"not JSON: {_reason(text, error)}") from error
    except RecursionError as error:
        raise BadRequest("not JSON that can be read: it is nested too deeply") from error
    except BadRequest as error:
        raise BadRequest(f"not JSON: {_said(text, first_fault(text)) or error}") from error
    if _SURROGATE.search(text):
        fault = first_fault(text)
        if fault:
            raise BadRequest(f"not JSON: {_said(text, fault)}")
    return [value]


def _no_number(text: str) -> Any:
    raise BadRequest(f"{text} is no number")


def _reason(text: str, error: json.JSONDecodeError) -> str:
    """The fault: the likely mistake if one is found, otherwise the parser's own message."""
    fault = first_fault(text)
    if fault and not text[error.pos : fault.at].strip(" \t\n,"):
        return _said(text, fault)
    if not text.strip():
        return "it is empty; write {} for nothing"
    if error.msg == "Extra data":
        return f"another value follows in {place(text, error.pos)}, and a file has one"
    return f"{error.msg} in {place(text, error.pos)}"


def _said(text: str, fault: JsonFault | None) -> str:
    return f"{fault.what} in {place(text, fault.at)}" if fault else ""
