"""``decreed dev``: a cluster of three nodes in one process, to try things and to develop against.

Its data survives a restart: ``.decreed/cluster.toml`` and a directory for each node. With ``--demo`` it
runs in a temporary folder on other ports, freezes a key, reads it back, and ends.
"""

import secrets
import shlex
import tempfile
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import trio

from ...client import NodeDown, Registry, StatusReport, connect
from ...registry.cluster_secret import ClusterSecret
from ...registry.config import ClusterConfig
from ...registry.disk import Storage
from ...registry.errors import DecreedError, Exit, Unreachable
from ..config.cluster_secret import beside, load_secret
from ..config.new_secret import keep_secret
from ..config.settings import load_config, read_config
from ..config.settings_text import config_text, with_addresses, write_file
from ..options import types as o
from ..options.node_start import NodeStart
from ..shell.core_files import write_no_core_file
from ..shell.deferred import typer
from ..shell.documents import claim_line
from ..shell.error_groups import run_async
from ..shell.failures import about
from ..shell.logs import LogForm, LogLevel, set_up_logs
from ..shell.output import write_json, write_line
from ..shell.ports import LOCALHOST, held_ports
from ..shell.shown import show
from .serve import Opened, ServerParts, open_node, server_parts, stop_on_signal

NODES = ("n1", "n2", "n3")
DEFAULT_DATA = Path(".decreed")
DEFAULT_PORT = 7400
HIGHEST_FIRST_PORT = 65_535 - len(NODES) + 1
DEMO_KEY = "demo/greeting"
DEMO_TIMEOUT = 30.0
FORMING_SECONDS = 10.0

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="DECREED_DEV_DATA",
        metavar="DIR",
        help="Where the cluster lives.  [default: .decreed; with --demo a folder that goes away]",
        show_default=False,
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        envvar="DECREED_DEV_PORT",
        metavar="PORT",
        min=1,
        max=HIGHEST_FIRST_PORT,
        help="The first of three ports.  [default: as before, at first 7400; --demo: free ones]",
        show_default=False,
    ),
]
Demo = Annotated[
    bool, typer.Option("--demo", help="Freeze a key, read it back, say what happened, and stop.")
]


@dataclass(frozen=True)
class DevCluster:
    """A cluster whose nodes all run in this process.

    Args:
        folder: holds the config and the nodes' directories.
        config_path: the ``cluster.toml`` in it.
        config: what it says.
        secret: what the nodes prove to each other.
    """

    folder: Path
    config_path: Path
    config: ClusterConfig
    secret: ClusterSecret

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses of all nodes."""
        return tuple(address for _, address in self.config.addresses)

    def starts(self) -> list[NodeStart]:
        """What each node is started with."""
        return [
            NodeStart(
                *(self.config_path, self.config, node, self.folder / node), secret=self.secret
            )
            for node in self.config.nodes
        ]


def dev(
    data: Data = None,
    port: Port = None,
    demo: Demo = False,
    timeout: o.ServeTime = None,
    as_json: o.Json = False,
) -> int:
    """Run a cluster of three nodes in this process; its data stays for the next time.

    With --timeout it stops by itself after that time; with --demo each step may take so long.
    """
    with ExitStack() as stack:
        if demo:
            set_up_logs(LogForm.TEXT, LogLevel.ERROR)
            folder = data or stack.enter_context(_short_lived_folder())
            cluster = prepare(folder, port, None if data else held_ports(stack, len(NODES)))
            body = _demonstration(cluster, timeout or DEMO_TIMEOUT, as_json)
        else:
            set_up_logs(LogForm.JSON if as_json else LogForm.TEXT, LogLevel.WARNING)
            cluster = prepare(data or DEFAULT_DATA, port)
            body = _announcement(cluster, timeout, as_json)
        with about("dev"):
            run_async(lambda: run_cluster(cluster, body))
    return Exit.DONE


def prepare(
    folder: Path, port: int | None = None, free: tuple[int, ...] | None = None
) -> DevCluster:
    """The cluster in `folder`; created if it does not exist.

    Args:
        folder: its folder.
        port: the first of its ports; None to keep the ports.
        free: the ports to use if `port` is None.
    """
    path = folder / "cluster.toml"
    if port is not None:
        ports: tuple[int, ...] | None = tuple(range(port, port + len(NODES)))
    else:
        ports = free
    if not path.exists():
        members = _addresses(ports or tuple(range(DEFAULT_PORT, DEFAULT_PORT + len(NODES))))
        write_file(path, config_text(secrets.token_hex(16), members), replace=False)
    elif ports:
        load_config(path)  # raises an error that names its faults
        text = with_addresses(read_config(path), _addresses(ports))
        write_file(path, text, replace=True)
    config, secret = load_config(path), beside(path)
    keep_secret(secret)
    return DevCluster(folder, path, config, load_secret(secret))


async def run_cluster(cluster: DevCluster, body: Callable[[], Awaitable[None]]) -> None:
    """Run all nodes and, once they listen, `body`; its end or a signal stops them."""
    write_no_core_file()
    parts = server_parts()
    stop = trio.Event()
    with ExitStack() as stack:
        opened = [(start, _open(stack, parts, start)) for start in cluster.starts()]
        async with trio.open_nursery() as signals:
            signals.start_soon(stop_on_signal, stop)
            async with trio.open_nursery() as nodes:
                for start, storage in opened:
                    await nodes.start(_serve, parts, start, storage, stop)
                nodes.start_soon(_run_body, body, stop)
            signals.cancel_scope.cancel()


def _open(stack: ExitStack, parts: ServerParts, start: NodeStart) -> Storage:
    """Open a node's directory; it is closed when the cluster stops."""
    with about(str(start.data)):
        storage = open_node(parts, start)
    stack.callback(storage.close)
    return storage


