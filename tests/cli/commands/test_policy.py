"""``policy apply``, ``show``, ``history``, ``diff``, ``test`` and ``example``."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from decreed.cli.policies.documents import example, laid_out
from decreed.client.requests.policies import PolicyOutcome, PolicyVersion, Progress
from decreed.registry.errors import OutcomeUnknown
from decreed.registry.policy.document import Token
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.series import claim_of
from decreed.registry.types import Decree, NodeId

from ..fakes import BALLOT, Cli

FIRST, SECOND = encode(example("alice")), encode(example("bob"))


def version(number: int, document: bytes, by: str = "alice@here") -> PolicyVersion:
    claim = claim_of(number - 1, document, by, b"%d" % number, f"note {number}")
    return PolicyVersion(number, Decree.of(claim, BALLOT, 0, "client/alice"))


class FakePolicies:
    """The policies of a cluster: what there is, and how applying one ends.

    Attributes:
        versions: those that are decided.
        applied: what was asked for.
        fails: raised instead of applying one.
        ends: changes the outcome.
    """

    def __init__(self) -> None:
        self.versions: list[PolicyVersion] = []
        self.applied: list[dict[str, Any]] = []
        self.fails: BaseException | None = None
        self.ends: dict[str, Any] = {}

    @contextmanager
    def open(self, call: Any) -> Generator["FakePolicies"]:
        yield self

    async def latest(self) -> PolicyVersion | None:
        return self.versions[-1] if self.versions else None

    async def version(self, number: int) -> PolicyVersion | None:
        return next((each for each in self.versions if each.number == number), None)

    async def history(self, *, limit: int | None) -> list[PolicyVersion]:
        return self.versions[-(limit or 0) :]

    async def apply(self, document: bytes, *, progress: Progress, **words: Any) -> PolicyOutcome:
        self.applied.append(words)
        if self.fails is not None:
            raise self.fails
        found = version(words["base"] + 1, document)
        facts: dict[str, Any] = {"won": True, "in_force": True, "missing": (), **self.ends}
        outcome = PolicyOutcome(found.number, found.decree, claim_id=b"id", **facts)
        waits = (NodeId("n3"),)
        progress(PolicyOutcome(found.number, found.decree, True, False, waits, b"id"))
        return outcome


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> FakePolicies:
    fake = FakePolicies()
    monkeypatch.setattr("decreed.cli.options.connection.policies_of", fake.open)
    return fake


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(laid_out(example("alice")))
    return path


def test_it_shows_what_changes_and_who_is_waited_for(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    result = cli("policy", "apply", str(file), "--note", "why")
    assert result.code == 0
    assert "policy 0 -> 1\n" in result.text and "policy 1 is in force\n" in result.text
    assert "+ client/alice gains read, claim, lock, break, admin on everything" in result.text
    assert "policy 1 is decided; waiting for n3" in result.err
    assert "warning: it is the first policy" in result.err
    [asked] = policies.applied
    assert (asked["base"], asked["note"]) == (0, "why")


def test_the_same_policy_is_waited_for_and_not_proposed_again(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    policies.versions = [version(1, SECOND), version(2, FIRST)]
    result = cli("policy", "apply", str(file))
    assert result.code == 0 and "policy 2 says the same" in result.text
    [asked] = policies.applied
    assert (asked["base"], asked["claim_id"], asked["note"]) == (1, b"2", "note 2")


def test_a_file_that_lacks_a_token_revokes_it_and_says_so(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    tokens = {"job": Token("0" * 64, 4_000_000_000_000), "old": Token("1" * 64, 1_000)}
    policies.versions = [version(1, encode(replace(example("alice"), tokens=tokens)))]
    result = cli("policy", "apply", str(file))
    assert result.code == 0 and "- token job" in result.text
    assert "warning: it revokes token/job; 'decreed policy show' prints the policy" in result.err


def test_a_dry_run_applies_nothing(cli: Cli, policies: FakePolicies, file: Path) -> None:
    policies.versions = [version(1, SECOND)]
    result = cli("policy", "apply", str(file), "--dry-run", "--json")
    assert result.code == 0 and policies.applied == []
    said = json.loads(result.text)
    assert (said["before"], said["number"], said["in_force"]) == (1, None, False)
    assert "- client/bob has role operators" in said["changes"]


def test_a_base_that_is_not_the_newest_is_refused(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    policies.versions = [version(1, SECOND)]
    result = cli("policy", "apply", str(file), "--base", "0")
    assert result.code == 7 and "policy 1 is the newest, and not 0" in result.err
    assert policies.applied == []


@pytest.mark.parametrize(
    ("ends", "code", "text"),
    [
        ({"won": False, "in_force": False}, 7, "it is alice@here's, and came first"),
        ({"in_force": False, "missing": (NodeId("n3"),)}, 6, "it is decided, and not sure"),
    ],
    ids=["another came first", "not in force in time"],
)
def test_how_it_may_end(
    cli: Cli, policies: FakePolicies, file: Path, ends: dict[str, Any], code: int, text: str
) -> None:
    policies.ends = ends
    result = cli("policy", "apply", str(file))
    assert result.code == code and text in result.err


def test_an_unknown_outcome_says_how_to_go_on(cli: Cli, policies: FakePolicies, file: Path) -> None:
    policies.fails = OutcomeUnknown("whether policy 0 is followed by this one is unknown")
    result = cli("policy", "apply", str(file))
    assert result.code == 6 and "again: it goes on, and proposes nothing twice" in result.err


def test_an_interrupt_says_how_far_it_has_come(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    policies.fails = KeyboardInterrupt()
    result = cli("policy", "apply", str(file))
    assert result.code == 130 and "whether it is decided is unknown" in result.err


def test_a_missing_file_and_a_wrong_one_say_what_to_do(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    missing = cli("policy", "apply", "nothing.json")
    assert missing.code == 2 and "decreed policy example --admin NAME > nothing.json" in missing.err
    file.write_text('{"format": 1, "members": {"client/a": ["ops"]}}')
    wrong = cli("policy", "apply", str(file))
    assert wrong.code == 2 and "there is no role 'ops'" in wrong.err
    assert policies.applied == []


def test_a_policy_that_is_shown_can_be_applied_again(
    cli: Cli, policies: FakePolicies, file: Path
) -> None:
    policies.versions = [version(1, FIRST), version(2, SECOND)]
    file.write_text(cli("policy", "show", "1").text)
    assert cli("policy", "diff", "1", str(file)).text == ""
    assert "+ client/alice has role operators" in cli("policy", "diff", str(file)).text
    assert "+ client/bob has role operators" in cli("policy", "diff", "1").text
    shown = json.loads(cli("policy", "show", "--json").text)
    assert (shown["number"], shown["identity"]) == (2, "client/alice")
    lines = cli("policy", "history", "--limit", "1").text.splitlines()
    assert len(lines) == 1 and lines[0].startswith("2 ") and "as client/alice  note 2" in lines[0]


def test_no_policy_and_no_such_policy_are_undecided(cli: Cli, policies: FakePolicies) -> None:
    result = cli("policy", "show")
    assert result.code == 4 and "there is no policy" in result.err
    assert cli("policy", "show", "7").code == 4


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("client/ci", "claim", "prod/app"), 0, "yes: client/ci has deployers"),
        (("client/ci", "claim", "product"), 10, "no: claim on product is not granted"),
        (("client/eve", "read", "prod"), 10, "client/eve has no role"),
        (("client/alice", "admin"), 0, "yes"),
        (("client/ci", "admin"), 10, "no: admin is not granted"),
    ],
    ids=str,
)
def test_a_right_is_tried_on_a_file(
    cli: Cli, file: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    result = cli("policy", "test", *words, "--policy", str(file))
    assert result.code == code and text in result.text


@pytest.mark.parametrize(
    "words", [("client/ci", "claim"), ("client/ci", "admin", "a"), ("ci", "read", "a")], ids=str
)
def test_what_cannot_be_tried_is_bad_usage(cli: Cli, file: Path, words: tuple[str, ...]) -> None:
    assert cli("policy", "test", *words, "--policy", str(file)).code == 2


def test_the_example_is_a_policy(cli: Cli, file: Path) -> None:
    file.write_text(cli("policy", "example", "--admin", "carol").text)
    assert cli("policy", "test", "client/carol", "admin", "--policy", str(file)).code == 0
    assert cli("policy", "example", "--admin", "not a name").code == 2
