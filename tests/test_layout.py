"""The folders are importable only as parts of `decreed`, and a wheel holds only that."""

import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from importlib import metadata
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
        *extras["cli"],
        *extras["server"],
        *extras["dev"],
        *extras["bench"],
        *extras["docs"],
        *extras["servers-tests"],
        *extras["ca"],
        *extras["release"],
    ]:
        name = requirement.split(">")[0].split("=")[0].split("[")[0].lower()
        assert name in names or name == "decreed", f"{name} is not pinned"


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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of what is tracked."""
    pytest.importorskip("build")
    return build(tracked(), tmp_path_factory.mktemp("built"))


CHECKOUT_ONLY = (".git", ".github/", ".pre-commit-config.yaml")
"""What begins with one of these is of use in a checkout alone."""


def test_the_sdist_is_the_repository(built: tuple[Path, Path]) -> None:
    """Its docs, examples, tests and changelog too, so that it can be read, tested and packaged."""
    with tarfile.open(built[0]) as tar:
        inside = {member.name.split("/", 1)[-1] for member in tar if member.isfile()}
    made = {name for name in inside if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    ours = {name for mode, name in tracked() if not mode.startswith("120000")}
    assert inside - made == {name for name in ours if not name.startswith(CHECKOUT_ONLY)}


def test_what_the_registry_of_packages_shows_is_said() -> None:
    project = PROJECT["project"]
    assert len(project["keywords"]) >= 5
    versions = [each for each in project["classifiers"] if each[:23] == "Programming Language ::"]
    assert f"Programming Language :: Python :: {project['requires-python'][2:]}" in versions
    # a place is named when there is one, and its name is no guess
    assert "example" not in str(project.get("urls", ""))


def test_sdist_and_wheel_hold_each_tracked_file_once(built: tuple[Path, Path]) -> None:
    ours = [name for mode, name in tracked() if not mode.startswith("120000")]
    ours = [name for name in ours if name.split("/")[0] in ("decreed", *PARTS)]
    sdist, wheel = built
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


def needed(names: Iterable[str]) -> set[str]:
    """All distributions that those of `names` need, their extras left out; those too."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = re.split(r"[^A-Za-z0-9._-]", waiting.pop(), maxsplit=1)[0]
        # what a marker leaves out on this system is not here either
        if name not in found and list(metadata.distributions(name=name)):
            found.add(name)
            requires = metadata.requires(name) or []
            waiting += [each for each in requires if "extra ==" not in each]
    return found


def library_alone(wheel: Path, folder: Path) -> Path:
    """A fresh environment with the wheel and what the library needs, and nothing else; its Python."""
    venv.create(folder, symlinks=True)
    scheme = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    python = folder / "bin" / "python"
    # for the new environment: without --python, pip would take the wheel for this one's own decreed
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    site = Path(scheme["purelib"])
    for name in needed(PROJECT["project"]["dependencies"]):
        files = metadata.files(name) or []
        for top in {file.parts[0] for file in files if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    return python


def test_the_library_alone_is_a_client_and_its_command_says_what_to_install(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    python = library_alone(built[1], tmp_path / "venv")

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=120
        )

    absent = (
        "typer, trio, rich, dotenv, ruamel, yaml12, tomlkit, tomli, pathspec, rocksdict, pydantic"
    )
    code = f"""
import importlib.util, decreed, decreed.client.sync, decreed.client.fencing
for name in "{absent}".split(", "):
    assert importlib.util.find_spec(name) is None, name
with decreed.client.sync.connect("127.0.0.1:1") as registry:
    try:
        registry.get("k", timeout=0.1)
    except decreed.errors.Unreachable as error:
        print("asked")
"""
    done = run(str(python), "-I", "-c", code)
    assert (done.stdout, done.stderr) == ("asked\n", "")
    script = python.parent / "decreed"
    for words in (["get", "k"], ["--help"], ["serve"], []):
        done = run(str(script), *words)
        assert (done.returncode, done.stdout) == (7, "")
        assert done.stderr == (
            "decreed: the command line is not installed, only the library; "
            "pip install 'decreed[cli]'\n"
        )
    error = json.loads(run(str(script), "get", "k", "--json").stderr)["error"]
    assert (error["kind"], error["exit_code"]) == ("MissingExtra", 7)


def test_the_extras_stand_one_on_the_other() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert "decreed[cli]" in extras["server"]
    library = {re.split("[>=]", each)[0] for each in PROJECT["project"]["dependencies"]}
    assert library == {"anyio", "cbor2", "msgspec"}
    assert not library & {re.split("[>=]", each)[0] for each in extras["cli"]}
