"""The checks of `import` before it freezes anything, and its options about names."""

import json
from pathlib import Path
from typing import Any

import pytest

from decreed.cli.importing import tally
from decreed.registry.errors import Unreachable

from ..fakes import Cli, FakeRegistry

ODD = '{"$schema": "x", "": 1, "a b": 2, "@scope": {"pkg": 3}, "c": 4}'


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """A settings file with names that are no keys."""
    path = tmp_path / "odd.json"
    path.write_text(ODD)
    return str(path)


def nothing_was_frozen(registry: FakeRegistry) -> bool:
    claims = [name for name, _ in registry.calls if name.startswith("claim")]
    return (claims, registry.decrees) == ([], {})


def test_all_bad_names_are_listed_and_nothing_is_frozen(
    cli: Cli, registry: FakeRegistry, odd: str
) -> None:
    result = cli("import", odd, "p")
    assert (result.code, registry.connections) == (2, [])
    *lines, summary = result.text.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "failed  p/", "failed  p/$schema", "failed  p/@scope/pkg", "failed  p/a b",
    ]  # fmt: skip
    assert summary == "0 frozen, 0 same, 0 lost, 4 failed, 1 unsettled"
    assert result.err.startswith(f"decreed: {odd}: 4 of 5 entries cannot be frozen, so none was;")


def test_the_list_of_errors_is_bounded(
    cli: Cli, registry: FakeRegistry, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "MOST_LINES", 2)
    lines = cli("import", odd, "p").text.splitlines()
    assert (len(lines), lines[2]) == (4, "… and 2 more, which --json shows")
    assert len(cli("import", odd, "p", "--json").rows) == 5


def test_with_keep_going_the_rest_is_frozen(cli: Cli, registry: FakeRegistry, odd: str) -> None:
    result = cli("import", odd, "p", "--keep-going")
    assert (result.code, list(registry.decrees)) == (2, ["p/c"])
    assert result.text.endswith("1 frozen, 0 same, 0 lost, 4 failed\n")


def test_bad_names_can_be_left_out_and_are_listed(
    cli: Cli, registry: FakeRegistry, odd: str
) -> None:
    result = cli("import", odd, "p", "--skip-bad-names")
    assert (result.code, list(registry.decrees)) == (0, ["p/c"])
    assert "skipped p/$schema: " in result.text
    assert result.text.endswith("1 frozen, 0 same, 0 lost, 0 failed, 4 skipped\n")
    rows = cli("import", odd, "p", "--skip-bad-names", "--json").rows
    assert rows[1] == {
        "key": "p/$schema", "outcome": "skipped",
        "why": "'p/$schema' is no key: the character '$' is not allowed",
    }  # fmt: skip


def test_entries_and_tables_get_new_names(cli: Cli, registry: FakeRegistry, odd: str) -> None:
    renames = ["$schema=schema", "=none", "a b=a/b", "@scope=scope"]
    result = cli("import", odd, "p", *(w for name in renames for w in ("--rename", name)))
    assert (result.code, result.err) == (0, "")
    assert {key: decree.value for key, decree in registry.decrees.items()} == {
        "p/schema": b"x", "p/none": b"1", "p/a/b": b"2", "p/scope/pkg": b"3", "p/c": b"4",
    }  # fmt: skip


def test_the_longest_old_name_counts_and_an_old_name_may_have_an_equals_sign(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text('{"a": {"b": 1, "c": 2}, "x=y": 3}')
    options = ["--rename", "a=n", "--rename", "a/b=only", "--rename", "x=y=z=1"]
    cli("import", str(tmp_path / "s.json"), "p", *options)
    assert sorted(registry.decrees) == ["p/n/c", "p/only", "p/z=1"]


@pytest.mark.parametrize(
    ("rename", "why"), [("gone=x", "nothing is called 'gone'"), ("c", "write OLD=NEW")]
)
def test_a_rename_that_renames_nothing_is_bad_usage(
    cli: Cli, registry: FakeRegistry, odd: str, rename: str, why: str
) -> None:
    result = cli("import", odd, "p", "--skip-bad-names", "--rename", rename)
    assert (result.code, registry.connections) == (2, [])
    assert why in result.err


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('{"a": {"b": 1}, "a/b": 2}', []),
        ('{"a": 1, "b": 2}', ["--rename", "a=b"]),
        ('{"a": {"x": 1}, "b": {"x": 2}}', ["--rename", "a=b"]),
    ],
)
def test_two_entries_that_make_one_key_are_refused(
    cli: Cli, registry: FakeRegistry, tmp_path: Path, text: str, options: list[str]
) -> None:
    (tmp_path / "s.json").write_text(text)
    result = cli("import", str(tmp_path / "s.json"), "p", *options)
    assert (result.code, registry.connections) == (2, [])
    assert result.text.count("2 entries make this key") == 2
    cli("import", str(tmp_path / "s.json"), "p", "--keep-going", *options)
    assert nothing_was_frozen(registry)


