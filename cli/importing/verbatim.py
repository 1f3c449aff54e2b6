"""The values of a settings file, with numbers, dates and booleans as their text in the file.

Values are frozen permanently, so ``1.10`` must not become ``1.1``, nor ``0xff`` or ``0644`` another
number. Strings are used by their content. Any other scalar is `Verbatim`: its text in the file, and its
form in JSON, which is needed inside lists. A value that a parser found but that cannot be frozen is
`Wrong`: an error of the entry, not of the file.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

Table = Mapping[Any, Any]
_JSON_SCALAR = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false", re.ASCII)


@dataclass(frozen=True)
class Verbatim:
    """A scalar that is not a string.

    Args:
        text: its text in the file.
        json: its form in JSON; None if JSON would change it.
    """

    text: str
    json: str | None

    @classmethod
    def of(cls, text: str) -> "Verbatim":
        """A number or a boolean; ``0xff``, ``1_000`` and ``yes`` have no form in JSON."""
        return cls(text, text if _JSON_SCALAR.fullmatch(text) else None)

    @classmethod
    def of_time(cls, text: str) -> "Verbatim":
        """A date or a time, which JSON writes as a string."""
        return cls(text, json.dumps(text, ensure_ascii=False))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Wrong:
    """A name or a value that cannot be frozen; the rest of its file can.

    Args:
        why: the reason, with the line if the reader knows it.
    """

    why: str


def scalar_text(value: object) -> str | None:
    """The text of a scalar, or None if `value` is no scalar."""
    if isinstance(value, bool):  # of JSON
        return "true" if value else "false"
    return str(value) if isinstance(value, str | Verbatim) else None


def is_table(value: object) -> TypeGuard[Table]:
    """Whether `value` has names and something below them."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether `value` is a list."""
    return isinstance(value, list)
