"""``decreed serve``: one node as a process. Here a node's parts are put together.

The storage and the server belong to the extra ``server``; they are imported only when a node starts, so
that the rest of the CLI does not need them.
"""

import gc
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from ...registry.disk import Storage
from ...registry.errors import BadRequest, Exit, MissingExtra, Refused
from ...registry.server import log as say
from ...registry.server.start import ServerStart
from ..config.formation_marker import is_fresh
from ..config.tls_paths import TlsPaths
from ..options import node as n
from ..options import node_tls as n_tls
from ..options import types as o
from ..options.audit import Audit, open_audit
from ..options.node_start import Asked, NodeStart, prepare
from ..shell.core_files import write_no_core_file
from ..shell.error_groups import run_async
from ..shell.failures import CommandFailed, about, about_file
from ..shell.hangup import renew_on_hangup
from ..shell.logs import LogForm, LogLevel, set_up_logs
from ..shell.output import write_json
from ..shell.signals import EARLY, end_by, heeded

if TYPE_CHECKING:
    from ...registry.server.audit_log import AuditLog
    from ...registry.server.credentials import Credentials
    from ...registry.server.seeding import Seed

OWN_FILES = 400
"""How many files a node needs besides its connections: tables, logs, links."""

YOUNG_OBJECTS = 20_000
"""How many new objects start a garbage collection."""
SWITCH_S = 0.000_2
"""How long a thread that reads the disk may keep Python's lock while the node's loop waits for it.

The loop gives the lock away in each system call that may block. With Python's 5 ms, each of these would
cost it up to so much while a snapshot or a page of a feed is read."""


def serve(
    config: n.ConfigPath,
    node: n.NodeName,
    data: n.DataPath,
    listen: n.Listen = None,
    advertise: n.Advertise = None,
    admin: n.Admin = None,
    join: n.Join = None,
    seed: n.SeedFiles = None,
    observe: n.Observe = False,
    secret: n.Secret = None,
    ca: n_tls.Ca = None,
    cert: n_tls.Cert = None,
    key: n_tls.Key = None,
    log: n.Log = LogForm.TEXT,
    log_level: n.Level = LogLevel.INFO,
    audit: Audit = None,
    new_formation: n.NewFormation = False,
    timeout: o.ServeTime = None,
    as_json: o.Json = False,
) -> int:
    """Run one node of a cluster until SIGTERM or SIGINT; then answer what is in flight and stop.

    With --join a node that is no member of the cluster follows it and serves what is frozen; once its
    members change to include it, it votes. --config gives its limits and timings then, and --listen its
    address if that is not in the file. Later starts need no --join, but --listen if it was needed.
    With --seed it learns from a snapshot of the cluster first, which is faster than from its members,
    and then from them what came later. Once it has read from its members, a start leaves the seed out.
    With --observe too it waits for no vote: 'member list' and 'status' show it as an observer, and
    clients that prefer the nearest node may read from it. Later starts say --observe again.

    With --cert, --key and --ca, or [tls] in the config, all connections are TLS; changed files are read
    again, also at SIGHUP. Without TLS it listens on this machine alone, unless the config is insecure.

    With --admin it tells /livez, /readyz, /status and /metrics over HTTP: on this machine to all who
    ask, and elsewhere by TLS to those who have the right admin.

    With --timeout it stops by itself after that time. --json is --log json, and one document on
    standard output with where it listens and what address it tells others.
    """
    set_up_logs(LogForm.JSON if as_json else log, log_level)
    asked = Asked(
        listen=listen,
        advertise=advertise,
        admin=admin,
        new_formation=new_formation,
        join=join,
        observe=observe,
        seed=seed or (),
        audit=audit,
        secret=secret,
        tls=TlsPaths(ca, cert, key),
    )
    start = prepare(config, node, data, asked)
    if as_json:
        write_json(_document(start))
    with about(f"node {node}"):
        run_node(start, timeout)
    return Exit.DONE


@dataclass(frozen=True)
class Opened:
    """What a node has open before it serves.

    Args:
        storage: its directory.
        seed: the snapshot from which it learns first; None for none.
        audit: its audit log; None for no such log.
        credentials: for TLS; None for connections without.
    """

    storage: Storage
    seed: "Seed | None" = None
    audit: "AuditLog | None" = None
    credentials: "Credentials | None" = None

    @property
    def renewals(self) -> tuple[Callable[[], None], ...]:
        """What is opened or read again at SIGHUP."""
        return (
            *((self.audit.open,) if self.audit is not None else ()),
            *((self.credentials.reload,) if self.credentials is not None else ()),
        )


