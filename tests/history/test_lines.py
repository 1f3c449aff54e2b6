"""Histories as files, the command that judges them, and the recorder that makes them."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from decreed.registry.errors import BadRequest, ClaimIdReused, OutcomeUnknown
from decreed.registry.types import Claim, Key, Outcome
from decreed.registry.wire.requests import Decreed, Failed, ListPage, Undecided
from decreed.registry.wire.status import StatusReport

from .__main__ import main
from .lines import dump, line_of, load, operation_of
from .operations import HistoryError, Kind, Operation, Result, Wish
from .recorder import Pending, Recorder
from .samples import claim, decree, read, take
from .simulated import changed, right_history

ROOT = Path(__file__).parents[2]
D1 = decree("a", "1")
RIGHT = [claim((1, 2), "a", "1", D1, Result.WON), read((3, 4), "a", D1)]
WRONG = [*RIGHT, read((5, 6), "a", None)]


def test_a_dumped_history_is_loaded_unchanged(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / "history.jsonl"
    for _ in range(100):
        history = changed(right_history(chance), chance)
        dump(history, path)
        assert list(load(path)) == history


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\x00", "é\u2028".encode(), b"\xed\xa0\x80"])
def test_any_bytes_survive_a_line(data: bytes) -> None:
    wish = Wish(data, data or b"id")
    operation = Operation("c", Kind.CLAIM, "a", 1, None, Result.UNKNOWN, wish)
    line = line_of(operation)
    assert len(line.splitlines()) == 1
    assert operation_of(line) == operation


def test_whole_nanoseconds_keep_all_their_digits() -> None:
    operation = read((2**62 + 1, 2**62 + 3), "a", None)
    assert operation_of(line_of(operation)).called == 2**62 + 1


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        "{}",
        "[" * 100_000,
        line_of(RIGHT[0]).replace("won", "sold"),
        line_of(RIGHT[0]).replace("won", "undecided"),
        line_of(RIGHT[0]).replace('"called": 1', '"called": 9'),
        line_of(RIGHT[0]).replace('"called": 1', '"called": NaN'),
        line_of(RIGHT[0]).replace('"called": 1', '"called": true'),
        line_of(RIGHT[0]).replace('"returned": 2', '"returned": null'),
        line_of(RIGHT[0]).replace("1.n1#2", "1/n1/2"),
        line_of(RIGHT[0]).replace('"wish"', '"want"'),
        line_of(RIGHT[1]).replace('"decrees"', '"wish"'),
        line_of(take((0, 1), "1", 1)).replace('"first_slot": 1', '"first_slot": "1"'),
        line_of(take((0, 1), "1", 1)).replace('"first_slot": 1', '"first_slot": 0'),
    ],
)
def test_a_line_that_is_no_operation_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{line_of(RIGHT[0])}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(HistoryError, match="line 3: "):
        list(load(path))


@pytest.mark.parametrize(("history", "code", "word"), [(RIGHT, 0, "right: 2"), (WRONG, 1, "WRONG")])
def test_the_command_judges_a_file(
    history: list[Operation], code: int, word: str, tmp_path: Path
) -> None:
    dump(history, tmp_path / "history.jsonl")
    command = [sys.executable, "-m", "tests.history", str(tmp_path / "history.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith(word)) == (code, True), done
    assert done.stderr == ""


def test_bad_files_and_usage_have_another_exit_code_than_wrong_histories(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").write_text("bad")
    assert [main([str(tmp_path / "bad")]), main([str(tmp_path / "none")]), main([])] == [2, 2, 2]
    assert "line 1: no operation" in capsys.readouterr().err


class Clock:
    """A clock that ticks at each call."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def begun() -> Pending:
    return Recorder(Clock()).claim("c", Claim(Key("a"), b"v", "text/plain", "me", b"1"))


def test_the_recorder_keeps_calls_and_ends() -> None:
    recorder = Recorder(Clock())
    one, two = recorder.get("c1", "a"), recorder.claim_next("c2", "s", Wish(b"v", b"1"), 3)
    one.undecided()
    assert [operation.called for operation in recorder.history] == [1, 2]
    assert [operation.returned for operation in recorder.history] == [3, None]
    two.decreed(decree("s@3", "1"), Outcome.WON)
    two.failed(definite=True)
    assert recorder.history[1].result is Result.WON
    kinds = [recorder.wait("c", "a"), recorder.latest("c", "s"), recorder.list("c")]
    assert [p.operation.kind for p in kinds] == [Kind.WAIT, Kind.LATEST, Kind.LIST]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (BadRequest("no"), Result.FAILED),
        (ClaimIdReused("no"), Result.REUSED),
        (OutcomeUnknown("?"), Result.UNKNOWN),
        (TimeoutError(), Result.UNKNOWN),
    ],
)
def test_only_a_definite_error_of_ours_is_recorded_as_a_failure(
    error: Exception, result: Result
) -> None:
    pending = begun()
    pending.raised(error)
    assert pending.operation.result is result


def test_answers_from_the_wire_end_operations() -> None:
    recorder = Recorder(Clock())
    claimed, failed, read_, listed = (
        recorder.claim("c", Claim(Key("a"), b"v", "text/plain", "me", b"1")),
        recorder.claim("c", Claim(Key("a"), b"v", "text/plain", "me", b"1")),
        recorder.get("c", "a"),
        recorder.list("c"),
    )
    claimed.answered(Decreed(1, D1))
    failed.answered(Failed(1, 99, "a code from the future"))
    read_.answered(Undecided(1))
    listed.answered(ListPage(1, (D1,), "a"))
    assert listed.operation.returned is None
    listed.answered(ListPage(1, (decree("b", "1"),), None))
    results = [operation.result for operation in recorder.history]
    assert results == [Result.DECREED, Result.UNKNOWN, Result.UNDECIDED, Result.LISTED]
    assert [each.key for each in listed.operation.decrees] == ["a", "b"]
    with pytest.raises(TypeError):
        begun().answered(
            StatusReport(
                1, D1.ballot.process.node, "", "", None, 1, "", True, "", 0, 0, 2, 2, 0, ()
            )
        )
