"""Standard streams that are closed or full, and a stop while the program is being loaded."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from decreed.cli.config.settings_text import config_text

from ...support.ports import held
from ...support.processes import PATIENCE_S

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line in which ``decreed`` is the command, with streams of its own."""
    defined = f'decreed() {{ "{sys.executable}" -m decreed "$@"; }}; {line}'
    return subprocess.run(["sh", "-c", defined], capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("decreed version >&-", "it is closed"),
        ("decreed version --timeout 1s --json >&-", "it is closed"),
        pytest.param("decreed version >/dev/full", "No space left", marks=needs_full),
        pytest.param("decreed get --help >/dev/full", "No space left", marks=needs_full),
        pytest.param("decreed --help >/dev/full", "No space left", marks=needs_full),
        pytest.param("decreed >/dev/full", "No space left", marks=needs_full),
    ],
)
def test_lost_output_is_reported_in_one_line(line: str, reason: str) -> None:
    done = shell(line)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output" in done.stderr and reason in done.stderr


def test_a_closed_input_is_bad_input() -> None:
    done = shell("decreed claim k - <&-")
    assert done.returncode == 2
    assert done.stderr.startswith("decreed: standard input: it is closed")


@pytest.mark.parametrize("where", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_without_standard_error_the_exit_code_is_the_same(where: str) -> None:
    assert shell(f"decreed version {where}").stdout.startswith("decreed ")
    assert shell(f"decreed get 'a b' {where}").returncode == 2


def test_help_into_a_closed_pipe_is_silent() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "decreed", "get", "--help"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@needs_full
def test_a_node_whose_logs_cannot_be_written_goes_on(tmp_path: Path, config_of_one: Path) -> None:
    serve = f"decreed serve --config {config_of_one} --node n1 --data {tmp_path}/d --timeout 500ms"
    assert shell(f"{serve} 2>/dev/full").returncode == 0


@pytest.fixture
def config_of_one(tmp_path: Path) -> Iterator[Path]:
    """A cluster of one node."""
    path = tmp_path / "cluster.toml"
    with held(1) as [port]:
        path.write_text(config_text("c", {"n1": f"127.0.0.1:{port}"}))
        yield path


def test_a_stop_signal_during_loading_is_not_lost(tmp_path: Path, config_of_one: Path) -> None:
    """The signal comes after the first lines of the process, before any other part is loaded."""
    code = (
        "import os, signal, sys\n"
        "from decreed.cli import early\n"
        "assert 'trio' not in sys.modules and 'decreed.client' not in sys.modules\n"
        "early.hold_closed_streams = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
        "early.main()\n"
    )
    arguments = ["serve", "--config", str(config_of_one), "--node", "n1"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--data", str(tmp_path / "d")],
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "stopping" in done.stderr


def test_an_interrupt_while_the_command_loads_is_130_without_a_traceback() -> None:
    code = """
import os, signal, sys
from decreed.cli.early import main
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "decreed.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["decreed", "version"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
