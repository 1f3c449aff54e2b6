"""The kept corpus of every target is tried again, and the guided run can be started."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from .guided import CORPUS, MISSING, NAMES
from .targets import TARGETS

ROOT = Path(__file__).parents[2]
KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_a_kept_input_breaks_nothing(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus_of_small_files() -> None:
    assert set(NAMES) == set(TARGETS) == {path.parent.name for path in KEPT}
    assert all(path.stat().st_size <= 4_096 for path in KEPT)


def test_the_guided_run_works_or_says_what_it_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.guided", "key", "--seconds", "1"]
    done = subprocess.run(
        [*command, "--work", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if importlib.util.find_spec("atheris"):
        assert done.returncode == 0, done.stderr[-2_000:]
    else:
        assert (done.returncode, done.stderr.strip()) == (2, MISSING)
