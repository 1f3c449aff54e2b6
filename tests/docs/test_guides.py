"""The pages for those who work on decreed: the files, commands and hooks that they name exist."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .pages import ROOT, quoted

GUIDES = ("CONTRIBUTING.md", "SECURITY.md", "tests/README.md", ".github/pull_request_template.md")
TARGETS = {"test", "lint", "types", "sim", "model", "chaos", "bench", "docs"}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
_MAKE = re.compile(r"\bmake ((?:[a-z]+ ?)+)")


def targets() -> dict[str, str]:
    """The targets of the Makefile, each with its one command."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z]+): ##.*\n\t(.+)\n(?!\t)", text, re.MULTILINE))


@pytest.mark.parametrize("guide", GUIDES)
def test_the_files_that_a_guide_names_exist(guide: str) -> None:
    path = ROOT / guide
    text = path.read_text(encoding="utf-8")
    linked = [path.parent / name for name in _LINK.findall(text)]
    assert [str(each) for each in linked if not each.exists()] == []
    named = [each for each in quoted(text) if re.fullmatch(r"[\w./-]+(\.py|\.md|/)", each)]
    # files that are built are not in the repository
    made = set(re.findall(r"^/(.*)$", (ROOT / ".gitignore").read_text("utf-8"), re.MULTILINE))
    named = [name for name in named if name not in made]
    # beside the guide or from the top
    assert [
        name for name in named if not any((at / name).exists() for at in (path.parent, ROOT))
    ] == []


@pytest.mark.parametrize("guide", [*GUIDES, "docs/correctness.md", ".ci/run"])
def test_the_targets_that_a_guide_names_exist(guide: str) -> None:
    text = (ROOT / guide).read_text(encoding="utf-8")
    said = quoted(text) if guide.endswith(".md") else text.splitlines()
    named = {word for each in said for found in _MAKE.findall(each) for word in found.split()}
    assert named - targets().keys() == set()


def test_each_target_is_one_command() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets().keys() >= TARGETS
    assert set(re.findall(r"^([a-z]+):", text, re.MULTILINE)) == targets().keys()
    [phony] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert set(phony.split()) == targets().keys()


def test_make_without_a_target_lists_the_targets() -> None:
    said = subprocess.run(
        ["make", "-C", str(ROOT), "-s"], capture_output=True, text=True, check=True
    )
    assert {line.split()[0] for line in said.stdout.splitlines()} == targets().keys()


def test_the_hooks_are_valid_and_need_no_other_repository() -> None:
    pytest.importorskip("pre_commit", reason="an environment from before it was in the extra dev")
    config = ROOT / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    text = config.read_text(encoding="utf-8")
    assert re.findall(r"repo: (.*)", text) == ["local"]
    assert set(re.findall(r"language: (.*)", text)) == {"system"}
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = " ".join(dev["project"]["optional-dependencies"]["dev"])
    tools = {Path(each).name for each in re.findall(r"entry: (\S+)", text)}
    assert {tool for tool in tools if tool not in extra} == set()
