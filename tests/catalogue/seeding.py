"""Seeding a bug: the module is compiled from changed words when it is imported."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from .bugs import Bug


class _Seeded(SourceFileLoader):
    """Compiles one module with a bug in it; nothing is written down."""

    bug: Bug

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        return compile(seeded_source(self.bug, source), self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != f"decreed.registry.{self._bug.module}":
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            loader = _Seeded(fullname, spec.origin)
            loader.bug = self._bug
            spec.loader = loader
        return spec


def seeded_source(bug: Bug, source: str) -> str:
    """The source of the bug's module with the bug in it."""
    count = source.count(bug.old)
    assert count == 1, f"{bug.name!r} does not apply: its words stand {count} times in {bug.module}"
    return source.replace(bug.old, bug.new)


def seed(bug: Bug) -> None:
    """From now on, importing the bug's module gives the one with the bug."""
    assert not any(name.startswith("decreed.registry") for name in sys.modules), "too late"
    sys.meta_path.insert(0, _Finder(bug))
