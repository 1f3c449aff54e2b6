"""Seeding a bug: its modules are compiled from the changed source when they are imported."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from .bug import Bug, Change


class _Seeded(SourceFileLoader):
    """Compiles one module with a bug in it, without writing a file."""

    changes: Sequence[Change]

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        for change in self.changes:
            source = change.made(source)
        return compile(source, self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        changes = [c for c in self._bug.changes if fullname == f"decreed.{c.module}"]
        spec = PathFinder.find_spec(fullname, path) if changes else None
        if spec is not None and spec.origin is not None:
            loader = _Seeded(fullname, spec.origin)
            loader.changes = changes
            spec.loader = loader
        return spec


def seed(bug: Bug) -> None:
    """From now on, importing a module of the bug gives the one with the bug."""
    assert not any(name.startswith("decreed.") for name in sys.modules), "too late"
    sys.meta_path.insert(0, _Finder(bug))