def test_excluded_names_are_left_out_as_in_a_gitignore(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    for name in ("a.bak", "b", "sub/a.bak", "sub/c", "node_modules/x", "sub/node_modules/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("1")
    options = ["--exclude", "*.bak", "--exclude", "!sub/a.bak", "--exclude", "/node_modules"]
    result = cli("import", str(tmp_path), "p", *options)
    assert sorted(registry.decrees) == ["p/b", "p/sub/a.bak", "p/sub/c", "p/sub/node_modules/y"]
    assert result.text == "4 frozen, 0 same, 0 lost, 0 failed, 2 skipped\n"


def test_entries_of_a_file_are_excluded_too(cli: Cli, registry: FakeRegistry, odd: str) -> None:
    options = ["--exclude", "$*", "--exclude", "@scope/", "--exclude", "a b", "--rename", "=none"]
    assert cli("import", odd, "p", *options).code == 0
    assert sorted(registry.decrees) == ["p/c", "p/none"]


def test_errors_in_excluded_entries_are_ignored(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "gone").symlink_to("nowhere")
    (tmp_path / "a").write_text("1")
    for pattern in ("big/", "gone", "/big/*"):
        assert cli("import", str(tmp_path), "p", "--exclude", pattern).code == 0
    assert cli("import", str(tmp_path), "p").code == 2


@pytest.mark.parametrize("name", ["s.json", "folder/big"])
def test_a_value_over_the_limit_is_found_before_anything_is_frozen(
    cli: Cli, registry: FakeRegistry, tmp_path: Path, name: str
) -> None:
    registry.limit = 10
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("small")
    (tmp_path / "folder" / "big").write_text("é" * 6)
    (tmp_path / "s.json").write_text(json.dumps({"a": "small", "b": "é" * 6}))
    source = tmp_path / name.partition("/")[0]
    result = cli("import", str(source), "p")
    assert (result.code, nothing_was_frozen(registry)) == (2, True)
    assert "a value of 12 bytes; the cluster takes at most 10" in result.text
    assert cli("import", str(source), "p", "--keep-going").text.endswith("1 failed\n")
    assert list(registry.decrees) == ["p/a"]


def test_a_slot_without_the_one_before_it_is_found_before_anything_is_frozen(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    for name in ("a", "deploys@2", "deploys@3", "other@1", "other@2"):
        (tmp_path / name).write_text("1")
    result = cli("import", str(tmp_path), "p")
    assert (result.code, nothing_was_frozen(registry)) == (2, True)
    assert "failed  p/deploys@2: the slot before it, p/deploys@1, is not frozen\n" in result.text
    registry.freeze("p/deploys@1", "first")
    assert cli("import", str(tmp_path), "p").text.startswith("5 frozen")


def test_a_dry_run_shows_the_result_and_freezes_nothing(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text('{"a": 1, "b": "x", "c": [1], "d": null}')
    registry.freeze("p/a", "1")
    registry.freeze("p/b", "y")
    registry.freeze("p/c", "[1]")  # the same bytes, but not as JSON
    before = dict(registry.decrees)
    result = cli("import", str(tmp_path / "s.json"), "p", "--dry-run")
    assert (result.code, registry.decrees) == (3, before)
    *lines, summary = result.text.splitlines()
    assert sorted(line.split(":")[0].split(" = ")[0] for line in lines) == [
        "failed  p/d", "lost    p/b", "lost    p/c", "same    p/a",
    ]  # fmt: skip
    assert summary == "0 new, 1 same, 2 lost, 1 failed"
    rows = cli("import", str(tmp_path / "s.json"), "q", "--dry-run", "--json").rows
    assert {row["key"]: row["outcome"] for row in rows[:-1]} == {
        "q/a": "new", "q/b": "new", "q/c": "new", "q/d": "failed",
    }  # fmt: skip


def test_a_dry_run_that_cannot_ask_says_so(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text('{"a": 1}')
    registry.failures = [Unreachable("nobody is there")]
    result = cli("import", str(tmp_path / "s.json"), "p", "--dry-run")
    assert (result.code, result.text.splitlines()[0]) == (5, "failed  p/a: nobody is there")


def test_an_interrupted_import_says_what_was_frozen(
    cli: Cli, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decreed.cli.importing.batches.BATCH_ITEMS", 2)
    for name in "abcde":
        (tmp_path / name).write_text("1")

    async def claim_many(items: Any, **details: Any) -> Any:
        if registry.decrees:
            raise KeyboardInterrupt
        return await FakeRegistry.claim_many(registry, items, **details)

    monkeypatch.setattr(registry, "claim_many", claim_many)
    result = cli("import", str(tmp_path), "p")
    assert (result.code, result.text) == (
        130, "2 frozen, 0 same, 0 lost, 0 failed, 3 unsettled\n",
    )  # fmt: skip
    assert "interrupted: 3 of 5 keys are not settled" in result.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([""], "say --root"),
        ([], "say --root"),
        (["/"], "no segment"),
        (["x", "--root"], "under no prefix"),
        (["$locks/x"], "is no key"),
        (["--root", "--whole"], "must be there"),
        (["x", "--note", "n" * 5_000], "note is longer"),
        (["x", "--format", "ini"], "'ini' is none of toml, json, yaml, env"),
        (["x", "--hidden"], "--hidden is for a folder"),
    ],
)
def test_bad_usage_asks_no_cluster(
    cli: Cli, registry: FakeRegistry, odd: str, arguments: list[str], why: str
) -> None:
    result = cli("import", odd, *arguments)
    assert (result.code, registry.connections) == (2, [])
    assert why in result.err


def test_root_imports_without_a_prefix(cli: Cli, registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"a": 1}')
    for place in (["--root"], ["", "--root"]):
        assert cli("import", str(tmp_path / "s.json"), *place).code == 0
    assert list(registry.decrees) == ["a"]


def test_standard_input_needs_a_format(cli: Cli, registry: FakeRegistry) -> None:
    assert "none of toml, json, yaml, env" in cli("import", "-", "p", stdin=b"a: 1").err
    assert cli("import", "-", "p", "--format", "yaml", stdin=b"a: 1").code == 0
    assert registry.decrees["p/a"].value == b"1"


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n...\n"])
def test_an_empty_file_freezes_nothing_and_asks_no_cluster(
    cli: Cli, registry: FakeRegistry, text: str
) -> None:
    result = cli("import", "-", "p", "--format", "yaml", stdin=text.encode())
    assert (result.code, registry.connections) == (0, [])
    assert result.text == "0 frozen, 0 same, 0 lost, 0 failed\n"


def test_one_of_several_documents_is_chosen(cli: Cli, registry: FakeRegistry) -> None:
    text = b"a: 1\n---\n# nothing\n---\nb: 2\n---\n"
    several = cli("import", "-", "p", "--format", "yaml", stdin=text)
    assert (several.code, nothing_was_frozen(registry)) == (2, True)
    assert "it has 2 documents; choose one with --document N" in several.err
    assert cli("import", "-", "p", "--format=yaml", "--document", "2", stdin=text).code == 0
    assert list(registry.decrees) == ["p/b"]
    for number in ("0", "3"):
        result = cli("import", "-", "p", "--format=yaml", "--document", number, stdin=text)
        assert f"there is no document {number}: it has 2" in result.err


@pytest.mark.parametrize(
    ("text", "value"), [("[1, 2.50]", b"[1,2.50]"), ('"x"', b'"x"'), ("3", b"3"), ("{}", b"{}")]
)
def test_a_whole_file_is_one_value(
    cli: Cli, registry: FakeRegistry, text: str, value: bytes
) -> None:
    assert cli("import", "-", "p/k", "--format=json", "--whole", stdin=text.encode()).code == 0
    assert registry.decrees["p/k"].value == value
    assert registry.calls[0][1]["content_type"] == "application/json"


@pytest.mark.parametrize("text", ["[1]", "1", '"x"', "true"])
def test_a_document_without_names_suggests_whole(
    cli: Cli, registry: FakeRegistry, text: str
) -> None:
    result = cli("import", "-", "p", "--format=json", stdin=text.encode())
    assert result.code == 2
    assert "is no table" in result.err and "--whole freezes it as one value" in result.err


def test_the_suggestion_fits_the_error(cli: Cli, registry: FakeRegistry, tmp_path: Path) -> None:
    """A wrong number of a document is not reported as an error in the format."""
    (tmp_path / "two.yaml").write_text("a: 1\n---\na: 2\n")
    (tmp_path / "one.toml").write_text("a = 1\n")
    (tmp_path / "broken.toml").write_text("a = 1\nb = {x = 1")
    (tmp_path / "unknown").write_text("a = 1\n")
    for words, way_out in (
        (("two.yaml",), "choose one with --document N"),
        (("two.yaml", "--document", "3"), "choose one with --document N"),
        (("one.toml", "--document", "2"), "leave out --document"),
        (("one.toml", "--hidden"), "leave it out"),
        (("one.toml", "--rename", "b=c"), "see 'decreed import --help'"),
        (("broken.toml",), "correct the file, or name its format with --format"),
        (("broken.toml", "--format", "toml"), "correct the file"),
        (("unknown",), "name its format with --format"),
    ):
        result = cli("import", str(tmp_path / words[0]), "p", *words[1:])
        assert (result.code, registry.calls) == (2, [])
        assert result.err.endswith(f"; {way_out}\n"), words
    assert (
        "broken.toml: line 2: not TOML 1.1: " in cli("import", f"{tmp_path}/broken.toml", "p").err
    )


def test_whole_needs_a_key(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1]")
    for words in ((), ("--root",)):
        said = cli("import", str(tmp_path / "list.json"), "", "--whole", *words).err
        assert "it is the key of what --whole freezes" in said


def test_a_single_entry_is_reported_in_the_singular(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"a b": 1}')
    said = cli("import", str(tmp_path / "one.json"), "p").err
    assert "its only entry cannot be frozen, so nothing was; correct it, or see --rename" in said
