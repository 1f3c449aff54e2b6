"""A cluster of real servers whose members change: nodes that join, and proposals of changes."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from decreed.registry.addresses import split_address
from decreed.registry.config import ClusterConfig
from decreed.registry.formed import places_to_look
from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.events import FromClient
from decreed.registry.server.listening import open_listeners
from decreed.registry.server.serve import Server
from decreed.registry.server.start import ServerStart
from decreed.registry.types import NodeId
from decreed.registry.wire.members import ChangeRequest, Voter
from decreed.storage.memory import MemoryDisk, open_memory

from .live import PATIENCE_S, SECRET, Cluster, RawClient


@dataclass
class ChangingCluster(Cluster):
    """Servers, each at an address and with a config of its own.

    Attributes:
        places: where a node listens, if not at its address in the config.
        configs: the config of a node, if not that of the cluster.
        told: the address that a node tells others, if not the one where it listens.
        servers: those that run.
        proposed: how many changes were proposed.
    """

    places: dict[NodeId, str] = field(default_factory=dict[NodeId, str])
    configs: dict[NodeId, ClusterConfig] = field(default_factory=dict[NodeId, ClusterConfig])
    told: dict[NodeId, str] = field(default_factory=dict[NodeId, str])
    servers: dict[NodeId, Server] = field(default_factory=dict[NodeId, Server])
    proposed: int = 0

    async def raw(self, node: str) -> RawClient:
        """A raw connection to a node, where it listens."""
        place = self.places.get(NodeId(node)) or dict(self.config.addresses)[NodeId(node)]
        self.streams.append(await trio.open_tcp_stream(*split_address(place)))
        return RawClient(self.streams[-1])

    async def join(self, node: str, *join_at: str, observes: bool = False) -> None:
        """Start a node on an empty disk, which joins by one of these addresses."""
        self.disks[NodeId(node)] = MemoryDisk(node)
        await self.nursery.start(self._serve, NodeId(node), True, join_at, observes)

    async def start(self, node: NodeId) -> None:
        """Start a node on its disk and wait until it listens."""
        self.disks.setdefault(node, MemoryDisk(node))
        await self.nursery.start(self._serve, node, False, ())

    async def stop(self, node: str) -> None:
        """Stop a node, and wait until it listens no more."""
        self.kill(NodeId(node))
        del self.servers[NodeId(node)]
        await trio.testing.wait_all_tasks_blocked()

    async def _serve(
        self,
        node: NodeId,
        joins: bool,
        join_at: Sequence[str],
        observes: bool = False,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        config, disk = self.configs.get(node, self.config), self.disks[node]
        disk.holder = None
        storage = open_memory(disk, config, node, os.urandom, joins=joins)
        place = self.places.get(node) or dict(config.addresses)[node]
        with trio.CancelScope() as self.scopes[node]:
            listeners = await open_listeners([place])
            told = self.told.get(node, place)
            join_at = (*join_at, *places_to_look(config, storage.recovered()))
            how = ServerStart(told, join_at, observes, secret=SECRET)
            server = Server(config, storage, how)
            self.servers[node] = server
            await server.run(listeners, trio.Event(), task_status.started)

    def propose(self, at: str, *names: str) -> None:
        """Propose at a node that these are the voters of the epoch after the one that it knows.

        The disk of one that is down is the one that this node remembers. A node that answers late is
        taken for down, and the change is refused then: so it is proposed until it is decided.
        """
        server = self.servers[NodeId(at)]
        nodes = tuple(sorted(map(NodeId, names)))
        voters = tuple(self._voter(server._replica, node) for node in nodes)
        self.nursery.start_soon(self._propose, server, voters, os.urandom(8))

    async def _propose(self, server: Server, voters: tuple[Voter, ...], claim_id: bytes) -> None:
        node = server._replica.node
        base, majority = node.epoch.number, len(voters) // 2 + 1
        while node.epoch.number == base and server in self.servers.values():
            self.proposed += 1
            what = (self.proposed, 60_000, base, voters, majority, majority)
            request = ChangeRequest(*what, "operator", claim_id, "", True)
            server.loop.post(FromClient(1_000_000, (request,)))
            await trio.sleep(1)

    def _voter(self, proposer: Replica, node: NodeId) -> Voter:
        disk_id = self._disk_of(node) or proposer.membership.disk_of(node)
        assert disk_id is not None, f"{proposer.node.name} has never met {node}"
        return Voter(node, disk_id, self.places.get(node) or dict(self.config.addresses)[node])

    def _disk_of(self, node: NodeId) -> bytes | None:
        server = self.servers.get(node)
        return server._replica.node.identity.disk_id if server is not None else None

    async def voting(self, *names: str) -> None:
        """Wait until these nodes vote in one epoch, and see each other."""
        await self.ready(names)

    async def until_links(self, node: str, *names: str) -> None:
        """Wait until a node keeps links to these nodes alone."""
        links = self.servers[NodeId(node)]._links
        while links._outbound_links.keys() != set(names):
            await trio.sleep(0.01)


@asynccontextmanager
async def changing_cluster(
    config: ClusterConfig, places: dict[str, str]
) -> AsyncIterator[ChangingCluster]:
    """A cluster that votes, and addresses at which further nodes may listen."""
    async with trio.open_nursery() as nursery:
        cluster = ChangingCluster(config, nursery)
        cluster.places.update((NodeId(node), place) for node, place in places.items())
        try:
            with trio.fail_after(PATIENCE_S):
                for node in config.nodes:
                    await cluster.start(node)
                await cluster.ready(config.nodes)
                yield cluster
        finally:
            for stream in cluster.streams:
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
