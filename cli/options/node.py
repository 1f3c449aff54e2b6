"""The options of ``decreed serve``, which say what a node is and where it is."""

from pathlib import Path
from typing import Annotated

from ..shell.deferred import typer
from ..shell.logs import LogForm, LogLevel

ConfigPath = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar="DECREED_CLUSTER_CONFIG",
        metavar="FILE",
        help="The cluster.toml that 'init' wrote.",
    ),
]
NodeName = Annotated[
    str,
    typer.Option(
        "--node", envvar="DECREED_NODE", metavar="NAME", help="Which member this process is."
    ),
]
DataPath = Annotated[
    Path,
    typer.Option("--data", envvar="DECREED_DATA", metavar="DIR", help="The node's data directory."),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        envvar="DECREED_LISTEN",
        metavar="HOST:PORT,…",
        help="Listen here instead of at the address in the config; 0.0.0.0 and [::] are all addresses.",
    ),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        "--advertise",
        envvar="DECREED_ADVERTISE",
        metavar="HOST:PORT",
        help="Tell peers and clients this address instead of the one in the config.",
    ),
]
Admin = Annotated[
    str | None,
    typer.Option(
        "--admin",
        envvar="DECREED_ADMIN",
        metavar="HOST:PORT",
        help="Tell health, status and metrics here over HTTP.  [default: admin.listen in the config]",
        show_default=False,
    ),
]
Join = Annotated[
    str | None,
    typer.Option(
        "--join",
        envvar="DECREED_JOIN",
        metavar="HOST:PORT,…",
        help="Join the cluster that is running there, with a new directory and no vote for now.",
    ),
]
SeedFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--seed",
        envvar="DECREED_SEED",
        metavar="FILE",
        help="With --join: learn from this snapshot first; repeat it for its increments, in order.",
    ),
]
Observe = Annotated[
    bool,
    typer.Option(
        "--observe",
        envvar="DECREED_OBSERVE",
        help="Serve what is frozen, and wait for no vote; with --join at the first start.",
    ),
]
Secret = Annotated[
    Path | None,
    typer.Option(
        "--secret",
        envvar="DECREED_SECRET_FILE",
        metavar="FILE",
        help="What nodes prove to each other.  [default: cluster.secret beside the config]",
        show_default=False,
    ),
]
Log = Annotated[LogForm, typer.Option("--log", envvar="DECREED_LOG", help="How log lines look.")]
Level = Annotated[
    LogLevel,
    typer.Option(
        "--log-level", envvar="DECREED_LOG_LEVEL", help="The least weighty lines written."
    ),
]
NewFormation = Annotated[
    bool,
    typer.Option(
        "--new-formation",
        help="The directories of ALL members are gone: form again, empty. Give it to every node.",
    ),
]
