"""Which decreed this is: its version, its build, and the format of its directories.

`pyproject.toml` says the same version, and a test holds them together. Two builds may have one version:
the build names the very sources, installed or in a work tree, and asks no version control for it.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

VERSION = "0.1.0"

FORMAT = 6
"""The format of a data directory that this decreed makes."""

PARTS = ("cli", "client", "registry", "storage")
_BUILD_BYTES = 5


@cache
def build() -> str:
    """The build: ten hexadecimal digits that are others as soon as any module is another."""
    return digest_of(Path(__file__).parent.parent)


def described() -> str:
    """Version, build and format, for people to read."""
    return f"{VERSION}, build {build()}, format {FORMAT}"


def digest_of(package: Path) -> str:
    """A digest of the names and bytes of all modules below a package's folder."""
    digest = hashlib.blake2b(digest_size=_BUILD_BYTES)
    for name, path in _modules(package):
        data = path.read_bytes()
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _modules(package: Path) -> Iterable[tuple[str, Path]]:
    """Each module's name and file; those of the parts alone, which are the same however installed."""
    for part in PARTS:
        folder = package / part
        for path in sorted(folder.rglob("*.py")):
            yield f"{part}/{path.relative_to(folder).as_posix()}", path