async def _serve(
    parts: ServerParts,
    start: NodeStart,
    storage: Storage,
    stop: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with about(f"node {start.node}", "if the port is taken, choose others with --port"):
        await parts.serve(start, Opened(storage), stop, task_status.started)


async def _run_body(body: Callable[[], Awaitable[None]], stop: trio.Event) -> None:
    """Run `body` until it ends or a signal comes; either stops the nodes."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on, stop, nursery.cancel_scope)
        try:
            await body()
        finally:
            stop.set()


async def _cancel_on(stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


def _announcement(
    cluster: DevCluster, timeout: float | None, as_json: bool
) -> Callable[[], Awaitable[None]]:
    """Say how to use the cluster, and let it run."""

    async def announce() -> None:
        await _all_vote(cluster)
        if as_json:
            write_json({"endpoints": cluster.endpoints, "data": str(cluster.folder)})
        else:
            for line in how_to_use(cluster):
                write_line(line)
        await trio.sleep(float("inf") if timeout is None else timeout)

    return announce


async def _all_vote(cluster: DevCluster) -> None:
    """Wait for a limited time until the cluster accepts claims, so that the next command works."""
    with trio.move_on_after(FORMING_SECONDS):
        async with connect(*cluster.endpoints) as registry:
            while not await _vote(registry):
                await trio.sleep(0.02)


async def _vote(registry: Registry) -> bool:
    """Whether all nodes take part; perhaps no node listens yet."""
    try:
        return all(map(_votes, await registry.status()))
    except Unreachable:
        return False


def _votes(report: StatusReport | NodeDown) -> bool:
    return isinstance(report, StatusReport) and report.voting


def how_to_use(cluster: DevCluster) -> Iterator[str]:
    """The text that ``decreed dev`` prints."""
    yield f"three nodes run at {', '.join(cluster.endpoints)}; their data is in {cluster.folder}"
    yield "in another terminal:"
    if ",".join(cluster.endpoints) != o.DEFAULT_ENDPOINTS:
        yield f"  export DECREED_ENDPOINTS={shlex.quote(','.join(cluster.endpoints))}"
    yield "  decreed claim prod/db/region eu-west-1"
    yield "  decreed get prod/db/region"
    yield "  decreed claim prod/db/region us-east-1    # too late: it is frozen"
    yield "Ctrl-C stops the nodes; the data stays."


def _demonstration(
    cluster: DevCluster, seconds: float, as_json: bool
) -> Callable[[], Awaitable[None]]:
    async def demonstrate() -> None:
        call = o.Call(cluster.endpoints, seconds, as_json)
        if not as_json:
            write_line(f"three nodes with RocksDB run at {', '.join(cluster.endpoints)}")
        await _all_vote(cluster)
        with about(DEMO_KEY):
            async with connect(*call.endpoints, timeout=call.seconds) as registry:
                await _freeze_and_read(registry, as_json)

    return demonstrate


async def _freeze_and_read(registry: Registry, as_json: bool) -> None:
    """Claim a key, read it back, and show that another claim of it loses."""
    for value in ("hello, forever", "something else"):
        claimed = await registry.claim(DEMO_KEY, value)
        if as_json:
            write_json(claimed.to_dict())
        else:
            write_line(f"claim  {DEMO_KEY} {shlex.quote(value)}")
            write_line(f"    →  {claim_line(claimed.outcome, claimed.decree)}")
    decree = await registry.get(DEMO_KEY)
    if decree is None:
        raise DecreedError("it was frozen, and now it is undecided")
    if as_json:
        write_json(decree.to_dict())
    else:
        write_line(f"get    {DEMO_KEY}")
        write_line(f"    →  {show(decree.value)}")


@contextmanager
def _short_lived_folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="decreed-demo-") as name:
        yield Path(name)


def _addresses(ports: tuple[int, ...]) -> dict[str, str]:
    return {node: f"{LOCALHOST}:{port}" for node, port in zip(NODES, ports, strict=True)}
