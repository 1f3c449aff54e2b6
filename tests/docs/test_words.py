"""The README links the words of the glossary where they come first."""

import re
from pathlib import Path

import pytest

from .pages import ROOT, blocks, rows

README = ROOT / "README.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
LINKED = ("claim", "decree", "home", "term")


def prose(page: Path) -> str:
    """A page as one line, without fenced blocks and texts between backticks."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.text, "")
    return " ".join(re.sub(r"`[^`]*`", "", text).split())


@pytest.mark.parametrize("word", LINKED)
def test_the_readme_links_a_word_to_the_glossary_where_it_comes_first(word: str) -> None:
    text = prose(README)
    first = re.search(rf"\b{word}s?\b", text, re.IGNORECASE)
    link = re.search(rf"\[\*?{word}s?\*?\]\(docs/glossary\.md\)", text, re.IGNORECASE)
    assert first and link
    assert link.start() < first.start() < link.end(), text[: first.end()][-80:]


@pytest.mark.parametrize("word", LINKED)
def test_the_glossary_has_the_words_that_the_readme_links_to_it(word: str) -> None:
    tables = GLOSSARY.read_text(encoding="utf-8").splitlines()
    named = [line.split(" | ")[0].strip("| ") for line in tables if line.startswith("| ")]
    assert any(word in re.split(r", ", name) for name in named), word


def test_no_word_has_two_entries_in_the_glossary() -> None:
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    named = [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| ")]
    words = [word for name in named if name != "word" for word in name.split(", ")]
    assert len(words) == len(set(words))
    assert rows(GLOSSARY, "word")
