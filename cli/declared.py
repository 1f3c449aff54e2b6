"""The parameters of a command, as its function declares them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

from .shell.deferred import Declared

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One parameter of a command.

    Args:
        name: of the function's parameter.
        kind: the type of its values, without None.
        declared: how it was declared.
        default: its value if the command line has none; `REQUIRED` if it must be given.
    """

    name: str
    kind: Any
    declared: Declared
    default: Any

    @property
    def is_option(self) -> bool:
        """Whether it is given by name."""
        return self.declared.kind == "Option"

    @property
    def is_flag(self) -> bool:
        """Whether it is an option without a value."""
        return self.is_option and self.kind is bool

    @property
    def is_many(self) -> bool:
        """Whether it takes several values."""
        return bool(self.kind == list[str])

    @property
    def options(self) -> tuple[str, ...]:
        """The names of an option; empty for an argument."""
        if not self.is_option:
            return ()
        return self.declared.names or (f"--{self.name.replace('_', '-')}",)

    def setting(self, name: str) -> Any:
        """The setting with one of Typer's names; None if it was not declared."""
        return self.declared.settings.get(name)


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """All parameters of the function of a command, in order."""
    signature = inspect.signature(function)
    return tuple(_parameter(each) for each in signature.parameters.values())


def _parameter(parameter: inspect.Parameter) -> Parameter:
    kind, *notes = get_args(parameter.annotation)
    declared = next(note for note in notes if isinstance(note, Declared))
    return Parameter(parameter.name, _without_none(kind), declared, parameter.default)


def _without_none(kind: Any) -> Any:
    if get_origin(kind) is UnionType:
        return next(each for each in get_args(kind) if each is not NoneType)
    return kind


def for_typer(parameter: inspect.Parameter) -> inspect.Parameter:
    """The same parameter of a function, declared to Typer."""
    kind, *notes = get_args(parameter.annotation)
    declared = next(note for note in notes if isinstance(note, Declared))
    return parameter.replace(annotation=Annotated[kind, declared.to_typer()])
