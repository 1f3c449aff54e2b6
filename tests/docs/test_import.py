"""The page on importing: each row of its tables, tried on a file, and each option that it lists."""

from pathlib import Path

import pytest

from decreed.cli import formats, importing
from decreed.cli.flatten import flatten
from decreed.cli.items import Item
from decreed.cli.plan import Names, arranged
from decreed.registry.errors import BadRequest

from .pages import ROOT, quoted, rows

PAGE = ROOT / "docs" / "import.md"
TABLES = {"YAML": "yaml", "JSON": "json", "TOML": "toml", "env": "env"}
EXAMPLES = [(form, *row) for heading, form in TABLES.items() for row in rows(PAGE, heading)]


def written_out(cell: str) -> str:
    """What a cell of a table stands for: a line's end is shown as a sign, and a bar is escaped."""
    return cell.replace("⏎", "\n").replace("␛", "\x1b").replace("\\|", "|")


def items_of(form: str, text: str) -> list[Item]:
    value = formats.read(form, formats.text_of(text.encode()))
    return arranged(flatten("p", value), "p", Names())


def frozen(item: Item) -> str:
    value = item.value.decode() if isinstance(item.value, bytes) else item.value
    return f"{item.key} = {value}"


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("form", "example", "outcome"), EXAMPLES, ids=lambda cell: cell[:40])
def test_a_row_is_what_happens(form: str, example: str, outcome: str, end: str) -> None:
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


def test_the_options_are_those_of_the_command() -> None:
    listed = {quoted(option)[0].split()[0] for option, _ in rows(PAGE, "option")}
    code = Path(importing.__file__).read_text(encoding="utf-8")
    shared = {"--timeout"}
    given = {word for word in code.split('"') if word.startswith("--") and " " not in word}
    assert listed == given - shared
