"""The version and the build of decreed, and the format of its data directories.

`pyproject.toml` has the same version, which a test checks. Two builds may have the same version. The
build is a hash of the sources, installed or in a work tree, and needs no version control.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

VERSION = "0.1.0"

FORMAT = 6
"""The format of the data directories that this version makes."""

PARTS = ("cli", "client", "registry", "storage")
_BUILD_BYTES = 5


@cache
def build() -> str:
    """The build: ten hexadecimal digits, which change when any module changes."""
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
    """The name and file of each module of the parts, which are the same in each kind of install."""
    for part in PARTS:
        folder = package / part
        for path in sorted(folder.rglob("*.py")):
            yield f"{part}/{path.relative_to(folder).as_posix()}", path
