"""A change of members that is interrupted says how far it has come."""

import pytest

from ..fakes import Cli, FakeRegistry
from .test_members_change import CLEAR, expect, three_and_two_that_follow

__all__ = ["three_and_two_that_follow"]


@pytest.mark.parametrize(
    ("in_doubt", "said"),
    [(False, "interrupted; nothing was proposed"), (True, "whether it is decided is unknown; see")],
)
def test_an_interrupt_says_how_far_it_has_come(
    cli: Cli, registry: FakeRegistry, in_doubt: bool, said: str
) -> None:
    registry.members.answers = [CLEAR, KeyboardInterrupt()]
    registry.members.in_doubt = in_doubt
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 130 and said in result.err


def test_an_interrupt_after_the_decision_says_so(cli: Cli, registry: FakeRegistry) -> None:
    expect(registry, "n1", "n3", "n4")
    registry.members.reports[-1] = KeyboardInterrupt()
    result = cli("member", "replace", "n2", "n4")
    assert result.code == 130
    assert "it is decided, and goes on without this command; see how it went with" in result.err
