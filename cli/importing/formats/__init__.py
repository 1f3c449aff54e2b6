"""Settings files: which format one has, and its reader, loaded when a file of that format is read.

Each reader is a module with ``read(text)``, which returns the documents of the text: one, except in
YAML, and none if the text is empty where the format allows that.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ....registry.errors import BadRequest

FORMATS = {"toml": "from_toml", "json": "from_json", "yaml": "from_yaml", "env": "from_env"}
SUFFIXES = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".env": "env"}
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def format_of(name: str) -> str:
    """The format of a file by its name: by its suffix, and ``.env.prod`` is an env file; or ``""``.

    A suffix that names a format comes first, so ``.env.yaml`` is YAML.
    """
    lower = name.lower()
    by_suffix = (form for suffix, form in SUFFIXES.items() if lower.endswith(suffix))
    return next(by_suffix, "env" if lower.startswith(".env.") else "")


def checked_format(form: str) -> str:
    """`form`, if it is the name of a format.

    Raises:
        BadRequest: if it is not.
    """
    if form not in FORMATS:
        names = ", ".join(FORMATS)
        raise BadRequest(
            f"{form!r} is none of {names}" if form else f"its name says none of {names}"
        )
    return form


def text_of(data: bytes) -> str:
    """The text of a file: UTF-8, without a byte order mark, with newlines as line ends.

    The kind of line ends must not change what is frozen, so this is done before any format is parsed.

    Raises:
        BadRequest: if it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        found = _BYTE_ORDER_MARKS.get(data[:2])
        if found:
            raise BadRequest(f"it is {found}: save it as UTF-8") from error
        line = data.count(b"\n", 0, error.start) + 1
        raise BadRequest(f"not UTF-8: byte {data[error.start]:#04x} in line {line}") from error


def read(form: str, text: str, document: int | None = None) -> Any:
    """The value of a settings file; an empty table if there is nothing in it.

    Args:
        form: the name of its format.
        text: its text.
        document: which of several documents, from 1; None if there may be only one.

    Raises:
        BadRequest: if it cannot be read, or there is no such document, or more than one.
    """
    return chosen(documents_of(form, text), document)


def documents_of(form: str, text: str) -> Sequence[Any]:
    """The documents of a settings file: one, except in YAML, and none if there is nothing in it.

    Raises:
        BadRequest: if it cannot be read.
    """
    reader: Any = import_module(f".{FORMATS[checked_format(form)]}", __name__)
    documents: Sequence[Any] = reader.read(text)
    return documents


def chosen(documents: Sequence[Any], document: int | None) -> Any:
    """The document of that number, from 1, or the only one; an empty table if there is none.

    Raises:
        BadRequest: if there is no such document, or more than one.
    """
    if document is not None:
        if not 1 <= document <= len(documents):
            raise BadRequest(f"there is no document {document}: it has {len(documents)}")
        return documents[document - 1]
    if len(documents) > 1:
        raise BadRequest(f"it has {len(documents)} documents")
    return documents[0] if documents else {}


def once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Names and values as a table.

    Raises:
        BadRequest: if a name is there twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(f"{name!r} is there twice")
        found[name] = value
    return found
