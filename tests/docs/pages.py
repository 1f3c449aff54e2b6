"""The pages that users read, cut into fenced blocks and table rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HOW_TO = ROOT / "docs" / "how-to"
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    HOW_TO / "change-members.md",
    HOW_TO / "secure-a-cluster.md",
    HOW_TO / "tls.md",
    HOW_TO / "tokens.md",
)

_FILE = re.compile(r"# \w+\.py")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its first line, its language, and its content."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a ``console`` block and the output that the page shows for it."""

    block: Block
    text: str
    shown: tuple[str, ...]


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page, of the languages named, in order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text[: match.start(2)].count("\n") + 1, match[1], match[2])
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def files(page: Path) -> dict[str, str]:
    """The Python blocks that are whole files; these begin with the name in a comment."""
    named = {block.text.partition("\n")[0]: block.text for block in blocks(page, "python")}
    return {head.removeprefix("# "): text for head, text in named.items() if _FILE.fullmatch(head)}


def commands(block: Block) -> Iterator[Command]:
    """The commands of a ``console`` block."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        text, *shown = part.splitlines()
        yield Command(block, text, tuple(shown))


def rows(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table whose first column is headed `heading`."""
    text = page.read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n| {heading} |")
    assert found, f"{page.name} has no table headed {heading}"
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def quoted(text: str) -> list[str]:
    """The texts between backticks, outside of fenced blocks."""
    return re.findall(r"`([^`]+)`", _FENCE.sub("", text))
