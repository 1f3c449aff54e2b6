"""Each "design 5" in code, tests and pages leads to a section of docs/design.md."""

import re
from pathlib import Path

import pytest

from .pages import PAGES, ROOT

DESIGN = ROOT / "docs" / "design.md"
FOLDERS = ("bench", "cli", "client", "examples", "registry", "storage", "tests")

_SECTION = re.compile(r"^## (\d+)\. ", re.MULTILINE)
# also if a line of a comment ends inside it
_CITATION = re.compile(
    r"\bdesign,?[\s#]+(?:sections?[\s#]+)?(\d+(?:(?:,| and)[\s#]+\d+)*)", re.IGNORECASE
)


def sections() -> list[int]:
    """The numbers of the sections, in order."""
    return [int(number) for number in _SECTION.findall(DESIGN.read_text(encoding="utf-8"))]


def cited(text: str) -> list[int]:
    """The sections that a text names."""
    return [int(n) for found in _CITATION.findall(text) for n in re.findall(r"\d+", found)]


def texts() -> list[Path]:
    """Everything that may cite the design, except this file, which has examples."""
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return [path for path in (*sources, *PAGES, ROOT / "CONTRIBUTING.md") if path != Path(__file__)]


def test_the_sections_are_numbered_without_a_gap() -> None:
    assert sections() == list(range(1, len(sections()) + 1))


def test_each_citation_leads_to_a_section() -> None:
    found = {path: cited(path.read_text(encoding="utf-8")) for path in texts()}
    assert sum(map(len, found.values())) > 30
    known = set(sections())
    wrong = {str(path): numbers for path, numbers in found.items() if not known.issuperset(numbers)}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("until then (design 11).", [11]),
        ("it is refused (design, section 8).", [8]),
        ("Design section 4 says so; (design 5, 6)", [4, 5, 6]),
        ("# as it must (design\n    # 99)", [99]),
        ("by design 3 nodes", [3]),
        ("the design has it, in 7 sections", []),
    ],
)
def test_a_citation_is_found_however_it_is_written(text: str, numbers: list[int]) -> None:
    assert cited(text) == numbers
