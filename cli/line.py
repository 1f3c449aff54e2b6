"""Parsing a command line: which words are options, which are arguments, and their values.

Rules kept here:

* A word that begins with a dash is an option of the command, a number, a single ``-``, or an error, so
  that a mistyped option is never frozen. After ``--`` every word is an argument.
* An option's value that begins with a dash is written ``--note=-x``, unless it is a number.
* A correct line is converted here. For any other (a number out of bounds, an argument too many) Typer
  writes the error: `values` returns None, and `canonical` is the same line in an unambiguous form.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ..registry.errors import BadRequest, DecreedError
from .declared import REQUIRED, Parameter
from .shell.deferred import typer
from .shell.failures import CommandFailed

SEPARATOR_HINT = "write -- before arguments that begin with a dash"
_NUMBER = re.compile(r"-([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
SECOND_BEST = 0.8
"""How alike another suggestion must be, beside the best one."""
_ON = ("1", "true", "t", "yes", "y", "on")
_OFF = ("0", "false", "f", "no", "n", "off")


class ValueSource(Enum):
    """The source of a value; the names are Typer's."""

    COMMANDLINE = 1
    ENVIRONMENT = 2
    DEFAULT = 3


@dataclass(frozen=True)
class CommandLine:
    """The words after a command's name.

    Args:
        options: each option that was given, in order, with its value; None for a flag.
        arguments: all other words.
    """

    options: tuple[tuple[Parameter, str | None], ...]
    arguments: tuple[str, ...]

    def canonical(self) -> list[str]:
        """The same line in an unambiguous form."""
        options = [
            each.options[0] if value is None else f"{each.options[0]}={value}"
            for each, value in self.options
        ]
        return [*options, "--", *self.arguments]

    def given(self, parameter: Parameter) -> list[str | None]:
        """The values given to an option, in order."""
        return [value for each, value in self.options if each is parameter]


def is_dashed(word: str) -> bool:
    """Whether a word looks like an option."""
    return word.startswith("-") and word != "-" and not _NUMBER.fullmatch(word)


def split(command: str, words: Sequence[str], parameters: Sequence[Parameter]) -> CommandLine:
    """The options and the arguments among `words`.

    Args:
        command: its name, for messages.
        words: the words after it.
        parameters: of the command.

    Raises:
        CommandFailed: if a word looks like an option and is not one; exit code 2.
    """
    by_name = {name: each for each in parameters for name in each.options}
    options: list[tuple[Parameter, str | None]] = []
    arguments: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return CommandLine(tuple(options), (*arguments, *rest))
        if not is_dashed(word):
            arguments.append(word)
            continue
        name, equals, value = word.partition("=")
        parameter = by_name.get(name)
        if parameter is None:
            takes_arguments = not all(each.is_option for each in parameters)
            raise no_such_option(command, name, by_name, takes_arguments)
        options.append((parameter, _value(parameter, name, value if equals else None, rest)))
    return CommandLine(tuple(options), tuple(arguments))


def no_such_option(
    command: str, name: str, known: Iterable[str], takes_arguments: bool
) -> CommandFailed:
    """The failure of a word that looks like an option, with what was perhaps meant.

    Args:
        command: whose option it is not; empty for the program itself.
        name: the word.
        known: the options that there are.
        takes_arguments: whether it may have been meant as an argument.
    """
    message = f"'{command or 'decreed'}' has no option {name}{meant(name, known)}"
    return mistake(message, SEPARATOR_HINT if takes_arguments else see_help(command))


def meant(word: str, known: Iterable[str]) -> str:
    """A suggestion for a mistyped word, as a question; empty if no name is similar."""
    from difflib import SequenceMatcher, get_close_matches  # only for mistakes

    # the dashes that all options begin with would make any two of them alike
    bare = {each.lstrip("-"): each for each in known}
    said = word.lstrip("-")
    # two letters are in many a word
    likely = [each for each in bare if len(each) > 2 or len(said) <= 3]
    found = get_close_matches(said, likely, n=2)
    ratios = [SequenceMatcher(None, each, said).ratio() for each in found]
    # the second one only if it is about as close
    pairs = zip(found, ratios, strict=True)
    close = [bare[each] for each, ratio in pairs if ratio > ratios[0] * SECOND_BEST]
    return f". Did you mean {' or '.join(close)}?" if close else ""


def see_help(command: str) -> str:
    """Which help to look at; that of the program if `command` is empty."""
    return f"see 'decreed {command} --help'" if command else "see 'decreed --help'"


def mistake(message: str, way_out: str = "") -> CommandFailed:
    """The failure of a command line that is not understood; exit code 2."""
    return CommandFailed(BadRequest(message), "usage", way_out)


