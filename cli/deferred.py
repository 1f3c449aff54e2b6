"""Typer, loaded when it is needed: for help, for telling mistakes, and for completion.

The commands declare their parameters with `typer.Option` and `typer.Argument`, as Typer's own users do.
Here that only writes down what was declared. A command line that is in order is read from those notes
(`line`), and Typer, which takes longer to load than a node takes to answer, is left alone. Where Typer
is needed, `typer_app` repeats the declarations to it, and nothing but its public names is used.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol


@dataclass(frozen=True)
class Declared:
    """What was declared of one parameter.

    Args:
        kind: ``Option`` or ``Argument``.
        names: the names of an option.
        settings: all else, by Typer's names.
    """

    kind: str
    names: tuple[str, ...]
    settings: dict[str, Any]

    def to_typer(self) -> Any:
        """The same declaration, made to Typer."""
        return getattr(typer.loaded, self.kind)(*self.names, **self.settings)


class Sources(Protocol):
    """What the callback of a parameter is told by Typer's context, and by `line.Told`."""

    def get_parameter_source(self, name: str) -> object:
        """Where the value of a parameter comes from, as an enum with Typer's names; None if unknown."""
        ...


class _Deferred:
    """Stands for the module ``typer``."""

    def Option(self, *names: str, **settings: Any) -> Any:
        """An option of a command."""
        return Declared("Option", names, settings)

    def Argument(self, **settings: Any) -> Any:
        """An argument of a command."""
        return Declared("Argument", (), settings)

    @property
    def loaded(self) -> Any:
        """The module itself."""
        return import_module("typer")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loaded, name)


typer = _Deferred()
