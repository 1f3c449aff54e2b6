"""What the formula says of a load of claims that was seen, for the cluster that made them.

The processor time of a claim at its nodes is not known to a client. It is taken from the machine of
docs/performance.md, and scaled by how fast Python runs here; the nodes are taken to be like this
machine, or to share it if all their addresses are its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...registry.addresses import is_loopback, split_address
from .disk import DiskReport
from .figures import Figures
from .formula import Conditions, claims_per_s, reference_cpu_us
from .processor import slowness, usable_cores


@dataclass(frozen=True)
class Expectation:
    """What was predicted for a load, and what was seen.

    Args:
        at: the conditions of the prediction.
        shared: whether the nodes share this machine with each other and with the client.
        seen_per_s: claims a second that were seen.
    """

    at: Conditions
    shared: bool
    seen_per_s: float

    @property
    def predicted_per_s(self) -> float:
        """Claims a second that the formula says."""
        return claims_per_s(self.at)


@dataclass(frozen=True)
class Here:
    """This machine.

    Args:
        cores: how many can be used.
        slowness: how many times as long Python takes as on the machine of docs/performance.md.
    """

    cores: int
    slowness: float

    @classmethod
    def measured(cls) -> "Here":
        """As it is found."""
        return cls(usable_cores(), slowness())


def expected(
    claims: Figures, disk: DiskReport, addresses: Sequence[str], here: Here, outstanding: int
) -> Expectation | None:
    """What was to be expected of claims that were seen; None if none was, or no node is known.

    Args:
        claims: the figures of the load.
        disk: the disk of this machine.
        addresses: of the nodes.
        here: this machine.
        outstanding: claims in flight.
    """
    count, sync = claims.latencies.count, disk.syncs.percentile(50)
    if not (count and addresses and sync):
        return None
    shared = all(is_loopback(split_address(address)[0]) for address in addresses)
    client_us = claims.cpu_seconds / count * 1e6
    node_us = reference_cpu_us(outstanding) * here.slowness
    at = Conditions(
        nodes=len(addresses),
        cores=here.cores if shared else here.cores * len(addresses),
        sync_ms=sync * 1e3,
        cpu_us=node_us + client_us if shared else node_us,
        outstanding=outstanding,
        client_us=client_us,
    )
    return Expectation(at, shared, claims.rate)
