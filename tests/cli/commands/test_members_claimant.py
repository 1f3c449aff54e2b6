"""In whose name members are changed."""

import pytest

from ..fakes import Cli, FakeRegistry
from .test_members import report, seat
from .test_members_change import CLEAR, GUEST, NAMES, changed, decided, wanted


@pytest.fixture(autouse=True)
def three_and_two_that_follow(registry: FakeRegistry) -> None:
    guests = [seat("n4", **GUEST), seat("n5", **GUEST)]
    registry.members.reports = [report(*map(seat, NAMES), *guests)]


@pytest.mark.parametrize(
    "words",
    [
        "member remove n2 n3 --claimant ann",
        "--claimant ann member remove n2 n3",
        "member replace n3 n4 --claimant ann",
        "member promote n4 --for n3 --claimant ann",
        "member add n4 n5 --claimant ann",
        "member quorums --prepare 1 --accept 3 --claimant ann",
    ],
)
def test_a_change_is_proposed_in_the_name_of_its_claimant(
    cli: Cli, registry: FakeRegistry, words: str
) -> None:
    registry.members.answers = [CLEAR, decided("n1")]
    cli(*words.split())
    assert wanted(registry).claimant == "ann"


def test_the_claimant_of_the_environment_counts_too(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECREED_CLAIMANT", "deploy")
    registry.members.answers = [CLEAR, decided("n1")]
    registry.members.reports.append(changed("n1", left="n2 n3"))
    assert cli("member", "remove", "n2", "n3").code == 0
    assert wanted(registry).claimant == "deploy"
