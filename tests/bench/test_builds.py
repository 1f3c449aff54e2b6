"""Other builds beside the present one: by their own interpreter and protocol; their calls, by node."""

import cProfile
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.load import Load, options
from bench.systems.build import Counting, counting_build, interpreter, name_of, other_build
from bench.systems.cluster import NotReady
from bench.systems.decreed import DecreedSystem
from decreed.registry.wire.handshake import VERSION

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


def made_up(folder: Path, version: int) -> Path:
    """A checkout that has nothing except the version of its protocol."""
    wire = folder / "decreed" / "registry" / "wire"
    wire.mkdir(parents=True)
    for package in (wire, wire.parent, wire.parent.parent):
        (package / "__init__.py").write_text("")
    (wire / "handshake.py").write_text(f"VERSION = {version}\n")
    return folder


def test_a_checkout_is_run_with_its_modules_and_asked_in_its_protocol(
    tmp_path: Path, stack: ExitStack
) -> None:
    older = other_build(made_up(tmp_path / "older", 1))
    cluster = older(tmp_path / "data")
    stack.callback(cluster.give_ports_back)
    assert (older.name, older.python) == ("older", DecreedSystem.python)
    assert cluster.environment()["PYTHONPATH"] == str(tmp_path / "older")
    assert "--wire 1" in " ".join(options(cluster, Load()))
    counted = counting_build(older)(tmp_path / "counted")
    stack.callback(counted.give_ports_back)
    assert counted.command(0)[1:3] == ["-m", "cProfile"]
    assert counted.environment() == cluster.environment()


def test_the_present_checkout_is_a_build_that_the_generator_can_ask() -> None:
    assert other_build(ROOT).wire == VERSION


def test_a_build_of_an_unknown_protocol_and_what_is_no_build_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="speaks version 99"):
        other_build(made_up(tmp_path / "newer", 99))
    (tmp_path / "broken" / "decreed").mkdir(parents=True)
    (tmp_path / "broken" / "decreed" / "__init__.py").write_text("")
    with pytest.raises(NotReady, match="is no build of decreed"):
        other_build(tmp_path / "broken")


def test_a_checkout_with_an_environment_of_its_own_is_run_by_it(tmp_path: Path) -> None:
    assert interpreter(tmp_path) == DecreedSystem.python
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    assert interpreter(tmp_path) == str(own)


def test_a_build_has_the_name_of_its_commit_or_else_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name_of(tmp_path) == tmp_path.name
    done = subprocess.CompletedProcess(["git"], 0, stdout="1234567\n", stderr="")
    monkeypatch.setattr("subprocess.run", lambda *words, **settings: done)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert name_of(tmp_path) == "1234567"


def test_calls_are_counted_for_each_node(tmp_path: Path, stack: ExitStack) -> None:
    counting = Counting(tmp_path)
    stack.callback(counting.give_ports_back)
    for node, times in enumerate((5, 20, 40)):
        profile = cProfile.Profile()
        profile.runcall(lambda many: [json.dumps(1) for _ in range(many)], times)
        profile.dump_stats(tmp_path / f"node{node}.calls")
    first, second, third = counting.calls()
    assert (third - second) * 15 == (second - first) * 20 > 0
