"""etcd's own load generator: what it says is read, and ours is given the same load."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.load import options
from bench.suites.crosscheck import LARGEST, SMALL, Model, puts, read_check
from bench.systems.cluster import NotReady
from bench.systems.etcd import Etcd

PASSED = """\
 60 / 60 Booooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo! 100.00%1m0s
PASS: Throughput is 151 writes/s
PASS: Slowest request took 0.128230s
PASS: Stddev is 0.004005s
PASS
"""
FAILED = """\
FAIL: Throughput too low: 4212 writes/s
Slowest request took too long: 1.250000s
FAIL: Stddev too high: 0.150000s
FAIL
"""


def test_its_figures_are_read_whether_it_is_content_or_not() -> None:
    passed, failed = read_check(PASSED), read_check(FAILED)
    assert (passed["per_s"], passed["slowest_ms"]) == (151, pytest.approx(128.23))
    assert passed["stddev_ms"] == pytest.approx(4.005)
    assert failed == {"per_s": 4212, "slowest_ms": 1250, "stddev_ms": 150}


def test_without_figures_its_words_are_reported() -> None:
    with pytest.raises(NotReady, match="connection refused"):
        read_check("Error: connection refused")


@pytest.mark.parametrize("model", [SMALL, LARGEST])
def test_ours_puts_as_many_bytes_as_often(tmp_path: Path, model: Model) -> None:
    etcd = Etcd(tmp_path)
    etcd.give_ports_back()
    line = " ".join(options(etcd, puts(model)))
    assert f"--outstanding {model.clients} " in line and f"--rate {model.per_s} " in line
    assert "--value-size 1024" in line and "--key-size 256" in line and "--op put" in line


@pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed")
def test_etcdctl_has_the_check() -> None:
    done = subprocess.run(
        ["etcdctl", "check", "perf", "--help"],
        capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"},
    )  # fmt: skip
    assert "xl(xLarge)" in done.stdout and "--load" in done.stdout
