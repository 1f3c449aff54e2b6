"""The formula beside what is seen: conditions, predictions, verdict; and how syncs are delayed."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.load import Load, Outcome
from bench.suites import formula
from bench.suites.formula import Machine, Seen, compared, holds
from bench.systems.conditions import (
    SOURCE,
    ConditionedSystem,
    build_shim,
    slow_syncs,
)
from decreed.cli.bench.formula import Conditions, claims_per_s

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
TWO, ONE, SLOW = Machine(2, 0.0), Machine(1, 0.0), Machine(2, 8.0)


def outcome(per_s: float, cpu_us: float) -> Outcome:
    return {"per_s": per_s, "server_cpu_us": cpu_us}


def test_the_first_conditions_give_the_processor_time_and_the_others_are_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formula, "machines", lambda: [TWO, ONE, SLOW])
    seen = {
        TWO: Seen(outcome(10_000, 150), 0.2, 0.1),
        ONE: Seen(outcome(5_000, 180), 0.3, 0.2),
        SLOW: Seen(outcome(2_000, 200), 8.0, 0.3),
    }
    found = compared(seen, Load(outstanding=64))
    for machine, figures in found.items():
        predicted = claims_per_s(Conditions(3, machine.cores, seen[machine].sync_ms, 150, 64))
        assert figures["predicted_per_s"] == predicted
        assert figures["fit"] == seen[machine].outcome["per_s"] / predicted
    # 64 of 2,000 a second take 32 ms, of which two cores work 6.4 ms: 3.2 syncs of 8 ms are left
    assert found[SLOW]["syncs_in_a_row"] == pytest.approx(3.2)
    assert "syncs_in_a_row" not in found[TWO]


@pytest.mark.parametrize(("fit", "held"), [(0.7, True), (1.3, True), (0.69, False), (1.31, False)])
def test_the_formula_holds_within_thirty_percent(fit: float, held: bool) -> None:
    assert holds(fit) == held


def test_conditions_are_one_core_and_more_and_slower_syncs_and_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formula, "usable_cores", lambda: 8)
    named = [str(machine) for machine in formula.machines()]
    assert named[:2] == ["2 cores", "1 core"]
    assert "1 core, syncs 2 ms longer" in named
    monkeypatch.setattr(formula, "usable_cores", lambda: 1)
    assert len({*formula.machines()}) == len(formula.machines()) == 3


def test_nodes_are_kept_on_their_cores_and_have_the_delay(tmp_path: Path) -> None:
    slow = ConditionedSystem(tmp_path, cores=(1, 3), delay_ms=2.5, shim=tmp_path / "slow.so")
    plain = ConditionedSystem(tmp_path)
    for cluster in (slow, plain):
        cluster.give_ports_back()
    assert slow.command(0)[:3] == ["taskset", "-c", "1,3"]
    assert (slow.environment() or {})["SLOW_SYNC_US"] == "2500"
    assert plain.command(0)[0] == plain.python and plain.environment() is None


@needs_gcc
def test_the_library_delays_syncs_and_compiles_without_a_warning(tmp_path: Path) -> None:
    strict = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    library = str(tmp_path / "strict.so")
    subprocess.run([*strict, "-o", library, str(SOURCE), "-ldl"], check=True)
    program = "import os; [sync(os.open('.', os.O_RDONLY)) for sync in (os.fsync, os.fdatasync)]"
    began = time.monotonic()
    environment = slow_syncs(build_shim(tmp_path), 150.0)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    assert time.monotonic() - began >= 0.3, "a delay can be longer and never shorter"


@needs_gcc
def test_a_sync_that_fails_still_says_so(tmp_path: Path) -> None:
    program = "import os\ntry: os.fsync(999)\nexcept OSError as error: print(error.errno)"
    environment = slow_syncs(build_shim(tmp_path), 1.0)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "9\n"
