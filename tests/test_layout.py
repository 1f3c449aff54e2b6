"""The folders are importable only as parts of `decreed`, and a wheel holds only that."""

import ast
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from .support import order

ROOT = Path(__file__).parent.parent
PARTS = ("cli", "client", "registry", "storage")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_cannot_be_imported_by_its_folder_name(part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {part}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"import decreed.{part}, not {part}" in done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_no_package_of_its_own_elsewhere(part: str, tmp_path: Path) -> None:
    code = f"import importlib.util as u; raise SystemExit(u.find_spec({part!r}) is not None)"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path)
    assert done.returncode == 0


def test_no_file_of_ours_is_loaded_under_two_names() -> None:
    ours = [ROOT / folder for folder in ("decreed", *PARTS)]
    seen: dict[Path, str] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name == "__main__" or not file:
            continue
        real = Path(file).resolve()
        if any(real.is_relative_to(folder) for folder in ours):
            assert name.partition(".")[0] == "decreed"
            assert seen.setdefault(real, name) == name


def test_parts_import_one_another_relatively() -> None:
    """By its full name a class would be two for pyright, which reads the folders, not the links."""
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                assert not any(name.split(".")[0] in ("decreed", *PARTS) for name in names), path


def test_the_links_lead_to_the_parts() -> None:
    for part in PARTS:
        link = ROOT / "decreed" / part
        if not link.is_dir():
            pytest.skip("a checkout without symbolic links")
        assert link.resolve() == ROOT / part


def test_every_package_is_listed_for_the_wheel() -> None:
    found = {"decreed"}
    for part in PARTS:
        for init in (ROOT / part).rglob("__init__.py"):
            found.add(".".join(("decreed", *init.parent.relative_to(ROOT).parts)))
        for path in (ROOT / part).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(found)


def test_everything_that_is_installed_is_pinned_and_nothing_names_an_index() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 and "/" not in line and " " not in line for line in pins)
    names = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    for requirement in [
        *project["dependencies"],
        *extras["server"],
        *extras["dev"],
        *extras["bench"],
        *extras["servers-tests"],
    ]:
        name = requirement.split(">")[0].split("=")[0].split("[")[0].lower()
        assert name in names, f"{name} is not pinned"


def tracked() -> list[tuple[str, str]]:
    """Mode and name of each tracked file."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    git = ["git", "ls-files", "-s"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    entries = [line.split("\t", 1) for line in listed.splitlines()]
    return [(mode, name) for mode, name in entries if (ROOT / name).exists()]


def build(files: list[tuple[str, str]], folder: Path) -> tuple[Path, Path]:
    """The sdist and the wheel of a clean copy: leftovers of earlier builds would get into them."""
    clean = folder / "clean"
    for _, name in files:
        (clean / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clean / name, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "-nq", "-o", str(folder), str(clean)]
    subprocess.run(command, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def test_sdist_and_wheel_hold_each_tracked_file_once(tmp_path: Path) -> None:
    pytest.importorskip("build")
    files = tracked()
    ours = [name for mode, name in files if not mode.startswith("120000")]
    ours = [name for name in ours if name.split("/")[0] in ("decreed", *PARTS)]
    sdist, wheel = build(files, tmp_path)
    with tarfile.open(sdist) as tar:
        assert not [member.name for member in tar if member.issym() or member.islnk()]
        names = [member.name.split("/", 1)[-1] for member in tar if member.isfile()]
    inside = [name for name in names if name.split("/")[0] in ("decreed", *PARTS)]
    assert sorted(inside) == sorted(ours)
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    wanted = [name if name.startswith("decreed/") else f"decreed/{name}" for name in ours]
    assert sorted(names) == sorted(wanted)


def test_the_test_files_that_run_first_or_apart_exist() -> None:
    named = {*order.FIRST, *order.APART}
    assert [path for path in named if not (ROOT / "tests" / path).exists()] == []
    assert len(set(order.FIRST)) == len(order.FIRST)
