"""Commands that are loaded when they are looked up: a node must not load what the others need.

A group knows the names of its commands. The module of one is imported when that command runs or its
help is asked for; the help of the group, and completion, load all that they show.
"""

from collections import UserDict
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from .plain import PlainCommand, plainly


class Entry:
    """A command that may not be loaded yet.

    Args:
        name: how it is called.
        where: ``module:function`` in this package.
        examples: command lines for the end of its help.
        settings: what else Typer is told of it.
    """

    def __init__(self, name: str, where: str, *examples: str, **settings: Any) -> None:
        self.name = name
        self.where = where
        lines = "".join(f"  {example}\n" for example in examples)
        self._settings: dict[str, Any] = {"cls": PlainCommand, **settings}
        self._settings["epilog"] = f"\b\nExamples:\n{lines}"

    def __str__(self) -> str:
        return self.name

    def load(self) -> Any:
        """The command as a group runs it."""
        module, _, name = self.where.partition(":")
        function: Callable[..., int] = getattr(import_module(f".{module}", __package__), name)
        alone = typer.Typer(
            rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
        )
        alone.command(self.name, **self._settings)(function)
        return typer.main.get_command(alone)


class Commands(UserDict[str, Any]):
    """Commands by their names; an `Entry` is loaded when it is first taken out."""

    def __getitem__(self, name: str) -> Any:
        command = self.data[name]
        if isinstance(command, Entry):
            command = self.data[name] = command.load()
        return command


class LazyGroup(TyperGroup):
    """A group of commands that are loaded one by one; a group of its own is a subclass."""

    entries: ClassVar[tuple[Entry, ...]] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        own = {entry.name: entry for entry in self.entries}
        self.commands = Commands(own | dict(self.commands))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in order, with nothing loaded."""
        return list(self.commands)

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the options for help and completion too."""
        return plainly(super().get_params(ctx))
