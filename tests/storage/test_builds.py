"""Two builds of one version differ in their name, and refusals give it."""

import shutil
from pathlib import Path

import pytest

from decreed.registry.errors import IdentityRefused, Refused
from decreed.registry.server.versions import choose_version
from decreed.registry.types import NodeId
from decreed.registry.version import PARTS, build, described, digest_of
from decreed.storage.directory import open_directory
from decreed.storage.marker import MARKER

from ..support.world import config

ROOT = Path(__file__).parents[2]


def test_a_build_is_its_sources_wherever_they_lie(tmp_path: Path) -> None:
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=ignored)
    assert digest_of(tmp_path) == digest_of(ROOT) == build()
    (tmp_path / "cli" / "notes.txt").write_text("no module")
    assert digest_of(tmp_path) == build()
    module = tmp_path / "storage" / "marker.py"
    module.write_text(module.read_text().replace("(5, 6)", "(5, 7)"))
    assert digest_of(tmp_path) != build()


def test_refusals_name_version_build_and_format(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("decreed data directory, format 7, ready\n")
    with pytest.raises(IdentityRefused) as refused:
        open_directory(tmp_path, config(1), NodeId("n1"))
    assert described() in str(refused.value) and "format 7" in str(refused.value)
    with pytest.raises(Refused, match=build()):
        choose_version(7, 9)
