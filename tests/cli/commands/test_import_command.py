"""``import``: folders and files, batches, repeating, the summary and the exit code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decreed.cli.importing import batches
from decreed.registry.errors import (
    BadRequest,
    Busy,
    DecreedError,
    OutcomeUnknown,
    StorageFailed,
    Unreachable,
)

from ..fakes import Cli, FakeRegistry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "config"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "binary").write_bytes(bytes(range(256)))
    (root / "text").write_bytes(b"no newline is added\r\n")
    (root / "empty").write_bytes(b"")
    return root


def test_a_folder_is_frozen_byte_for_byte(cli: Cli, registry: FakeRegistry, folder: Path) -> None:
    result = cli("import", str(folder), "prod/c/")
    assert (result.code, result.text, result.err) == (
        0,
        "3 frozen, 0 same, 0 lost, 0 failed\n",
        "",
    )
    assert {key: decree.value for key, decree in registry.decrees.items()} == {
        "prod/c/sub/binary": bytes(range(256)),
        "prod/c/text": b"no newline is added\r\n",
        "prod/c/empty": b"",
    }


def test_a_repeated_import_finds_the_same_values(
    cli: Cli, registry: FakeRegistry, folder: Path
) -> None:
    cli("import", str(folder), "p")
    assert cli("import", str(folder), "p").text == "0 frozen, 3 same, 0 lost, 0 failed\n"


def test_lost_keys_are_listed_and_exit_with_3(
    cli: Cli, registry: FakeRegistry, folder: Path
) -> None:
    registry.freeze("p/text", "other")
    result = cli("import", str(folder), "p")
    assert result.code == 3
    lost, summary = result.text.splitlines()
    assert lost.startswith("lost    p/text = other  (claimed by bob@there, 2026-01-01T")
    assert summary == "2 frozen, 0 same, 1 lost, 0 failed"


def test_an_import_as_json_is_a_row_per_key_and_a_summary(
    cli: Cli, registry: FakeRegistry, folder: Path
) -> None:
    registry.freeze("p/text", "other")
    os.symlink("nowhere", folder / "link")
    *rows, summary = cli("import", str(folder), "p", "--json", "--keep-going").rows
    fates = {row["key"]: row["outcome"] for row in rows}
    assert fates == {
        "p/link": "failed",
        "p/empty": "frozen",
        "p/sub/binary": "frozen",
        "p/text": "lost",
    }
    by_key = {row["key"]: row for row in rows}
    assert by_key["p/text"]["decree"]["value"] == "other"
    assert "symbolic link" in by_key["p/link"]["error"]["message"]
    counts = {"frozen": 2, "new": 0, "same": 0, "lost": 1, "failed": 1, "skipped": 0}
    assert summary == {"summary": {**counts, "unsettled": 0}}


def test_with_keep_going_entries_with_errors_do_not_stop_the_import(
    cli: Cli, registry: FakeRegistry, folder: Path
) -> None:
    (folder / "a b").write_bytes(b"")
    (folder / "gone").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff")).write_bytes(b"")
    result = cli("import", str(folder), "p", "--keep-going")
    assert result.code == 2
    assert result.text.endswith("3 frozen, 0 same, 0 lost, 4 failed\n")
    for word in ("'p/a b' is no key", "symbolic link", "not a regular file", "\\udcff"):
        assert word in result.text


def test_a_file_without_permission_is_reported(
    cli: Cli, registry: FakeRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("decreed.cli.importing.items.File.at", refuse)
    result = cli("import", str(folder), "p")
    assert (result.code, registry.decrees) == (2, {})
    assert result.text.count("Permission denied") == 3


@pytest.mark.parametrize(
    ("error", "code"), [(Unreachable("x"), 5), (OutcomeUnknown("x"), 6), (StorageFailed("x"), 7)]
)
def test_the_worst_row_sets_the_exit_code(
    cli: Cli,
    registry: FakeRegistry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: DecreedError,
    code: int,
) -> None:
    monkeypatch.setattr(batches, "PAUSE", 0.001)
    registry.freeze("p/text", "other")
    registry.broken["p/empty"] = error
    result = cli("import", str(folder), "p", "--timeout", "20ms")
    assert result.code == code
    assert "failed  p/empty: x\n" in result.text


def test_claims_that_failed_are_tried_again(
    cli: Cli, registry: FakeRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAUSE", 0.001)
    registry.failures = [None, Unreachable("x"), None, OutcomeUnknown("x"), None, Busy("x")]
    assert cli("import", str(folder), "p").text == "3 frozen, 0 same, 0 lost, 0 failed\n"
    tries = [len(call["items"]) for name, call in registry.calls if name == "claim_many"]
    assert tries == [3, 2, 1]


def test_batches_are_bounded_by_count_and_bytes(
    cli: Cli, registry: FakeRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_ITEMS", 10)
    monkeypatch.setattr(batches, "BATCH_BYTES", 1_000)
    for number in range(25):
        (folder / f"n{number}").write_bytes(b"x" * (900 if number == 7 else 1))
    cli("import", str(folder), "p")
    tries = [call["items"] for name, call in registry.calls if name == "claim_many"]
    assert len(tries) == 4
    assert all(len(each) <= 10 for each in tries)
    assert all(sum(len(value) for _, value in each) <= 1_000 for each in tries)
    assert len(registry.decrees) == 28


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes().upper())
    os.utime(path, ns=(0, 0))


def replace(path: Path) -> None:
    path.with_name("other").write_bytes(path.read_bytes())
    path.with_name("other").replace(path)


def turn_into_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.write_bytes(b"more than there was, and longer"), "it was changed after"),
        (rewrite, "it was changed after it was checked"),
        (replace, "it was changed after it was checked"),
        (turn_into_a_link, "symbolic links"),
        (Path.unlink, "No such file"),
    ],
)
def test_a_file_that_changed_after_the_check_is_never_frozen(
    cli: Cli,
    registry: FakeRegistry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    why: str,
) -> None:
    monkeypatch.setattr(batches, "BATCH_ITEMS", 1)
    changed: list[object] = []

    async def claim_many(items: Any, **details: Any) -> Any:
        if not changed:
            changed.append(change(folder / "text"))
        return await FakeRegistry.claim_many(registry, items, **details)

    monkeypatch.setattr(registry, "claim_many", claim_many)
    result = cli("import", str(folder), "p")
    assert (result.code, list(registry.decrees)) == (2, ["p/empty", "p/sub/binary"])
    assert why in result.text


@pytest.mark.parametrize(
    "name",
    ["s.toml", "s.JSON", "s.yaml", "s.yml", ".env", "x.env", ".env.prod", ".env.yaml", ".env.JSON"],
)
def test_a_settings_file_is_known_by_its_name(
    cli: Cli, registry: FakeRegistry, tmp_path: Path, name: str
) -> None:
    text = {".toml": 'a = "1"', ".json": '{"a": 1}', ".yaml": "a: 1", ".yml": "a: 1"}
    (tmp_path / name).write_text(text.get(Path(name).suffix.lower(), "a=1"))
    assert cli("import", str(tmp_path / name), "p").code == 0
    assert registry.decrees["p/a"].value == b"1"


def test_a_list_is_frozen_with_its_content_type(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text('{"a": "x", "b": [1], "c": "y"}')
    cli("import", str(tmp_path / "s.json"), "p", "--note", "why")
    sent = [call for name, call in registry.calls if name == "claim_many"]
    assert [call["content_type"] for call in sent] == [None, "application/json", None]
    assert {call["note"] for call in sent} == {"why"}


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("s.toml", b"a = ", "line 1: not TOML 1.1: "),
        ("s.json", "{}".encode("utf-16"), "it is UTF-16"),
        ("s.json", b"\xff", "not UTF-8"),
        ("s.ini", b"", "none of toml, json, yaml, env"),
    ],
)
def test_a_bad_file_is_bad_input(
    cli: Cli, registry: FakeRegistry, tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(data)
    result = cli("import", str(tmp_path / name), "p")
    assert (result.code, registry.calls) == (2, [])
    assert why in result.err


def test_a_source_that_is_not_there_is_bad_input(cli: Cli, registry: FakeRegistry) -> None:
    assert cli("import", "/no/such/folder", "p").code == 2
    assert cli("import", "/", "a b").code == 2


def test_an_import_that_fails_as_a_whole_still_prints_the_summary(
    cli: Cli, registry: FakeRegistry, folder: Path
) -> None:
    registry.failures = [BadRequest("the client is closed")]
    result = cli("import", str(folder), "p")
    assert (result.code, result.text) == (2, "0 frozen, 0 same, 0 lost, 0 failed, 3 unsettled\n")
    assert "run it again to go on" in result.err


def test_slots_of_a_series_are_claimed_one_after_another(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    """A slot is claimed only when the claim of the one before has been answered."""
    for number in range(1, 13):
        (tmp_path / f"deploys@{number}").write_bytes(b"%d" % number)
        (tmp_path / f"other@{number}").write_bytes(b"%d" % number)
    (tmp_path / "deploys").write_bytes(b"no slot")
    assert cli("import", str(tmp_path), "p").text == "25 frozen, 0 same, 0 lost, 0 failed\n"
    claims = [call for name, call in registry.calls if name == "claim_many"]
    sent = [[key for key, _ in call["items"]] for call in claims]
    for series in ("p/deploys", "p/other"):
        slots = [[key for key in keys if key.startswith(f"{series}@")] for keys in sent]
        assert [keys for keys in slots if keys] == [[f"{series}@{n}"] for n in range(1, 13)]
