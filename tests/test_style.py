"""The bounds of the house: short files, short functions, and names that say something."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "cli", "client", "decreed", "examples", "registry", "storage", "tests")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


class Source(NamedTuple):
    """A Python file of ours."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        nodes = ast.walk(self.tree)
        return [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    @property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]


@cache
def sources() -> dict[str, Source]:
    """Every file, each under its own folder."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found: dict[str, Source] = {}
    for path in sorted(path for path in paths if path.resolve() == path):
        text = path.read_text(encoding="utf-8")
        found[path.relative_to(ROOT).as_posix()] = Source(path, text, ast.parse(text))
    return found


def test_all_of_it_is_looked_at() -> None:
    assert {"cli/main.py", "registry/paxos/acceptor.py", "tests/test_style.py"} <= sources().keys()


def test_files_are_short() -> None:
    lengths = {name: source.lines for name, source in sources().items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{name}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for name, source in sources().items()
        for function in source.functions
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_names_say_something() -> None:
    assert [name for name, each in sources().items() if each.path.stem in SAYS_NOTHING] == []
    silent = [
        f"{name}:{node.name}"
        for name, source in sources().items()
        for node in [*source.functions, *source.classes]
        if SAYS_NOTHING & {*node.name.strip("_").lower().split("_"), node.name.lower()}
    ]
    assert silent == []


def test_no_class_only_manages() -> None:
    named = [node.name.lower() for source in sources().values() for node in source.classes]
    assert [name for name in named if name.endswith("manager")] == []


def test_modules_say_what_they_are() -> None:
    silent = [
        name
        for name, source in sources().items()
        if not ast.get_docstring(source.tree)
        and not (source.path.name == "__init__.py" and source.lines <= 3)
    ]
    assert silent == []
