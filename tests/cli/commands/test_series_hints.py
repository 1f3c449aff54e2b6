"""A key and a series of the same name: where one is missed, the other is named."""

import pytest

from decreed.registry.errors import SeriesGap, Unreachable

from ..fakes import Cli, FakeRegistry


@pytest.fixture
def deploys(registry: FakeRegistry) -> FakeRegistry:
    """A registry with a series of two slots."""
    for slot in (1, 2):
        registry.freeze(f"deploys@{slot}", f"v{slot}")
    return registry


def test_get_of_a_series_names_its_newest_slot(cli: Cli, deploys: FakeRegistry) -> None:
    result = cli("get", "deploys")
    assert (result.code, result.out) == (4, b"")
    assert result.err == (
        "decreed: deploys: undecided: nobody has frozen it; it is a series, whose newest slot is "
        "deploys@2: 'decreed latest deploys' reads it\n"
    )
    assert "decreed latest deploys" in cli("get", "deploys", "--json").error["way_out"]


def test_get_of_a_future_slot_names_the_newest(cli: Cli, deploys: FakeRegistry) -> None:
    result = cli("get", "deploys@9")
    assert result.code == 4
    assert "the newest slot of the series is deploys@2: 'decreed latest deploys'" in result.err


def test_latest_of_a_key_names_the_command_that_reads_it(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("region", "eu")
    result = cli("latest", "region")
    assert result.code == 4
    assert "the key of that name is frozen: 'decreed get region' reads it" in result.err
    assert "freeze the first with 'decreed next'" in cli("latest", "nothing").err


def test_a_hint_that_fails_is_left_out(cli: Cli, registry: FakeRegistry) -> None:
    for words in (["get", "k"], ["latest", "k"]):
        registry.failures = [None, Unreachable("no quorum")]
        result = cli(*words)
        assert result.code == 4 and "no quorum" not in result.err
    # a name that is a key, and too long for a series
    assert cli("get", "k" * 510).code == 4


def test_a_frozen_key_takes_one_request(cli: Cli, deploys: FakeRegistry) -> None:
    cli("get", "deploys@1")
    cli("latest", "deploys")
    assert [name for name, _ in deploys.calls] == ["get", "latest"]


@pytest.mark.parametrize(("series", "free"), [("deploys", 3), ("new/series", 1)])
def test_a_slot_claimed_too_far_ahead_names_the_one_that_is_free(
    cli: Cli, deploys: FakeRegistry, series: str, free: int
) -> None:
    deploys.failures = [SeriesGap("it would leave a gap")]
    result = cli("claim", f"{series}@9", "v")
    assert result.code == 2
    assert result.err == (
        f"decreed: {series}@9: it would leave a gap; the next free slot is {series}@{free}: "
        f"'decreed next {series} VALUE' freezes it\n"
    )


def test_without_an_answer_the_general_hint_is_given(cli: Cli, deploys: FakeRegistry) -> None:
    deploys.failures = [SeriesGap("it would leave a gap"), Unreachable("no quorum")]
    result = cli("claim", "deploys@9", "v")
    assert result.err.endswith("; claim that slot first, or use 'decreed next'\n")
