"""The options that commands share, and how their texts become values.

A command takes the ones that it needs as annotated parameters and joins them in a `Call`. Options for
the cluster, the claimant, the timeout and the output have a variable; options about one request, and
confirmations, have no variable. An error in a variable names the variable
(`decreed.cli.options.usage`).
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from ...registry.errors import DecreedError
from ...registry.types import MAX_CLAIMANT_CHARS
from ..config import contexts
from ..config.contexts import DEFAULT_ENDPOINTS as DEFAULT_ENDPOINTS
from ..config.contexts import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT
from ..config.tls_paths import NO_TLS, TlsPaths
from ..config.token_place import TokenPlace, credentials
from ..shell import durations
from ..shell.deferred import Sources, typer
from ..shell.failures import CommandFailed
from .as_node import ASKED, way_to
from .key_completion import complete_key, complete_prefix, complete_series
from .secured import GIVEN

T = TypeVar("T")


def parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` for an option: its errors are bad usage."""

    def parse_option(text: str) -> T:
        try:
            return parse(text)
        except DecreedError as error:
            raise typer.BadParameter(str(error)) from error

    return parse_option


@dataclass(frozen=True)
class Endpoints:
    """The nodes that an option or a variable names; Typer takes a bare tuple for several values.

    Args:
        addresses: ``host:port`` of each.
    """

    addresses: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Endpoints":
        """The nodes of a list with commas between."""
        return cls(contexts.parse_endpoints(text))


parse_duration = parsed(durations.seconds_of)
parse_endpoints = parsed(contexts.parse_endpoints)


def at_most(chars: int, what: str) -> Callable[[str], str]:
    """A parser of texts of at most `chars` characters."""

    def parse_text(text: str) -> str:
        if len(text) > chars:
            raise typer.BadParameter(f"the {what} is longer than {chars} characters")
        return text

    return parse_text


def one_of(texts: tuple[str, ...]) -> Callable[[str], str]:
    """A parser of one of some texts."""

    def parse_text(text: str) -> str:
        if text not in texts:
            raise typer.BadParameter(f"{text!r} is not {' or '.join(texts)}")
        return text

    return parse_text


def duration(
    name: str,
    variable: str,
    text: str,
    default: str,
    parse: Callable[[str], float] = parse_duration,
) -> Any:
    """An option that is a span of time.

    Args:
        name: the option.
        variable: the variable that is used without the option.
        text: its help.
        default: the value without both, for the help.
        parse: parses it.
    """
    return typer.Option(
        name,
        parser=parse,
        envvar=variable,
        metavar="TIME",
        help=f"{text}  [default: {default}]",
        show_default=False,
    )


@contextmanager
def about_config() -> Generator[None]:
    """Errors raised inside are about the config file, or a context in it."""
    try:
        yield
    except DecreedError as error:
        raise CommandFailed(error, "config", _way_out_of_config(error.__cause__)) from error


def _way_out_of_config(cause: BaseException | None) -> str:
    """What to do about a config file that cannot be read, or about a context of one that can."""
    if isinstance(cause, OSError):
        return "check the path and its permissions"
    unread = isinstance(cause, ValueError | RecursionError)
    return "correct the file" if unread else "see 'decreed context list'"


def _raw_unless_json(context: Sources, value: bool) -> bool:
    """An option takes precedence over a variable: ``--json`` over ``DECREED_RAW``."""
    by_variable = getattr(context.get_parameter_source("raw"), "name", "") == "ENVIRONMENT"
    asked = getattr(context.get_parameter_source("as_json"), "name", "") == "COMMANDLINE"
    return value and not (by_variable and asked)


