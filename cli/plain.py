"""What an option's text becomes, where that is plain: without pydantic, which takes long to load.

Typer has pydantic convert every parameter, also one that was not given. A node must be up sooner than
that. So texts, lists of them, choices, paths and what was not given are converted here. Everything else
is Typer's: numbers, parsers, other lists, and every mistake, whose message is then as it always is.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import typer
from typer.core import TyperCommand


class PlainCommand(TyperCommand):
    """A command whose plain parameters are converted plainly."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the option for help too."""
        return plainly(super().get_params(ctx))


def plainly(parameters: list[Any]) -> list[Any]:
    """These parameters of a command, converted here as far as that is plain."""
    for parameter in parameters:
        plain = Plain(parameter)
        parameter.get_runtime_param = lambda plain=plain: plain
    return parameters


@dataclass(frozen=True)
class Plain:
    """The conversion of one parameter.

    Args:
        parameter: of a command.
    """

    parameter: Any

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:
        """The value of a parameter as its command takes it."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        plain = self._convert(value)
        if plain is not None:
            return plain
        kind: Any = self.parameter.__class__
        return kind.get_runtime_param(self.parameter).coerce(value, param=param, ctx=ctx)

    def _convert(self, value: object) -> object | None:
        """What `value` becomes; None if that is not plain."""
        described = self.parameter.type_descriptor
        wanted = described.annotation
        if described.parameter_info.parser is not None:
            return None
        if wanted == list[str] and isinstance(value, list | tuple):
            return _texts(cast(Sequence[object], value))
        if not isinstance(wanted, type):
            return None
        if wanted is Path and isinstance(value, str | Path):
            return _readable(value)
        if isinstance(value, wanted):
            return value
        if issubclass(wanted, Enum):
            return next((choice for choice in wanted if choice.value == value), None)
        return None


def _texts(values: Sequence[object]) -> list[str] | None:
    """The list of texts, unless anything in it is none."""
    texts = [value for value in values if isinstance(value, str)]
    return texts if len(texts) == len(values) else None


def _readable(path: str | Path) -> Path | None:
    """The path, unless it is none, or there is something at it that cannot be read."""
    if "\0" in str(path):
        return None
    return Path(path) if os.access(path, os.R_OK) or not os.path.lexists(path) else None
