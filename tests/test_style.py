"""The bounds of the house: short files, short functions, and names that say something."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "cli", "client", "decreed", "examples", "registry", "storage", "tests")
LONGEST_FILE = 440
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


# ---- words ----
TEXTS = (
    *("*.md", "Makefile", "pyproject.toml", ".ci/run", ".github/**/*.md", "docs/**/*.md"),
    *("docs/*.cddl", "docs/*.py", "findings/*", "tests/**/*.md", "tests/scenarios/*"),
)
"""What people read besides the Python files of `FOLDERS`."""

WORDS = {
    "dear": "expensive",
    "but for": "except",
    "anew": "again",
    "whoever": "those who, the client that, …",
    "in vain": "without effect, or what did not happen",
    "for ever": "forever, permanently",
    "so many at": "the number itself, or at most that many",
}
"""Words that make a reader stop, and what to write instead. In identifiers they are no words."""


def readable() -> dict[str, str]:
    """All that people read, by path. Words that stand on two lines are next to each other."""
    paths = {path for pattern in TEXTS for path in ROOT.glob(pattern) if path.is_file()}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}
    texts |= {name: source.text for name, source in sources().items()}
    del texts["tests/test_style.py"]
    return {name: re.sub(r"[\s#>*\"']+", " ", text) for name, text in texts.items()}


def words_in(text: str) -> list[str]:
    """The words of the list that `text` has."""
    return [word for word in WORDS for _ in re.finditer(rf"\b{word}\b", text, re.IGNORECASE)]


def test_the_words_of_the_list_are_found_and_nothing_else() -> None:
    assert words_in("It is dear. But for one; whoever asks for ever.") == [
        *("dear", "but for", "whoever", "for ever"),
    ]
    innocent = (
        "but_forgets, but forgets, but fortunately, for every, for_ever(), in vainglory, renew"
    )
    assert words_in(innocent) == []


def test_the_text_has_no_word_of_the_list() -> None:
    found = {name: words for name, text in readable().items() if (words := words_in(text))}
    assert found == {}, f"instead: {WORDS}"


# ---- names of classes ----
TWINS = {"Lock", "Locked", "Registry", "Watching"}
"""The same thing for asynchronous and blocking callers, in `decreed.client` and its `sync`."""


def test_a_name_of_a_class_means_one_thing() -> None:
    """Of what ships; tests and examples have words of their own."""
    parts = ("bench/", "cli/", "client/", "decreed/", "registry/", "storage/")
    modules: dict[str, set[str]] = defaultdict(set)
    for name, source in sources().items():
        for each in source.classes if name.startswith(parts) else ():
            modules[each.name].add(name)
    twice = {name: sorted(places) for name, places in modules.items() if len(places) > 1}
    homes = {place.split("/")[0] for name in TWINS for place in twice.pop(name)}
    assert homes == {"client"}
    assert twice == {}
