"""Why a text is not JSON, for people: the usual mistakes, and their places.

Used only after a parser has refused a text, or may have accepted a lone surrogate.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\],:]|//|/\*|[^\s{}\[\],:"/\ufeff]+|\S', re.DOTALL)
_NO_NUMBERS = frozenset(("NaN", "Infinity", "-Infinity", "+Infinity", "-NaN"))


@dataclass(frozen=True)
class JsonFault:
    """A mistake.

    Args:
        at: its place, counted in characters from 0.
        what: what it is.
    """

    at: int
    what: str


@dataclass
class _Names:
    """The names of the tables that are open; a list counts as a table without names."""

    open: list[set[str]] = field(default_factory=list[set[str]])

    def follow(self, token: str, next_token: str) -> str:
        """Take in a token; returns the name that it repeats, if it repeats one."""
        if token in "{[":
            self.open.append(set())
        elif token in "}]" and self.open:
            self.open.pop()
        elif self.open and next_token == ":" and token.startswith('"'):
            if token in self.open[-1]:
                return token
            self.open[-1].add(token)
        return ""


def first_fault(text: str) -> JsonFault | None:
    """The first usual mistake in a text; None if there is none."""
    return next(_faults(text), None)


def place(text: str, at: int) -> str:
    """A place for people, such as ``line 3, column 5``."""
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return f"line {line}, column {column}"


def _faults(text: str) -> Iterator[JsonFault]:
    names = _Names()
    tokens = ((found.start(), found[0]) for found in _TOKEN.finditer(text))
    for (at, token), (_, then) in pairwise(chain(tokens, [(len(text), "")])):
        what = _odd_token(token) or _odd_pair(token, then)
        repeated = names.follow(token, then)
        if repeated:
            what = f"the name {repeated} is there twice, the second time"
        if what:
            yield JsonFault(at, what)


def _odd_pair(token: str, then: str) -> str:
    if token == "," and then in ("}", "]"):
        return f"a comma stands before the {then}, and JSON has none there,"
    return ""


def _odd_token(token: str) -> str:
    if token in ("//", "/*") or token.startswith("#"):
        return "JSON has no comments, and one stands"
    if token.startswith("\ufeff"):
        return "a byte order mark stands"
    if token.startswith("'"):
        return "strings stand between double quotes, and a single one is"
    if token in _NO_NUMBERS:
        return f"{token} is no number of JSON, and stands"
    return _odd_string(token) if token.startswith('"') and len(token) > 1 else ""


def _odd_string(token: str) -> str:
    try:
        json.loads(token).encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no character, stands"
    except json.JSONDecodeError:
        pass  # the parser names its fault
    return ""
