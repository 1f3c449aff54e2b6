"""The tables of the pages agree with the code: errors, settings, limits, commands, names."""

import ast
import json
import re
from pathlib import Path

import msgspec
import pytest

from decreed.cli.table import COMMANDS as ALL_COMMANDS
from decreed.registry import config, keys, types
from decreed.registry.errors import ERRORS, DecreedError, Exit, error_from_wire
from decreed.registry.wire.requests import MAX_TIMEOUT_MS

from .pages import PAGES, ROOT, blocks, quoted, rows

README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
CORRECTNESS = ROOT / "docs" / "correctness.md"
PROTOCOL = ROOT / "docs" / "protocol.md"
OPERATIONS = ROOT / "docs" / "operations.md"
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt "
# a normal install has types (tests/test_typing.py); checkers see no types in an editable install
COMMANDS = (f"{SET_UP}'.[server]' && .venv/bin/decreed dev --demo",
            f"{SET_UP}-e '.[server,dev]' && .venv/bin/pytest")  # fmt: skip


def test_the_two_commands_are_those_that_are_tested_in_a_clean_environment() -> None:
    assert [block.text.strip() for block in blocks(README, "sh")] == list(COMMANDS)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [pattern] = re.findall(r"grep -E '(.*)' README.md", script)
    text = README.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if re.search(pattern, line)] == [COMMANDS[1]]


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {int(code): quoted(errors) for code, _, errors in rows(README, "exit code")}
    expected: dict[int, list[str]] = {int(code): [] for code in Exit}
    for error in ERRORS.values():
        expected[int(error.exit_code)].append(error.__name__)
    assert listed == expected


def test_only_one_named_error_is_indefinite_as_the_readme_says() -> None:
    named = [error for error in ERRORS.values() if error is not DecreedError]
    assert [error.__name__ for error in named if not error.definite] == ["OutcomeUnknown"]
    text = " ".join(README.read_text(encoding="utf-8").split())
    assert "Only `OutcomeUnknown` is indefinite" in text


def test_an_unknown_error_is_indefinite_in_the_code_and_on_the_page() -> None:
    for code in (0, 999):
        assert not error_from_wire(code, "something").definite
    text = " ".join(PROTOCOL.read_text(encoding="utf-8").split())
    assert "Code 0, an error that nobody foresaw, is indefinite, and so is every code" in text


def test_the_errors_on_the_wire_are_those_of_the_table() -> None:
    expected = [
        [str(code), f"`{e.__name__}`", "yes" if e.definite else "no", str(int(e.exit_code))]
        for code, e in ERRORS.items()
    ]
    assert rows(PROTOCOL, "code") == expected


def test_every_setting_is_documented_with_its_default() -> None:
    listed = {quoted(name)[0]: default for name, default, _ in rows(OPERATIONS, "setting")}
    expected = {"cluster_id": "made by `init`", "members": "required", "insecure": "false"}
    for section, kind in (
        ("quorums", config.QuorumSizes),
        ("limits", config.Limits),
        ("timing", config.Timing),
        ("locks", config.LockTerms),
        ("scrub", config.ScrubPace),
        ("audit", config.AuditTerms),
        ("policy", config.PolicyTerms),
        ("disk", config.DiskMarks),
        ("admin", config.AdminTerms),
        ("tls", config.TlsSection),
    ):
        for field in msgspec.structs.fields(kind):
            expected[f"{section}.{field.name}"] = json.dumps(field.default)
    assert listed == expected


def test_the_limits_are_those_of_the_code() -> None:
    limits = {what: text for what, text in rows(README, "what")}
    sizes = [int(size) for size in re.findall(r"\d", limits["members of a cluster"])]
    assert sizes == list(config.CLUSTER_SIZES)
    assert limits["key"].startswith(f"{types.MAX_KEY_BYTES} bytes")
    largest = 16 * config.MIB
    assert limits["value"] == (
        f"{config.Limits().max_value_bytes} bytes; `max_value_bytes` allows up to {largest}"
    )
    msgspec.convert({"max_value_bytes": largest}, config.Limits)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"max_value_bytes": largest + 1}, config.Limits)
    assert limits["slot of a series"] == f"1 to {keys.MAX_SLOT}"
    bounds = (types.MAX_NOTE_CHARS, types.MAX_CLAIMANT_CHARS, types.MAX_CONTENT_TYPE_CHARS)
    assert [int(n) for n in re.findall(r"\d+", limits["note, claimant, content type"])] == [*bounds]
    assert limits["claim id"] == f"{types.MAX_CLAIM_ID_BYTES} bytes"
    assert limits["timeout of one request"] == f"{MAX_TIMEOUT_MS // 1000} seconds"


def test_every_command_is_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for command in ALL_COMMANDS:
        assert f"decreed {command.name}" in text, command.name


def test_every_option_of_the_server_is_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    options = ["--config", "--node", "--data", "--listen", "--log", "--log-level"]
    for option in [*options, "--new-formation", "--prepare-quorum", "--accept-quorum"]:
        assert option in text, option


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page: `Why not Redlock?` is `why-not-redlock`."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def names(path: Path) -> set[str]:
    """The functions and classes of a file."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree if isinstance(node, kinds)}


@pytest.mark.parametrize("page", [ARCHITECTURE, CORRECTNESS], ids=lambda page: page.name)
def test_every_name_in_a_page_on_the_code_is_in_the_code(page: Path) -> None:
    for text in quoted(page.read_text(encoding="utf-8")):
        path, colon, name = text.partition(":")
        if path.endswith(".py") and "/" in path:
            assert (ROOT / path).exists(), text
            assert not colon or name in names(ROOT / path), text


@pytest.mark.parametrize("page", [ARCHITECTURE, CORRECTNESS], ids=lambda page: page.name)
def test_every_test_in_a_page_on_the_code_exists(page: Path) -> None:
    found = {name for path in (ROOT / "tests").rglob("test_*.py") for name in names(path)}
    tests = [t for t in quoted(page.read_text(encoding="utf-8")) if t.startswith("test_")]
    assert [test for test in tests if test not in found] == []


def test_no_rule_is_left_out() -> None:
    table = rows(CORRECTNESS, "rule")
    assert [row[0] for row in table] == [f"R{number:02}" for number in range(1, 23)]
    for rule, _, kept, held in table:
        assert quoted(kept), rule
        assert any(rule in test for test in quoted(held)), rule