def _value(parameter: Parameter, name: str, value: str | None, rest: list[str]) -> str | None:
    """The value of an option: after its ``=``, or the next word."""
    if parameter.is_flag:
        if value is not None:
            raise mistake(f"{name} takes no value")
        return None
    return value if value is not None else next_value(name, rest)


def next_value(name: str, rest: list[str]) -> str:
    """Take the value of option `name` from the words after it.

    Raises:
        CommandFailed: if it is missing, or looks like another option; exit code 2.
    """
    if not rest or rest[0] == "--":
        raise mistake(f"{name} needs a value")
    if is_dashed(rest[0]):
        raise mistake(f"{name} needs a value, and {rest[0]} looks like an option",
                      f"write {name}={rest[0]} if that is the value")  # fmt: skip
    return rest.pop(0)


@dataclass(frozen=True)
class Told:
    """The context of a parameter's callback: the sources of values.

    Args:
        sources: of each parameter, by its name.
    """

    sources: Mapping[str, ValueSource]

    def get_parameter_source(self, name: str) -> ValueSource | None:
        """Where the value of a parameter comes from; the name is Typer's."""
        return self.sources.get(name)


class _NotPlain(Exception):
    """The line is wrong or not understood here: leave it to Typer."""


def values(
    line: CommandLine, parameters: Sequence[Parameter], environ: Mapping[str, str]
) -> dict[str, Any] | None:
    """The arguments of the command's function; None if Typer must parse the line."""
    try:
        texts = _texts(line, parameters)
        found = {each.name: _found(each, texts[each.name], environ) for each in parameters}
        told = Told({name: source for name, (_, source) in found.items()})
        return {each.name: _checked(each, found[each.name][0], told) for each in parameters}
    except _NotPlain:
        return None


def _texts(line: CommandLine, parameters: Sequence[Parameter]) -> dict[str, list[str | None]]:
    """The texts given to each parameter."""
    texts = {each.name: line.given(each) for each in parameters if each.is_option}
    rest: list[str | None] = list(line.arguments)
    for each in parameters:
        if not each.is_option:
            count = len(rest) if each.is_many else 1
            texts[each.name], rest = rest[:count], rest[count:]
    if rest:
        raise _NotPlain
    return texts


def _found(
    parameter: Parameter, texts: list[str | None], environ: Mapping[str, str]
) -> tuple[Any, ValueSource]:
    if texts:
        return _read(parameter, texts), ValueSource.COMMANDLINE
    variable = parameter.setting("envvar")
    text = environ.get(variable) if isinstance(variable, str) else None
    if text:
        return _from_variable(parameter, text), ValueSource.ENVIRONMENT
    if parameter.default is REQUIRED:
        raise _NotPlain
    return parameter.default, ValueSource.DEFAULT


def _from_variable(parameter: Parameter, text: str) -> Any:
    if parameter.is_many:
        raise _NotPlain
    if not parameter.is_flag:
        return _convert(parameter, text)
    word = text.strip().lower()
    if word not in (*_ON, *_OFF):
        raise _NotPlain
    return word in _ON


def _read(parameter: Parameter, texts: list[str | None]) -> Any:
    if parameter.is_flag:
        return True
    given = [text for text in texts if text is not None]
    return given if parameter.is_many else _convert(parameter, given[-1])


def _convert(parameter: Parameter, text: str) -> Any:
    """The value of a text, for simple types."""
    parser = parameter.setting("parser")
    if parser is not None:
        try:
            return parser(text)
        except (DecreedError, ValueError, typer.TyperException) as error:
            raise _NotPlain from error
    kind = parameter.kind
    if kind is str:
        return text
    if kind is int:
        return _whole(parameter, text)
    if kind is Path:
        return _path(text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice(kind, text)
    raise _NotPlain


def _whole(parameter: Parameter, text: str) -> int:
    least, most = parameter.setting("min"), parameter.setting("max")
    number = int(text) if _WHOLE.fullmatch(text) else None
    if number is None or (least is not None and number < least):
        raise _NotPlain
    if most is not None and number > most:
        raise _NotPlain
    return number


def _path(text: str) -> Path:
    """A path, unless it is malformed, or there is a file that cannot be read."""
    if "\0" in text or not (os.access(text, os.R_OK) or not os.path.lexists(text)):
        raise _NotPlain
    return Path(text)


def _choice(kind: type[Enum], text: str) -> Enum:
    for choice in kind:
        if choice.value == text:
            return choice
    raise _NotPlain


def _checked(parameter: Parameter, value: Any, told: Told) -> Any:
    callback = parameter.setting("callback")
    return value if callback is None else callback(told, value)
