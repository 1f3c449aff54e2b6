"""Typer, loaded only when it is needed: for help, error messages and completion.

The commands declare their parameters with `typer.Option` and `typer.Argument`, as usual with Typer.
Here that only records the declarations. A correct command line is parsed by them (`line`), without
Typer, since loading it takes longer than a request. When Typer is needed, `typer_app` repeats the
declarations to it; only its public names are used.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol


@dataclass(frozen=True)
class Declared:
    """The declaration of one parameter.

    Args:
        kind: ``Option`` or ``Argument``.
        names: the names of an option.
        settings: all other settings, by Typer's names.
    """

    kind: str
    names: tuple[str, ...]
    settings: dict[str, Any]

    def to_typer(self) -> Any:
        """The same declaration, made to Typer."""
        return getattr(typer.loaded, self.kind)(*self.names, **self.settings)


class Sources(Protocol):
    """What the callback of a parameter may ask; Typer's context has it, and `line.Told`."""

    def get_parameter_source(self, name: str) -> object:
        """Where the value of a parameter comes from, as an enum with Typer's names; None if unknown."""
        ...


class _Deferred:
    """Replaces the module ``typer``."""

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
