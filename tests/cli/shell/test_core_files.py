"""A process that holds keys leaves no core file."""

import resource
from collections.abc import Iterator

import pytest

from decreed.cli.shell.core_files import write_no_core_file

from ..fakes import Cli


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    """The limits of this process, as they are before and after a test."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("no core files are allowed here")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield before
    resource.setrlimit(resource.RLIMIT_CORE, before)


def test_none_is_left_and_others_may_allow_them_again(limits: tuple[int, int]) -> None:
    write_no_core_file()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, limits[1])


def test_a_fault_of_a_library_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECREED_DEBUG", "1")
    before = resource.getrlimit(resource.RLIMIT_CORE)
    write_no_core_file()
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


def test_the_ca_leaves_none(cli: Cli) -> None:
    assert cli("ca", "show", "none").code == 2
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
