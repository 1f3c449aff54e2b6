"""An entry of the table of commands: a command that is loaded when it runs or is explained."""

from collections.abc import Callable
from importlib import import_module

from .options.secured import secured
from .summaries import SUMMARIES


class Entry:
    """A command that may not be loaded yet.

    Args:
        name: its name.
        where: ``module:function`` in the folder `commands`.
        examples: command lines for the end of its help.
        runs_another: whether its last arguments are another program's command line.
    """

    def __init__(self, name: str, where: str, *examples: str, runs_another: bool = False) -> None:
        self.name = name
        self.where = where
        self.examples = examples
        self.runs_another = runs_another

    def __str__(self) -> str:
        return self.name

    @property
    def summary(self) -> str:
        """Its help in one sentence, for the list of all commands; does not load it."""
        return SUMMARIES.get(self.where) or first_sentence(self.load())

    @property
    def epilog(self) -> str:
        """The end of its help."""
        return "\b\nExamples:\n" + "".join(f"  {example}\n" for example in self.examples)

    def load(self) -> Callable[..., int]:
        """The function of the command."""
        module, _, name = self.where.partition(":")
        function: Callable[..., int] = getattr(
            import_module(f".commands.{module}", __package__), name
        )
        return secured(function)


def first_sentence(function: Callable[..., object]) -> str:
    """The first line of a function's docstring."""
    return (function.__doc__ or "").strip().partition("\n")[0]
