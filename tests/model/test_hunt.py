"""Hunts without a seeded mistake; `tests/catalogue` runs them with one."""

from .hunt import hunt, hunt_for_two_decrees


def test_without_a_mistake_nothing_is_caught() -> None:
    assert not hunt(100_000).properties
    assert not hunt_for_two_decrees(100_000).properties


def test_a_hunt_ends_at_its_bound() -> None:
    catch = hunt(50)
    assert not catch.properties
    assert catch.states < 100
