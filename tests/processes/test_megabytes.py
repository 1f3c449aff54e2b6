"""Many large values at once, on real processes: all are frozen in time, and memory stays bounded."""

import os
from pathlib import Path

from decreed.client.requests.results import Claimed
from decreed.registry.config import MIB

from ..support.processes import Processes, running

COUNT = int(os.environ.get("DECREED_TEST_MEGABYTES", "60"))
TIMEOUT_S = 600.0
PEAK_MIB = 700


def peak_mib(cluster: Processes, node: str) -> int:
    """The most memory that a node's process has had."""
    status = Path(f"/proc/{cluster.running[node].pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def test_megabytes_at_once_are_all_won_and_no_node_needs_much_memory(tmp_path: Path) -> None:
    noise = os.urandom(MIB - 4)
    with running(tmp_path) as cluster:
        with cluster.client() as registry:
            items = [(f"big/{n}", n.to_bytes(4, "big") + noise) for n in range(COUNT)]
            results = registry.claim_many(items, timeout=TIMEOUT_S)
        assert [r for r in results if not (isinstance(r, Claimed) and r.won)] == []
        if Path("/proc/self/status").exists():
            assert max(peak_mib(cluster, node) for node in cluster.nodes) < PEAK_MIB
