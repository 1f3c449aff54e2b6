"""``claim`` and ``next``: exact bytes, outcomes, exit codes, and errors with unknown outcomes."""

import base64
from pathlib import Path

import pytest

from decreed.registry.errors import (
    Busy,
    ClaimIdReused,
    OutcomeUnknown,
    SeriesGap,
    Unreachable,
)

from ..fakes import BYTES, Cli, FakeRegistry


@pytest.mark.parametrize(
    ("arguments", "stdin", "value"),
    [
        (["v"], b"", b"v"),
        (["two words"], b"", b"two words"),
        ([""], b"", b""),
        (["-5"], b"", b"-5"),
        (["--", "-json"], b"", b"-json"),
        (["@@x"], b"", b"@x"),
        (["@@@x"], b"", b"@@x"),
        (["--literal", "-"], b"", b"-"),
        (["--literal", "@@x"], b"", b"@@x"),
        (["-"], b"in\n", b"in\n"),
        (["-"], b"\x00\xff\r\n", b"\x00\xff\r\n"),
        (["grüße"], b"", "grüße".encode()),
        (["\udcff"], b"", b"\xff"),
    ],
)
def test_the_value_is_frozen_byte_for_byte(
    cli: Cli, registry: FakeRegistry, arguments: list[str], stdin: bytes, value: bytes
) -> None:
    assert cli("claim", "k", *arguments, stdin=stdin).code == 0
    assert registry.decrees["k"].value == value
    assert cli("get", "k", "--raw").out == value


def test_a_file_is_frozen_byte_for_byte(cli: Cli, registry: FakeRegistry, tmp_path: Path) -> None:
    data = bytes(range(256)) + b"\n"
    (tmp_path / "f").write_bytes(data)
    assert cli("claim", "k", f"@{tmp_path / 'f'}").code == 0
    assert (registry.decrees["k"].value, registry.decrees["k"].content_type) == (data, BYTES)


def test_a_file_that_is_not_there_is_bad_input(cli: Cli, registry: FakeRegistry) -> None:
    result = cli("claim", "k", "@/no/such/file")
    assert result.code == 2
    assert result.err.startswith("decreed: /no/such/file: No such file or directory; ")
    assert registry.calls == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["claim", "k", "-5", "--json"],
        ["claim", "--json", "k", "-5"],
        ["claim", "--json", "--", "k", "-5"],
        ["next", "k", "-5", "--json"],
    ],
)
def test_a_value_may_start_with_a_minus_sign(
    cli: Cli, registry: FakeRegistry, arguments: list[str]
) -> None:
    result = cli(*arguments)
    assert result.code == 0
    assert result.json["decree"]["value"] == "-5"


def test_what_looks_like_a_mistyped_option_is_never_frozen(
    cli: Cli, registry: FakeRegistry
) -> None:
    result = cli("claim", "k", "--exclusiv")
    assert (result.code, registry.calls) == (2, [])
    assert "has no option --exclusiv" in result.err
    assert cli("claim", "--", "k", "--exclusiv").code == 0
    assert registry.decrees["k"].value == b"--exclusiv"


def test_a_won_claim(cli: Cli, registry: FakeRegistry) -> None:
    result = cli("claim", "k", "v", "--note", "why", "--claimant", "me", "--claim-id", "id 1")
    assert (result.code, result.text, result.err) == (0, "won   k = v\n", "")
    name, call = registry.calls[0]
    assert name == "claim"
    assert (call["claim_id"], call["note"], call["claimant"]) == (b"id 1", "why", "me")
    assert call["content_type"] is None


def test_each_claim_has_an_id_of_its_own(cli: Cli, registry: FakeRegistry) -> None:
    cli("claim", "k", "v")
    cli("claim", "l", "v")
    ids = {call["claim_id"] for _, call in registry.calls}
    assert len(ids) == 2
    assert all(len(each) == 32 for each in ids)