def run_node(start: NodeStart, timeout: float | None = None) -> None:
    """Open the node's directory, serve until told to stop, and close the directory."""
    write_no_core_file()
    allow_open_files(start.config.limits.max_connections)
    parts = server_parts()
    with ExitStack() as stack:
        opened = open_all(stack, parts, start)
        collect_seldom()
        sys.setswitchinterval(SWITCH_S)
        run_async(lambda: _serve_until_stopped(parts, start, opened, timeout))


def open_all(stack: ExitStack, parts: "ServerParts", start: NodeStart) -> Opened:
    """Open all that a node needs; its directory last, so that a failed start is no incarnation.

    The server closes the directory, and `stack` all else.
    """
    audit = open_audit(start.audit, start.config, start.node)
    if audit is not None:
        stack.callback(audit.close)
    credentials = n_tls.credentials_of(start.tls, start.config, start.node)
    is_new = is_fresh(start.data)
    seed = open_seed(parts, start) if is_new else None
    storage = open_node(parts, start)
    if not is_new:
        seed = _seed_of_later_start(parts, start, storage)
    return Opened(storage, seed, audit, credentials)


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


def open_seed(parts: "ServerParts", start: NodeStart) -> "Seed | None":
    """The snapshot from which a node that joins learns first, checked to the last byte.

    Raises:
        CommandFailed: if it is damaged, incomplete, or of another cluster.
    """
    if not start.seed:
        return None
    first, *increments = start.seed
    name = "--seed" if increments else str(first)
    way_out = "take another snapshot of the cluster, or join without one"
    try:
        with about_file(name, way_out):
            return parts.open_seed(start.seed, start.config)
    except OSError as error:
        cause = BadRequest(error.strerror or str(error))
        raise CommandFailed(cause, str(error.filename or name), way_out) from error


def _seed_of_later_start(parts: "ServerParts", start: NodeStart, storage: Storage) -> "Seed | None":
    """The seed for a directory that is not new: none once the node has read from a member.

    The files are not looked at then: they may be gone. Raises what `open_seed` raises.
    """
    if start.seed and any(cursor.index for cursor in storage.recovered().cursors):
        name = ", ".join(map(str, start.seed))
        say.info("the seed is not read: this node follows the others already", file=name)
        return None
    try:
        return open_seed(parts, start)
    except BaseException:
        storage.close()
        raise


def open_node(parts: "ServerParts", start: NodeStart) -> Storage:
    """Open the node's directory; if it has formed, write the marker beside the config."""
    joins = bool(start.join_at)
    storage = parts.open_directory(start.data, start.config, start.node, joins=joins)
    formation = storage.recovered().identity.formation
    if formation is not None:
        start.write_marker(formation)
    return storage


async def _serve_until_stopped(
    parts: "ServerParts", start: NodeStart, opened: Opened, timeout: float | None
) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_on_signal, stop)
        nursery.start_soon(_stop_after, timeout, stop)
        nursery.start_soon(renew_on_hangup, opened.renewals)
        await parts.serve(start, opened, stop)
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
    """The parts of the extra ``server``: opening a directory and a snapshot, and the node itself."""

    open_directory: Callable[..., Storage]
    open_seed: Callable[..., "Seed"]
    serve_node: Callable[..., Awaitable[None]]

    async def serve(
        self,
        start: NodeStart,
        opened: Opened,
        stop: trio.Event,
        started: Callable[[], None] = lambda: None,
        credentials: "Credentials | None" = None,
    ) -> None:
        """Run a node on its open directory until `stop` is set; closes the directory."""
        how = ServerStart(
            advertise=start.advertise,
            join_at=start.join_at,
            observes=start.observes,
            seed=opened.seed,
            audit=opened.audit,
            secret=start.secret,
            credentials=opened.credentials,
            admin=start.admin,
            on_formed=start.write_marker,
        )
        await self.serve_node(
            start.config, opened.storage, stop, how, listen_on=start.listen, started=started
        )


def server_parts() -> ServerParts:
    """Import what a node needs.

    Raises:
        MissingExtra: if the extra ``server`` is not installed.
    """
    try:
        from ...registry.server.serve import serve_node
        from ...storage.directory import open_directory
        from ...storage.snapshot.seed import SnapshotSeed
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name == "decreed":
            raise
        cause = MissingExtra(f"a node needs {name or 'a module'}, which is not installed")
        raise CommandFailed(cause, "serve", "pip install 'decreed[server]'") from error
    return ServerParts(open_directory, SnapshotSeed, serve_node)


def _document(start: NodeStart) -> dict[str, Any]:
    own = dict(start.config.addresses).get(start.node) or ",".join(start.listen)
    return {
        "node": start.node,
        "cluster_id": start.config.cluster_id,
        "listen": ",".join(start.listen or [own]),
        "advertise": start.advertise or own,
        "data": str(start.data),
    }
