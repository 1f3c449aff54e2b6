"""``decreed serve``: one node as a process. Here a node's parts are put together.

The storage and the server belong to the extra ``server``; they are imported only when a node starts, so
that the rest of the CLI does not need them.
"""

import gc
import resource
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import trio

from ...registry.addresses import split_address
from ...registry.config import ClusterConfig
from ...registry.disk import Storage
from ...registry.errors import Exit, MissingExtra, Refused
from ...registry.server import log as say
from ...registry.types import NodeId
from ..config.formation_marker import check_not_formed_before, write_marker
from ..config.settings import load_config
from ..options import types as o
from ..options.usage import said_by
from ..shell.deferred import typer
from ..shell.error_groups import run_async
from ..shell.failures import CommandFailed, about
from ..shell.logs import LogForm, LogLevel, set_up_logs
from ..shell.output import write_json
from ..shell.signals import EARLY, end_by, heeded

OWN_FILES = 400
"""How many files a node needs besides its connections: tables, logs, links."""

YOUNG_OBJECTS = 20_000
"""How many new objects start a garbage collection."""


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
        metavar="HOST:PORT",
        help="Listen here instead of at the address in the config, for example with a port mapping.",
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


@dataclass(frozen=True)
class NodeStart:
    """Everything that one node is started with.

    Args:
        config_path: the ``cluster.toml``; the marker of formed nodes is beside it.
        config: its settings.
        node: the member's name.
        data: the data directory.
        listen: where to listen, if not at the member's address.
        new_formation: whether a fresh directory of a node that has formed before is accepted.
    """

    config_path: Path
    config: ClusterConfig
    node: NodeId
    data: Path
    listen: str | None = None
    new_formation: bool = False

    def write_marker(self, formation: bytes) -> None:
        """Record beside the config that the node belongs to `formation`."""
        write_marker(self.config_path, self.config.cluster_id, self.node, formation)


def serve(
    config: ConfigPath,
    node: NodeName,
    data: DataPath,
    listen: Listen = None,
    log: Log = LogForm.TEXT,
    log_level: Level = LogLevel.INFO,
    new_formation: NewFormation = False,
    timeout: o.ServeTime = None,
    as_json: o.Json = False,
) -> int:
    """Run one node of a cluster until SIGTERM or SIGINT; then answer what is in flight and stop.

    With --timeout it stops by itself after that time. --json is --log json, and one document on
    standard output with where it listens.
    """
    set_up_logs(LogForm.JSON if as_json else log, log_level)
    start = prepare(config, node, data, listen, new_formation)
    if as_json:
        write_json(_document(start))
    with about(f"node {node}"):
        run_node(start, timeout)
    return Exit.DONE


def prepare(
    config_path: Path, node: str, data: Path, listen: str | None, new_formation: bool
) -> NodeStart:
    """Check everything that can be checked before a directory is opened.

    Raises:
        CommandFailed: if a check fails; names the file or option.
    """
    with said_by("DECREED_CLUSTER_CONFIG", config_path):
        config = load_config(config_path)
    with said_by("DECREED_NODE", node), about("--node", "name a member of the config"):
        config.address(NodeId(node))
    if listen is not None:
        with said_by("DECREED_LISTEN", listen), about("--listen"):
            split_address(listen)
    with about(f"node {node}"):
        if not new_formation:
            check_not_formed_before(config_path, config, NodeId(node), data)
    return NodeStart(config_path, config, NodeId(node), data, listen, new_formation)


def run_node(start: NodeStart, timeout: float | None = None) -> None:
    """Open the node's directory, serve until told to stop, and close the directory."""
    allow_open_files(start.config.limits.max_connections)
    parts = server_parts()
    storage = open_node(parts, start)
    collect_seldom()
    run_async(lambda: _serve_until_stopped(parts, start, storage, timeout))


def collect_seldom() -> None:
    """Have Python collect cyclic garbage less often, and never among the objects of the start.

    Claims leave objects that live long and hardly any cycles, so nearly all of that search is useless.
    A few ten thousand uncollected objects hold a few megabytes. The garbage of loading is about one
    megabyte, which the node keeps in return for a faster start.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()


def allow_open_files(connections: int) -> None:
    """Raise the limit of open files as far as possible; without free files the database stops.

    Raises:
        CommandFailed: if it is still too low for the connections that the config allows.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = 2 * connections + OWN_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        cause = Refused(f"{hard} open files are allowed, and {needed} may be needed")
        raise CommandFailed(cause, "serve", "raise 'ulimit -Hn', or lower limits.max_connections")


def open_node(parts: "ServerParts", start: NodeStart) -> Storage:
    """Open the node's directory; if it has formed, write the marker beside the config."""
    storage = parts.open_directory(start.data, start.config, start.node)
    formation = storage.recovered().identity.formation
    if formation is not None:
        start.write_marker(formation)
    return storage


async def _serve_until_stopped(
    parts: "ServerParts", start: NodeStart, storage: Storage, timeout: float | None
) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_on_signal, stop)
        nursery.start_soon(_stop_after, timeout, stop)
        await parts.serve(start, storage, stop)
        nursery.cancel_scope.cancel()


async def stop_on_signal(stop: trio.Event) -> None:
    """Set `stop` at the first SIGTERM or SIGINT; a second one then ends the process at once."""
    with trio.open_signal_receiver(signal.SIGTERM, *heeded(signal.SIGINT)) as signals:
        if EARLY.asked:
            stop.set()
        else:
            number = await anext(aiter(signals))
            say.info("stopping", signal=signal.Signals(number).name)
            stop.set()
    # the receiver has restored the handler of `EarlyStop`
    end_by(signal.SIGTERM)


async def _stop_after(timeout: float | None, stop: trio.Event) -> None:
    if timeout is not None:
        await trio.sleep(timeout)
        stop.set()


@dataclass(frozen=True)
class ServerParts:
    """The parts of the extra ``server``: opening a directory, and the node itself."""

    open_directory: Callable[[Path, ClusterConfig, NodeId], Storage]
    serve_node: Callable[..., Awaitable[None]]

    async def serve(
        self,
        start: NodeStart,
        storage: Storage,
        stop: trio.Event,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a node on its open directory until `stop` is set; closes the directory."""
        await self.serve_node(
            start.config,
            storage,
            stop,
            listen_on=start.listen,
            on_formed=start.write_marker,
            started=started,
        )


def server_parts() -> ServerParts:
    """Import what a node needs.

    Raises:
        MissingExtra: if the extra ``server`` is not installed.
    """
    try:
        from ...registry.server.serve import serve_node
        from ...storage.directory import open_directory
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name == "decreed":
            raise
        cause = MissingExtra(f"a node needs {name or 'a module'}, which is not installed")
        raise CommandFailed(cause, "serve", "pip install 'decreed[server]'") from error
    return ServerParts(open_directory, serve_node)


def _document(start: NodeStart) -> dict[str, Any]:
    host, port = start.config.address(start.node)
    return {
        "node": start.node,
        "cluster_id": start.config.cluster_id,
        "listen": start.listen or f"{host}:{port}",
        "data": str(start.data),
    }
