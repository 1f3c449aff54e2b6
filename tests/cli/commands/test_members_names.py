"""The names of nodes in commands that change members."""

import pytest

from ..fakes import Cli, FakeRegistry


@pytest.mark.parametrize(
    "words",
    [("replace", "n2", ""), ("replace", ""), ("add", "n4", ""), ("remove", "n 2"), ("add", "n4 ")],
    ids=" ".join,
)
def test_a_name_that_no_node_can_have_changes_nothing(
    cli: Cli, registry: FakeRegistry, words: tuple[str, ...]
) -> None:
    """An empty variable in a script would replace n2 by itself otherwise."""
    result = cli("member", *words)
    assert result.code == 2 and "names no node" in result.err
    assert not registry.members.proposed
