"""A cluster that starts with many keys: they come from a snapshot that is made up."""

from pathlib import Path

from bench.systems.prefilled import write_snapshot
from decreed.storage.snapshot.chain import SnapshotChain

KEYS = 2_345


def test_a_made_up_snapshot_is_whole_and_has_each_key_once_with_a_value_of_its_size(
    tmp_path: Path,
) -> None:
    path = tmp_path / "filled.snapshot"
    write_snapshot(path, KEYS, 100)
    with SnapshotChain([path]) as chain:
        decrees = list(chain.decrees())
        assert chain.contents.decrees == KEYS
    assert len({decree.key for decree in decrees}) == KEYS
    assert len({decree.claim_id for decree in decrees}) == KEYS
    assert {len(decree.value) for decree in decrees} == {100}