def test_a_lost_claim_exits_with_3_and_prints_the_winners_value(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.freeze("k", "winner")
    result = cli("claim", "k", "late")
    assert result.code == 3
    assert result.text.startswith("lost  k = winner  (claimed by bob@there, 2026-01-01T00:00:00")
    assert cli("claim", "k", "late", "--raw").out == b"winner"


def test_the_same_value_exits_with_0_unless_exclusive(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "v")
    assert cli("claim", "k", "v").code == 0
    assert cli("claim", "k", "v", "--exclusive").code == 3
    assert cli("claim", "k2", "v", "--exclusive").code == 0


def test_a_claim_as_json(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "winner")
    result = cli("claim", "k", "late", "--claim-id", "mine", "--json")
    assert result.code == 3
    assert result.json == {
        "outcome": "lost",
        "claim_id": "mine",
        "decree": {
            "key": "k",
            "value": "winner",
            "content_type": "text/plain; charset=utf-8",
            "claimant": "bob@there",
            "identity": "",
            "claim_id": "other",
            "note": "",
            "time": "2026-01-01T00:00:00.000+00:00",
            "ballot": "1.n1#2",
        },
    }


def test_bytes_that_are_not_text_are_base64_in_json(cli: Cli, registry: FakeRegistry) -> None:
    document = cli("claim", "k", "-", "--json", stdin=b"\xff\x00").json["decree"]
    assert "value" not in document
    assert base64.b64decode(document["value_base64"]) == b"\xff\x00"


@pytest.mark.parametrize("key", ["a//b", "/a", "", "a b", "..", "a@0", "k" * 513])
def test_a_bad_key_is_bad_input(cli: Cli, registry: FakeRegistry, key: str) -> None:
    result = cli("claim", key, "v")
    assert (result.code, registry.calls) == (2, [])
    assert result.err.count("\n") == 1


def test_empty_arguments_are_reported(cli: Cli, registry: FakeRegistry) -> None:
    said = "decreed: '' is no key: it is empty; see 'decreed claim --help'\n"
    assert cli("claim", "", "v").err == said
    for words in (("claim", "k", "@"), ("lock", "run", "n", "--", "")):
        assert cli(*words).err.startswith("decreed: '': ")


def test_an_unknown_outcome_names_the_claim_id_to_repeat_with(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.failures = [OutcomeUnknown("time ran out")]
    result = cli("claim", "k", "v", "--claim-id", "abc")
    assert result.code == 6
    assert result.err == (
        "decreed: k: time ran out; it may be chosen; ask again with --claim-id abc\n"
    )


def test_the_claim_id_is_named_only_once(cli: Cli, registry: FakeRegistry) -> None:
    unknown = OutcomeUnknown("ask again with the claim id abc (the connection broke)")
    unknown.__cause__ = Unreachable("the connection broke")
    registry.failures = [unknown]
    result = cli("claim", "k", "v", "--claim-id", "abc")
    assert result.err == (
        "decreed: k: the connection broke; it may be chosen; ask again with --claim-id abc\n"
    )


def test_an_unknown_outcome_names_a_generated_claim_id(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [OutcomeUnknown("time ran out")]
    error = cli("claim", "k", "v", "--json").error
    assert error["claim_id"].encode() == registry.calls[0][1]["claim_id"]
    assert (error["kind"], error["definite"], error["exit_code"]) == ("OutcomeUnknown", False, 6)


def test_an_interrupted_claim_names_its_id(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [KeyboardInterrupt()]
    result = cli("claim", "k", "v", "--claim-id", "abc")
    assert result.code == 130
    assert "interrupted; it may be chosen; ask again with --claim-id abc" in result.err


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unreachable("x"), 5), (Busy("x"), 7), (ClaimIdReused("x"), 2), (SeriesGap("x"), 2)],
)
def test_each_error_has_its_exit_code(
    cli: Cli, registry: FakeRegistry, error: Exception, code: int
) -> None:
    registry.failures = [error]
    result = cli("claim", "k", "v")
    assert (result.code, result.out) == (code, b"")
    assert result.err.startswith("decreed: k: x")


@pytest.mark.parametrize("claim_id", ["", "x" * 65])
def test_a_claim_id_is_bounded(cli: Cli, registry: FakeRegistry, claim_id: str) -> None:
    refused = cli("claim", "k", "v", "--claim-id", claim_id)
    assert refused.code == 2
    assert "has 1 to 64 bytes" in refused.err and "give one of such a length" in refused.err
    assert registry.calls == []


def test_next_says_which_slot_it_froze(cli: Cli, registry: FakeRegistry) -> None:
    assert cli("next", "s", "a").text == "won   s@1 = a\n"
    document = cli("next", "s", "b", "--json").json
    assert (document["decree"]["series"], document["decree"]["slot"]) == ("s", 2)


def test_next_refuses_a_slot(cli: Cli, registry: FakeRegistry) -> None:
    refused = cli("next", "s@1", "a")
    assert refused.code == 2 and "it has a slot, and none belongs there" in refused.err
    assert registry.calls == []


def test_next_repeated_with_its_id_searches_the_slots_before(
    cli: Cli, registry: FakeRegistry
) -> None:
    for arguments in ([], ["--claim-id", "a"], ["--claim-id", "a", "--first-slot", "7"]):
        cli("next", "s", "v", *arguments)
    assert [call["first_slot"] for _, call in registry.calls] == [None, 1, 7]


def test_empty_input_is_refused_as_a_value(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    """The program before a pipe may have failed, and an empty value would be frozen permanently."""
    (tmp_path / "empty").write_bytes(b"")
    for words, source in (("-", "standard input"), (f"@{tmp_path / 'empty'}", "empty")):
        refused = cli("claim", "k", words, stdin=b"")
        assert (refused.code, registry.calls) == (2, [])
        assert source in refused.err and "it is empty, so nothing was frozen" in refused.err
        assert "to freeze an empty value write ''" in refused.err


SECRET = "hunter2"


@pytest.mark.parametrize(
    "words",
    [
        ["claim", "k", "my", SECRET],
        ["claim", "no key", SECRET],
        ["claim", "k", SECRET, "--bogus"],
        ["claim", "k", SECRET, "--timeout", "never"],
        ["claim", "k", SECRET, "--content-type", "x" * 1_000],
        ["next", "s", "my", SECRET],
        ["next", "s@1", SECRET],
    ],
)
def test_no_error_of_a_claim_tells_its_value(
    cli: Cli, registry: FakeRegistry, words: list[str]
) -> None:
    for more in ([], ["--json"]):
        done = cli(*words, *more)
        assert done.code != 0 and SECRET not in done.text + done.err, done.err


@pytest.mark.parametrize("stdin", [True, False])
def test_a_failure_and_its_traceback_tell_no_value(
    cli: Cli,
    registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stdin: bool,
) -> None:
    (tmp_path / "value").write_text(SECRET)
    value = "-" if stdin else f"@{tmp_path / 'value'}"
    monkeypatch.setenv("DECREED_DEBUG", "1")
    for error in (RuntimeError("broken"), Unreachable("nobody"), OutcomeUnknown("late")):
        registry.failures = [error]
        done = cli("claim", "k", value, "--note", SECRET, stdin=SECRET.encode())
        assert done.code != 0 and SECRET not in done.text + done.err, done.err
        assert ("Traceback" in done.err) is isinstance(error, RuntimeError)
