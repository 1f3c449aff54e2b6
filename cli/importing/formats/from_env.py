"""Env files, as python-dotenv reads them; ``$NAME`` in them stays as it is."""

from io import StringIO
from typing import Any

from dotenv.parser import parse_stream

from ....registry.errors import BadRequest
from . import once_each


def read(text: str) -> list[Any]:
    """The variables of an env file, as its only document."""
    pairs: list[tuple[str, Any]] = []
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            line = binding.original.string.strip()
            raise BadRequest(f"line {binding.original.line}: no NAME=VALUE: {line!r}")
        if binding.key is not None:
            pairs.append((binding.key, binding.value))
    return [once_each(pairs)]