EndpointsText = Annotated[
    Endpoints | None,
    typer.Option(
        "--endpoints",
        parser=parsed(Endpoints.of),
        envvar=contexts.ENDPOINTS_VARIABLE,
        metavar="HOST:PORT,…",
        help="Nodes to talk to, with commas between; any one that answers is enough to begin."
        "  [default: the context's, or three on 127.0.0.1 from 7400 on]",
        show_default=False,
    ),
]
ContextName = Annotated[
    str | None,
    typer.Option(
        "--context",
        envvar=contexts.CONTEXT_VARIABLE,
        metavar="NAME",
        help="The context of the config file to work in.  [default: the one it names, if any]",
        show_default=False,
    ),
]
Timeout = Annotated[
    float | None,
    duration(
        "--timeout",
        contexts.TIMEOUT_VARIABLE,
        "How long to try: 500ms, 10s, 1h30m or plain seconds.",
        "the context's, or 10s",
    ),
]
NoTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", parser=parse_duration, metavar="TIME", hidden=True, help="Changes nothing."
    ),
]
Patience = Annotated[
    float | None,
    duration(
        "--timeout",
        "DECREED_PATIENCE",
        "How long to go on: 500ms, 10s, 1h30m, 2d or plain seconds.",
        "without end",
    ),
]
ServeTime = Annotated[
    float | None,
    duration(
        "--timeout",
        "DECREED_SERVE_TIMEOUT",
        "How long to go on: 500ms, 10s, 1h30m, 2d or plain seconds.",
        "without end",
    ),
]
BatchTimeout = Annotated[
    float | None,
    duration(
        "--timeout",
        "DECREED_IMPORT_TIMEOUT",
        "How long to try each batch before its rest counts as failed.",
        "60s",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", envvar=contexts.JSON_VARIABLE, help="Print JSON, errors too.")
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        envvar="DECREED_RAW",
        callback=_raw_unless_json,
        help="Write the exact bytes of the value and nothing else.",
    ),
]
Claimant = Annotated[
    str | None,
    typer.Option(
        "--claimant",
        parser=at_most(MAX_CLAIMANT_CHARS, "claimant"),
        envvar=contexts.CLAIMANT_VARIABLE,
        metavar="NAME",
        help="Who claims; kept in the decree.  [default: the context's, or user@host]",
        show_default=False,
    ),
]
Prefer = Annotated[
    str | None,
    typer.Option(
        "--prefer",
        parser=one_of(contexts.PREFERENCES),
        envvar=contexts.PREFER_VARIABLE,
        metavar="home|nearest",
        help="Where to read from: the home of a key, or the node that answers fastest."
        "  [default: the context's, or home]",
        show_default=False,
    ),
]
NAMES = "letters, digits, marks and _-.+=:,~(), with / between segments."
KeyName = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help=f"The key, such as prod/db/region: {NAMES}", autocompletion=complete_key
    ),
]
SeriesName = Annotated[
    str,
    typer.Argument(
        metavar="SERIES",
        help=f"The series, such as prod/settings: {NAMES}",
        autocompletion=complete_series,
    ),
]
Prefix = Annotated[
    str,
    typer.Argument(
        metavar="[PREFIX]",
        help=f"A path; whole segments match: {NAMES}  [default: all]",
        autocompletion=complete_prefix,
    ),
]


@dataclass(frozen=True)
class Call:
    """The shared settings of every command that talks to a cluster.

    Args:
        endpoints: the nodes to talk to.
        timeout: seconds, from the option or its variable; None without both.
        as_json: whether to print JSON.
        seconds: how long one call may take.
        claimant: from the variable or the context; None for the client's default.
        prefer: where to read from; home for all commands that do not only read.
        tls: the files of TLS.
        token: where the token is, if there is one.
        stays: whether no other node than the first is asked.
    """

    endpoints: tuple[str, ...]
    timeout: float | None
    as_json: bool
    seconds: float = DEFAULT_TIMEOUT
    claimant: str | None = None
    prefer: str = "home"
    tls: TlsPaths = NO_TLS
    token: TokenPlace | None = None
    stays: bool = False

    @classmethod
    def of(
        cls,
        endpoints: Endpoints | None,
        timeout: float | None,
        as_json: bool,
        context: str | None = None,
    ) -> "Call":
        """Join the options, and fill in the settings of the context, or the defaults.

        Raises:
            CommandFailed: if the config file is malformed, or has no such context.
        """
        with about_config():
            chosen = contexts.chosen_context(context, os.environ)
            nodes = endpoints.addresses if endpoints else None
            if context and context != os.environ.get(contexts.CONTEXT_VARIABLE):
                contexts.check_one_place(nodes, chosen, os.environ)
        settled = contexts.settle_call(nodes, timeout, chosen, os.environ, GIVEN.get())
        found = (timeout, as_json, settled.timeout, settled.claimant)
        asked = ASKED.get()
        if asked is None:
            return cls(settled.endpoints, *found, tls=settled.tls, token=settled.token)
        way = way_to(asked, GIVEN.get())
        if contexts.is_of_variable(nodes, os.environ):
            # the variable leads to all nodes, and the others would refuse this one, and tell of it
            nodes = None
        return cls(nodes or (way.endpoint,), *found, tls=way.tls, stays=True)

    def credentials(self) -> dict[str, Any]:
        """How connections are secured, and who we are, for the client library."""
        return credentials(self.tls, self.token)

    def reading(self, context: str | None, prefer: str | None) -> "Call":
        """The same, of a command that only reads.

        Args:
            context: the name of the context that was given to `of`.
            prefer: from the option or its variable; None without both.
        """
        with about_config():
            said = prefer or contexts.chosen_context(context, os.environ).prefer
        return replace(self, prefer=said or self.prefer)
