"""The command: missing systems are skipped and reported; and one short run of decreed alone."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench.__main__ import SUITES, SYSTEMS, main

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "laboratory.md")


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(main)
    return app


def test_missing_peers_are_skipped_and_reported(
    command: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(command, ["--dry"])
    assert done.exit_code == 0, done.output
    for name in SYSTEMS.keys() - {"decreed"}:
        assert f"{name} is skipped: " in done.output
    assert "client libraries only: gcc not installed" in done.output
    assert "no plots: " in done.output
    assert f"suites: {' '.join(SUITES)}; systems: decreed\n" in done.output


@pytest.mark.parametrize("wrong", [["nothing"], ["--peers", "nobody"]])
def test_unknown_suites_and_systems_are_refused(command: typer.Typer, wrong: list[str]) -> None:
    done = CliRunner().invoke(command, [*wrong, "--dry"])
    assert done.exit_code == 2
    assert "there are" in done.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_commands_that_exist(command: typer.Typer, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"python -m bench((?: [a-z0-9-][\w,./-]*)*)", text)
    assert named
    for text in named:
        done = CliRunner().invoke(command, [*text.split(), "--dry"])
        assert done.exit_code == 0, f"{text}: {done.output}"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the load generator needs gcc")
def test_a_short_run_of_decreed_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "claims", "--short", "--peers", "decreed"]
    done = subprocess.run(
        [*command, "--seconds", "0.1", "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=1_200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "claims.json").read_text())
    runs = {(run["work"], run["way"]): run["figures"] for run in document["runs"]}
    assert runs.keys() >= {
        ("claim, 64 outstanding", "protocol"),
        ("claim, 64 outstanding", "library"),
    }
    for figures in runs.values():
        assert figures["failed"] == figures["lost"] == figures.get("mismatches", 0) == 0
    assert sum(figures["done"] for figures in runs.values()) > 0
    assert "claim, 1 outstanding" in (tmp_path / "claims.md").read_text()
    assert not (tmp_path / "scratch").exists()
