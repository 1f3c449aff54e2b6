"""What goes out with a release: pins with hashes, and the bill of materials that is made of them."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .test_layout import PROJECT, ROOT, needed

PINS = ROOT / "release" / "requirements.txt"
_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)(?: ; .+)?((?: --hash=sha256:[0-9a-f]{64})+)")


def normal(name: str) -> str:
    """A name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path = PINS) -> dict[str, str]:
    """The version of each package that a list pins with hashes."""
    lines = path.read_text(encoding="utf-8").replace(" \\\n   ", "").splitlines()
    found = [_PIN.fullmatch(each) for each in lines if not each.startswith("#")]
    assert None not in found, "a line that is no pin with hashes"
    return {normal(each[1]): each[2] for each in found if each}


def make(target: str, *settings: str) -> None:
    """Make a target with this Python."""
    command = ["make", "-C", str(ROOT), "-s", target, f"PYTHON={sys.executable}", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_the_pins_are_the_versions_that_everything_is_tested_with() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(each.split("==") for each in lines if not each.startswith("#"))
    tested = {normal(name): version for name, version in tested.items()}
    assert {name: tested.get(name) for name in pins()} == pins()


def test_all_that_a_node_needs_is_pinned() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["cli"], *extras["server"], *extras["ca"]]
    names = {normal(name) for name in needed(wanted)} - {"decreed"}
    assert names and names <= pins().keys()


def test_the_pins_name_no_place_where_they_come_from() -> None:
    text = PINS.read_text(encoding="utf-8")
    assert not re.search(r"https?:|index|find-links|file:|@", text)


def test_the_pins_are_those_that_are_made(tmp_path: Path) -> None:
    if find_spec("uv") is None:
        pytest.skip("the extra release is not installed")
    made = tmp_path / "requirements.txt"
    make("pins", f"PINS={made}")
    assert pins(made) == pins()
    # files may be added to a version later, such as for another system; none may be another
    known, now = (
        set(re.findall(r"sha256:[0-9a-f]{64}", each.read_text())) for each in (PINS, made)
    )
    assert known <= now


def test_the_bill_of_materials_has_all_pins_with_their_hashes(tmp_path: Path) -> None:
    if find_spec("cyclonedx_py") is None:
        pytest.skip("the extra release is not installed")
    path = tmp_path / "made" / "bom.json"
    make("bom", f"BOM={path}")
    bom = json.loads(path.read_text())
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "decreed")
    parts = {normal(part["name"]): part for part in bom["components"]}
    assert {name: part["version"] for name, part in parts.items()} == pins()
    for part in parts.values():
        hashes = [each for ref in part["externalReferences"] for each in ref["hashes"]]
        assert hashes and {each["alg"] for each in hashes} == {"SHA-256"}
