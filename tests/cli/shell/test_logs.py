"""A node's log: lines for people and for machines, without terminal controls."""

import errno
import io
import json
import os
import subprocess
import sys

import pytest

from decreed.cli.shell.logs import LogForm, LogLevel, set_up_logs
from decreed.registry.server import log


def test_logs_are_lines_on_standard_error() -> None:
    code = (
        "import sys; from decreed.cli.shell.logs import *; from decreed.registry.server import log;"
        "set_up_logs(LogForm(sys.argv[1]), LogLevel.INFO);"
        "log.debug('quiet'); log.info('formed', node='n1')"
    )
    found: dict[str, str] = {}
    for form in ("text", "json"):
        done = subprocess.run(
            [sys.executable, "-c", code, form], capture_output=True, text=True, check=True
        )
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        found[form] = done.stderr
    assert "formed" in found["text"] and "node=n1" in found["text"]
    line = json.loads(found["json"])
    assert (line["event"], line["node"], line["level"]) == ("formed", "n1", "info")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_lines_below_the_log_level_are_not_written(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(LogForm.TEXT, LogLevel(level))
    for say in (log.debug, log.info, log.warning, log.error):
        say("x")
    said = [line.split()[1].strip("[]") for line in capsys.readouterr().err.splitlines()]
    every = ["debug", "info", "warning", "error"]
    assert said == every[every.index(level) :]


def test_fields_are_in_order_and_are_quoted_if_empty_or_with_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs(LogForm.TEXT, LogLevel.INFO)
    log.info("linked", peer="n2", count=3, reason="it went away", a="")
    line = capsys.readouterr().err
    assert line.endswith(
        f" [info     ] {'linked':<30} a='' count=3 peer=n2 reason='it went away'\n"
    )


def test_no_field_breaks_a_log_line_or_controls_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for form in LogForm:
        set_up_logs(form, LogLevel.INFO)
        log.info("two\nlines \x1b[31m %s", reason="\x1b[2J\u202e")
        said = capsys.readouterr().err
        assert said.endswith("\n") and said[:-1].isprintable(), form
        assert "%s" in said


def test_values_that_json_cannot_express_are_logged_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs(LogForm.JSON, LogLevel.INFO)
    log.info("x", error=ValueError("why"), none=None, count=2, share=0.5, worst=float("nan"))
    said = capsys.readouterr().err
    assert "NaN" not in said
    line = json.loads(said)
    assert (line["error"], line["none"], line["count"]) == ("why", None, 2)
    assert (line["share"], line["worst"]) == (0.5, "nan")


def test_only_a_terminal_gets_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        set_up_logs(LogForm.TEXT, LogLevel.INFO)
        log.error("x")
        assert ("\x1b[" in capsys.readouterr().err) is terminal


def test_a_log_that_cannot_be_written_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stderr", Full())
    set_up_logs(LogForm.TEXT, LogLevel.INFO)
    log.info("x")


ACCEPT_FAILS = """
import errno, os, sys, trio
from decreed.cli.shell.logs import *

class Listener(trio.abc.Listener[trio.abc.Stream]):
    calls = 0
    async def accept(self):
        Listener.calls += 1
        if Listener.calls > 1:
            raise KeyboardInterrupt
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    async def aclose(self):
        pass

set_up_logs(LogForm(sys.argv[1]), LogLevel.INFO)
try:
    trio.run(trio.serve_listeners, None, [Listener()])
except BaseException:
    pass
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_that_trio_logs_is_one_line(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ACCEPT_FAILS, form], capture_output=True, text=True, check=True
    )
    assert done.stderr.count("\n") == 1, done.stderr
    assert "accept returned EMFILE" in done.stderr and "Too many open files" in done.stderr
    if form == "json":
        line = json.loads(done.stderr)
        assert (line["level"], line["part"]) == ("error", "trio.serve_listeners")


@pytest.mark.parametrize("form", [LogForm.JSON, LogForm.TEXT])
def test_the_traceback_of_a_fault_is_a_fact_of_its_one_line(
    capsys: pytest.CaptureFixture[str], form: LogForm
) -> None:
    set_up_logs(form, LogLevel.INFO)
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        log.failed("it failed", error, path="/metrics")
    [line] = capsys.readouterr().err.splitlines()
    assert "it failed" in line and "/metrics" in line and "test_logs.py" in line
    if form is LogForm.JSON:
        facts = json.loads(line)
        assert facts["reason"] == "two\nlines"
        assert facts["traceback"].startswith("Traceback (most recent call last):")
        assert facts["traceback"].endswith("ValueError: two\nlines\n")
