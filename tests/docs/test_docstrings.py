"""`help` of the public client: it begins with what people use, and describes each argument.

And what docstrings of the product refer to, exists.
"""

import ast
import inspect
import pydoc
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import decreed.client
from decreed.client import fencing, sync

ACTS = {"Registry", "Lock", "Locked", "Watching", "Fence"}
"""Classes whose methods people call; the others are values."""

OWN = "decreed."


def named(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public names of a module."""
    for name in getattr(module, "__all__", vars(module)):
        found = getattr(module, name)
        if not name.startswith("_") and getattr(found, "__module__", "").startswith(OWN):
            yield f"{module.__name__}.{name}", found


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """All functions and methods that people call."""
    for module in (decreed.client, sync, fencing):
        for name, found in named(module):
            if inspect.isfunction(found):
                yield name, found
            elif inspect.isclass(found) and found.__name__ in ACTS:
                for method, member in inspect.getmembers(found, inspect.isfunction):
                    if not method.startswith("_") and method != "hold":
                        yield f"{name}.{method}", member


CALLABLES = dict(callables())


def classes(hint: Any) -> Iterator[type]:
    """All classes in a type."""
    if inspect.isclass(hint) and not get_args(hint):
        yield hint
    for part in get_args(hint):
        yield from classes(part)


def section(text: str, heading: str) -> str:
    """A section of a docstring; empty if there is no such heading."""
    found = re.search(rf"^{heading}:\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
    return found[1] if found else ""


def arguments(text: str) -> list[str]:
    """The arguments that a docstring describes, some of them several at once."""
    entries = re.findall(r"^    (\w+(?:, *\w+)*):", section(text, "Args"), re.MULTILINE)
    return [name.strip() for entry in entries for name in entry.split(",")]


def test_the_public_callables_are_found() -> None:
    known = {
        "decreed.client.connect",
        "decreed.client.Registry.claim",
        "decreed.client.sync.connect",
    }
    assert known < CALLABLES.keys() and len(CALLABLES) > 50


@pytest.mark.parametrize("name", CALLABLES)
def test_each_argument_and_what_is_returned_are_described(name: str) -> None:
    text = inspect.getdoc(CALLABLES[name]) or ""
    signature = inspect.signature(CALLABLES[name])
    assert text and set(arguments(text)) == signature.parameters.keys() - {"self"}
    returns = signature.return_annotation
    assert returns in (None, "None") or section(text, "Returns"), f"{name} returns {returns}"


@pytest.mark.parametrize("module", [decreed.client, sync, fencing], ids=lambda each: each.__name__)
def test_what_is_public_has_a_docstring(module: ModuleType) -> None:
    assert inspect.getdoc(module)
    assert [name for name, found in named(module) if callable(found) and not found.__doc__] == []


def test_the_types_of_what_public_values_hold_are_public() -> None:
    public = {getattr(decreed.client, name) for name in decreed.client.__all__}
    values = [each for each in public if inspect.isclass(each) and issubclass(each, msgspec.Struct)]
    held = {
        kind
        for value in values
        for hint in get_type_hints(value).values()
        for kind in classes(hint)
    }
    errors = {kind for kind in held if issubclass(kind, BaseException)}  # these are in `errors`
    assert {kind for kind in held - errors if kind.__module__.startswith(OWN)} - public == set()


def test_help_begins_with_what_people_use_and_says_what_is_internal() -> None:
    said = pydoc.plain(pydoc.render_doc(decreed.client))
    before, _, _ = said.partition("PACKAGE CONTENTS")
    assert re.findall(r"`([\w.]+)`", before)[0] == "connect" == decreed.client.__all__[0]
    assert [name for name in decreed.client.__all__ if f"`{name}`" not in before] == []
    assert "internal" in before


ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for part in ("cli", "client", "registry", "storage")
    for path in (ROOT / part).rglob("*.py")
)
NAMING = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def named_in_code() -> set[str]:
    """The names of all modules, classes, functions and constants of the product."""
    found = {path.stem for path in SOURCES}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, NAMING):
                found.add(node.name)
            elif isinstance(node, ast.Name) and node.id.isupper():
                found.add(node.id)
    return found


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | NAMING):
            yield ast.get_docstring(node) or ""


def test_what_a_docstring_tells_to_see_exists() -> None:
    known = named_in_code()
    missing = [
        (path.relative_to(ROOT).as_posix(), name)
        for path in SOURCES
        for text in docstrings(path)
        for name in re.findall(r"\b[Ss]ee `([\w.]+)`", text)
        if name.rpartition(".")[2] not in known
    ]
    assert missing == []


def test_each_python_file_that_a_docstring_names_exists() -> None:
    files = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    missing = [
        (path.relative_to(ROOT).as_posix(), name)
        for path in SOURCES
        for text in docstrings(path)
        for name in re.findall(r"\b(\w+\.py)\b", text)
        if name not in files
    ]
    assert missing == []
