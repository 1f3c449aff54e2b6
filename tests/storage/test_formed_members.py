"""The members of epoch 0 are those with which a directory was made, whatever the file says (M19)."""

import random

import pytest

from decreed.registry.config import ClusterConfig, parse_config
from decreed.registry.disk import FormationRecord, Recovered
from decreed.registry.errors import IdentityRefused
from decreed.registry.formed import has_other_members, other_members, own_config, places_to_look
from decreed.registry.types import NodeId
from decreed.storage.memory import MemoryDisk, open_memory

N1 = NodeId("n1")


def file_of(*names: str, **quorums: int) -> ClusterConfig:
    members = {name: f"{name}.example:7400" for name in names}
    return parse_config({"cluster_id": "c", "members": members, "quorums": quorums})


def opened(disk: MemoryDisk, config: ClusterConfig, *, forms: bool = False) -> Recovered:
    """What a node finds when it starts, and whether it forms then."""
    storage = open_memory(disk, config, N1, random.Random(1).randbytes)
    if forms:
        storage.write([FormationRecord(b"f" * 16)], sync=True)
    disk.holder = None
    return storage.recovered()


def formed() -> MemoryDisk:
    disk = MemoryDisk("n1")
    opened(disk, file_of("n1", "n2", "n3", prepare=1, accept=3), forms=True)
    return disk


@pytest.mark.parametrize("later", [("n1", "n4", "n5"), ("n1",), ("n4", "n5", "n6")])
def test_M19_a_formed_directory_keeps_its_members_when_the_file_has_others(
    later: tuple[str, ...],
) -> None:
    disk, file = formed(), file_of(*later)
    for _ in range(2):
        found = opened(disk, file)
        assert has_other_members(file, found)
        config = own_config(file, found)
        assert config.nodes == config.quorums.members == ("n1", "n2", "n3")
        assert (config.quorums.prepare, config.quorums.accept) == (1, 3)
        assert config.digest() == found.identity.digest


def test_M19_the_file_gives_addresses_and_places_to_look_at() -> None:
    disk, file = formed(), file_of("n1", "n2", "n4")
    moved = parse_config(
        {
            "cluster_id": "c",
            "members": {"n1": "n1.example:7400", "n2": "moved:1", "n4": "n4.example:7400"},
        }
    )
    found = opened(disk, file)
    assert dict(own_config(moved, found).addresses)[NodeId("n2")] == "moved:1"
    assert dict(own_config(moved, found).addresses)[NodeId("n3")] == "n3.example:7400"
    assert places_to_look(moved, found) == ("n4.example:7400",)
    said = other_members(file, found.identity)
    assert "formed with n1 n2 n3 (prepare 1, accept 3), and the file names n1 n2 n4" in said


def test_R07_a_directory_that_has_not_formed_takes_no_other_members() -> None:
    disk = MemoryDisk("n1")
    opened(disk, file_of("n1", "n2", "n3"))
    with pytest.raises(IdentityRefused, match="other members or quorum sizes"):
        opened(disk, file_of("n1", "n4", "n5"))
    assert not has_other_members(file_of("n1", "n2", "n3"), opened(disk, file_of("n1", "n2", "n3")))
