"""The page on importing: each row of its tables, tried on a file, and each option that it lists."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from decreed.cli.commands import import_command
from decreed.cli.importing import formats
from decreed.cli.importing.flatten import flatten
from decreed.cli.importing.folders import folder_items
from decreed.cli.importing.items import Item
from decreed.cli.importing.plan import Names, arranged
from decreed.registry.errors import BadRequest

from .pages import ROOT, quoted, rows

PAGE = ROOT / "docs" / "import.md"
TABLES = {"YAML": "yaml", "JSON": "json", "TOML": "toml", "env": "env"}
EXAMPLES = [(form, *row) for heading, form in TABLES.items() for row in rows(PAGE, heading)]


def written_out(cell: str) -> str:
    """The text that a cell stands for: a sign stands for the end of a line, and bars are escaped."""
    return cell.replace("⏎", "\n").replace("␛", "\x1b").replace("⇥", "\t").replace("\\|", "|")


def items_of(form: str, text: str) -> list[Item]:
    value = formats.read(form, formats.text_of(text.encode()))
    return arranged(flatten("p", value), "p", Names())


def frozen(item: Item) -> str:
    value = item.value.decode() if isinstance(item.value, bytes) else item.value
    return f"{item.key} = {value}"


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("form", "example", "outcome"), EXAMPLES, ids=lambda cell: cell[:40])
def test_an_import_gives_what_the_row_says(form: str, example: str, outcome: str, end: str) -> None:
    [text] = quoted(example)
    source = written_out(text).replace("\n", end)
    kind, _, why = outcome.partition(": ")
    if kind == "refused":
        with pytest.raises(BadRequest) as raised:
            items_of(form, source)
        assert why in str(raised.value)
    elif kind == "error":
        errors = [str(item.error) for item in items_of(form, source)]
        assert errors and all(why in error for error in errors), errors
    else:
        items = items_of(form, source)
        assert [frozen(item) for item in items] == [written_out(q) for q in quoted(outcome)]
        assert all(item.bad_name == ("no key" in outcome) for item in items)
        assert all(isinstance(item.value, bytes) == ("as bytes" in outcome) for item in items)


@dataclass(frozen=True)
class Case:
    """What to put into a folder, and what happens to the name ``x`` in it."""

    make: Callable[[Path], object]
    frozen: bool = False
    left_out: str = ""
    error: str = ""


def linked(root: Path) -> None:
    (root / "..y").write_text("1")
    (root / "x").symlink_to("..y")


FOLDER = {
    "a regular file": Case(lambda root: (root / "x").write_text("1"), frozen=True),
    "a name that begins with `.`": Case(
        lambda root: (root / ".x").write_text("1"), left_out="hidden"
    ),
    "a name that begins with `..`": Case(lambda root: (root / "..x").write_text("1")),
    "a link to a file or folder inside": Case(linked, frozen=True),
    "a link that leads out, nowhere, or in a circle": Case(
        lambda root: (root / "x").symlink_to("/etc"), error="not below the folder"
    ),
    "a pipe, a socket, a device": Case(
        lambda root: os.mkfifo(root / "x"), error="not a regular file"
    ),
    "what cannot be opened": Case(lambda root: (root / "x").symlink_to("x"), error="Too many"),
    "an empty folder": Case(lambda root: (root / "x").mkdir()),
}


@pytest.mark.parametrize("what", FOLDER)
def test_an_import_of_a_folder_gives_what_the_row_says(tmp_path: Path, what: str) -> None:
    case = FOLDER[what]
    case.make(tmp_path)
    found = folder_items(tmp_path, "p", False, lambda name: False)
    assert [item.load().value for item in found if item.file] == ["1"] * case.frozen
    assert [item.left_out for item in found if item.left_out] == [case.left_out] * bool(
        case.left_out
    )
    errors = [str(item.error) for item in found if item.error]
    assert len(errors) == bool(case.error) and all(case.error in error for error in errors)


def test_all_rows_about_folders_are_tested() -> None:
    assert [what for what, _ in rows(PAGE, "in the folder")] == list(FOLDER)


def test_the_options_are_those_of_the_command() -> None:
    listed = {quoted(option)[0].split()[0] for option, _ in rows(PAGE, "option")}
    code = Path(import_command.__file__).read_text(encoding="utf-8")
    shared = {"--timeout"}
    given = {word for word in code.split('"') if word.startswith("--") and " " not in word}
    assert listed == given - shared
