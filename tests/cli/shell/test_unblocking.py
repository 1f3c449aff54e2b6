"""A log whose reader has stopped blocks no writer: lines wait, or are lost and counted."""

import os
import subprocess
import sys
import threading

from decreed.cli.shell.unblocking import Unblocking

from ...support.processes import PATIENCE_S


class Pipe:
    """A reader that reads on request."""

    def __init__(self) -> None:
        self.reads = threading.Event()
        self.taken: list[bytes] = []

    def write(self, data: bytes) -> None:
        assert self.reads.wait(PATIENCE_S)
        self.taken.append(data)


def test_a_writer_never_waits_and_lost_lines_are_counted() -> None:
    pipe = Pipe()
    lines = Unblocking(pipe.write, max_chars=100)
    for number in range(1_000):
        lines.write(f"line {number:03}\n")
    assert pipe.taken == []
    pipe.reads.set()
    lines.drain(PATIENCE_S)
    lines.write("after\n")
    lines.drain(PATIENCE_S)
    kept = b"".join(pipe.taken).decode().splitlines()
    assert kept[:11] == [f"line {number:03}" for number in range(11)]
    assert kept[11:] == ["989 lines were lost: the reader of this log was too slow", "after"]


def test_a_write_that_fails_is_dropped_and_the_next_is_tried() -> None:
    said: list[bytes] = []

    def write(data: bytes) -> None:
        said.append(data)
        raise OSError("no space")

    lines = Unblocking(write)
    lines.write("one\n")
    lines.write("two\n")
    lines.drain(PATIENCE_S)
    assert said == [b"one\n", b"two\n"]


def test_draining_is_bounded() -> None:
    pipe = Pipe()
    lines = Unblocking(pipe.write)
    lines.write("x\n")
    lines.drain(0.01)
    assert pipe.taken == []
    pipe.reads.set()  # or the thread would fail much later, in another test
    lines.drain(PATIENCE_S)
    assert pipe.taken == [b"x\n"]


PROGRAM = """
import sys
from decreed.cli.shell.logs import LogForm, LogLevel, set_up_logs
from decreed.registry.server import log
set_up_logs(LogForm.TEXT, LogLevel.INFO)
for number in range(5_000):
    log.info("a line of some length, so that a pipe is full soon", number=number)
print("done", flush=True)
"""


def test_a_process_whose_log_nobody_reads_goes_on_and_ends() -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=subprocess.PIPE,
            stderr=writer,
            timeout=PATIENCE_S,
            check=True,
        )
        assert done.stdout == b"done\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_all_lines_are_written_before_the_process_ends_and_tracebacks_are_kept() -> None:
    program = PROGRAM.replace("print(", "import logging\ntry: 1 / 0\nexcept Exception: "
                              "logging.getLogger('trio').exception('it broke')\nprint(")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE_S, check=True
    )
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 5_001
    assert "it broke" in lines[-1] and "ZeroDivisionError" in lines[-1] and "line 9" in lines[-1]
