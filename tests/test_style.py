"""The bounds of the house: short files, short functions, and names that say something."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "cli", "client", "decreed", "examples", "registry", "storage", "tests")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def sources() -> list[Path]:
    """Every Python file of ours, each under its own folder."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in paths if path.resolve() == path)


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """All functions and classes of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources(), ids=named)
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", sources(), ids=named)
def test_functions_are_short(path: Path) -> None:
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in definitions(path)
        if not isinstance(node, ast.ClassDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("path", sources(), ids=named)
def test_names_say_something(path: Path) -> None:
    assert path.stem not in SAYS_NOTHING
    for node in definitions(path):
        words = node.name.strip("_").lower().split("_")
        assert not SAYS_NOTHING & {*words, node.name.lower()}
        assert not (isinstance(node, ast.ClassDef) and node.name.lower().endswith("manager"))


@pytest.mark.parametrize("path", sources(), ids=named)
def test_a_module_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    bare = path.name == "__init__.py" and len(text.splitlines()) <= 3
    assert bare or ast.get_docstring(ast.parse(text))
