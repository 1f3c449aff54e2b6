"""Values as JSON documents, and the bytes of values as Python objects. No I/O.

The command line, the library and applications that send decrees over HTTP use the same form: bytes are
text if they are UTF-8, and otherwise base64 in a field ``…_base64``; times are in ISO 8601, in UTC.
"""

from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN_CHARS = 60


class Documented:
    """A value that has a JSON document.

    ``dict(value)`` gives it too, and pydantic can write it, so that an endpoint of FastAPI may return
    the value.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The document, as plain data that ``json.dumps`` can write."""
        raise NotImplementedError

    @classmethod
    def document_fields(cls) -> Mapping[str, Any]:
        """The pydantic schema of each field that all documents have."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.to_dict().items())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> dict[str, Any]:
        """Called by pydantic: an instance is taken as it is, and written as its document."""
        document = {
            "type": "typed-dict",
            "fields": {
                name: {"type": "typed-dict-field", "schema": schema, "required": True}
                for name, schema in cls.document_fields().items()
            },
            "extra_behavior": "allow",
        }
        writes = {"type": "function-plain", "function": cls.to_dict, "return_schema": document}
        return {"type": "is-instance", "cls": cls, "serialization": writes}


def bytes_field(name: str, data: bytes) -> dict[str, str]:
    """`data` as a JSON field: `name` with text, or ``name_base64`` if it is not UTF-8."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b2a_base64(data, newline=False).decode()}


def time_of(time_ms: int) -> datetime:
    """Milliseconds since 1970 as a time in UTC.

    Raises:
        OverflowError: if it is outside the calendar.
    """
    return EPOCH + timedelta(milliseconds=time_ms)


def time_text(time_ms: int, timespec: str = "milliseconds") -> str:
    """Milliseconds since 1970 as text; a time outside the calendar stays a number."""
    try:
        return time_of(time_ms).isoformat(timespec=timespec)
    except OverflowError:
        return f"{time_ms} ms"


def read_as(data: bytes, content_type: str, kind: Any) -> Any:
    """`data` as a value of the type `kind`.

    JSON is read as JSON. Anything else is text: numbers, booleans, dates and enums are read from it as
    from an environment variable, and other types as JSON.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: if `data` are no such value.
    """
    if kind is bytes:
        return data
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return msgspec.json.decode(data, type=kind)
    try:
        return msgspec.convert(data.decode(), kind, strict=False, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        return _read_as_json(data, kind, error)


def _read_as_json(data: bytes, kind: Any, before: msgspec.ValidationError) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # not JSON either: the error about the text says more
        raise before from None


def shown(text: str) -> str:
    """`text` for a repr: quoted, escaped, and cut when long."""
    return repr(text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…")
