"""The options that commands share, and how their texts become values.

A command takes what it needs of these as annotated parameters and joins them in a `Call`. Nothing
here reads a file or opens a connection.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from ..registry.addresses import split_address
from ..registry.errors import ConfigError
from .deferred import typer
from .key_completion import complete_key, complete_prefix, complete_series

DEFAULT_ENDPOINTS = "127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402"
DEFAULT_TIMEOUT = 10.0
LONGEST_TIMEOUT = 3_600.0

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of ``500ms``, ``10s``, ``2m``, ``1h`` or a plain number of seconds."""
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0.001 <= seconds <= LONGEST_TIMEOUT:
        raise typer.BadParameter(
            f"{text!r} is no time: write 500ms, 10s, 2m or plain seconds, at most 1h"
        )
    return seconds


def parse_endpoints(text: str) -> tuple[str, ...]:
    """The addresses of a comma-separated list."""
    endpoints = tuple(filter(None, (part.strip() for part in text.split(","))))
    if not endpoints:
        raise typer.BadParameter("it is empty; write host:port, or several with commas between")
    for endpoint in endpoints:
        try:
            split_address(endpoint)
        except ConfigError as error:
            raise typer.BadParameter(str(error)) from error
    return endpoints


EndpointsText = Annotated[
    str,
    typer.Option(
        "--endpoints",
        envvar="DECREED_ENDPOINTS",
        metavar="HOST:PORT,…",
        help="Nodes to talk to, with commas between; any one that answers is enough to begin.",
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=parse_duration,
        metavar="TIME",
        help="How long to try: 500ms, 10s, 2m or plain seconds.  [default: 10s]",
        show_default=False,
    ),
]
Patience = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=parse_duration,
        metavar="TIME",
        help="How long to go on: 500ms, 10s, 2m or plain seconds.  [default: without end]",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")]
Raw = Annotated[
    bool, typer.Option("--raw", help="Write the exact bytes of the value and nothing else.")
]
KeyName = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="The key, such as prod/db/region.", autocompletion=complete_key
    ),
]
SeriesName = Annotated[
    str,
    typer.Argument(
        metavar="SERIES", help="The series, such as prod/settings.", autocompletion=complete_series
    ),
]
Prefix = Annotated[
    str,
    typer.Argument(
        metavar="[PREFIX]",
        help="A path; whole segments match.  [default: all]",
        autocompletion=complete_prefix,
    ),
]


@dataclass(frozen=True)
class Call:
    """What every command that talks to a cluster was told.

    Args:
        endpoints: the nodes to talk to.
        timeout: seconds for each call; None where the command has no end of its own.
        as_json: whether to print JSON.
    """

    endpoints: tuple[str, ...]
    timeout: float | None
    as_json: bool

    @classmethod
    def of(cls, endpoints: str, timeout: float | None, as_json: bool) -> "Call":
        """Join the options; the endpoints are still the text of the command line."""
        return cls(parse_endpoints(endpoints), timeout, as_json)

    @property
    def seconds(self) -> float:
        """How long one call may take."""
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout
