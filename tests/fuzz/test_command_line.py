"""The command line: any arguments end with one of our exit codes and a line, never a traceback.

The commands that start servers or never end are left out, and so are the options that install
completion into the user's shell. Exit code 1 means "unexpected": it must not occur.
"""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from decreed.cli.main import run
from decreed.cli.options.types import parse_duration, parse_endpoints
from decreed.client.requests.claims import make_claim
from decreed.client.requests.results import Claimed
from decreed.registry.errors import Exit
from decreed.registry.keys import parse_key, slot_key
from tests.cli.fakes import FakeRegistry

OFFLINE = ("init", "version")
ASKING = ("claim", "next", "get", "list", "latest", "wait", "status", "import")
# they never end, or run any given command
WITHOUT_END = ("dev", "elect", "leader", "lock", "once", "serve", "watch")
OPTIONS = [
    "--json", "--raw", "--literal", "--exclusive", "--keys", "--help", "--force", "--", "-",
    "--claim-id", "--claimant", "--note", "--content-type", "--timeout", "--endpoints",
    "--first-slot", "--node", "--prepare-quorum", "--accept-quorum", "--format", "--since",
    "--rename", "--rename=b=c", "--exclude", "--exclude=b", "--dry-run", "--keep-going", "--hidden",
    "--skip-bad-names", "--root", "--whole", "--document", "--format=yaml", "--document=1",
    "--timeout=1s", "--note=", "--claim-id=x", "--no-such", "-h", "--json=1", "--first-slot=9",
]  # fmt: skip
VALUES = [
    "k", "a/b", "s@1", "a//b", "é", "e\u0301", "$x", "@file", "@@x", "@missing", "@", "-5", "1s",
    "0", "-1", "1e9", "99999999999999999999", "h:1", "h:1,h:2", "n1=h:1", "n2=h:2", "n3=h:3",
    "n1=h", "=", "", " ", "\udcff", "\0", "\n", "x" * 600, "out", ".", "values.toml", "bad.json", "b=c",
]  # fmt: skip
# no slashes, so that nothing outside the test's own folder is read or written
TEXTS = st.text(st.characters(exclude_characters="/"), max_size=6).filter(lambda text: text != "..")
TOKENS = st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | TEXTS


class StrictRegistry(FakeRegistry):
    """A registry in memory that checks claims as the client does."""

    async def claim(
        self, key: str, value: bytes | str, *, claim_id: bytes | None = None, **details: Any
    ) -> Claimed:
        words = {name: details.get(name) or "" for name in ("claimant", "note")}
        make_claim(parse_key(key), value, words["claimant"], note=words["note"], claim_id=claim_id)
        return await super().claim(key, value, claim_id=claim_id, **details)

    async def claim_next(
        self, series: str, value: bytes | str, *, claim_id: bytes, **details: Any
    ) -> Claimed:
        key = parse_key(slot_key(series, 1))
        make_claim(key, value, "me", note=details.get("note") or "", claim_id=claim_id)
        return await super().claim_next(series, value, claim_id=claim_id, **details)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a few files, a home of its own, and a registry for every endpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DECREED_ENDPOINTS", "DECREED_CLAIMANT", "DECREED_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    registry = StrictRegistry()
    monkeypatch.setattr("decreed.cli.options.connection.connect", registry.connect)
    monkeypatch.setattr("decreed.cli.options.connection.ask", registry.ask)
    (tmp_path / "file").write_bytes(b"\xff\x00")
    (tmp_path / "values.toml").write_text("[a]\nb = 1\n")
    (tmp_path / "bad.json").write_text("{")
    yield tmp_path


def outcome_of(arguments: list[str]) -> tuple[int, str]:
    """The exit code and the standard error output."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(3)]
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        code = run(arguments)
        streams[2].flush()
        errors = streams[2].buffer
        assert isinstance(errors, io.BytesIO)
        return code, errors.getvalue().decode()
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def check(arguments: list[str]) -> None:
    code, errors = outcome_of(arguments)
    assert code in set(Exit) and code != Exit.UNEXPECTED, (arguments, code, errors)
    assert "Traceback" not in errors
    # without a command the help is printed, to standard output
    named = any(argument != "--" for argument in arguments)
    silent = (Exit.DONE, Exit.LOST, Exit.UNREACHABLE) if named else (Exit.BAD_REQUEST,)
    assert code in silent or errors.strip(), (arguments, code)


@given(st.sampled_from([*OFFLINE, *ASKING]), st.lists(TOKENS, max_size=6))
def test_any_arguments_of_a_command_end_with_an_exit_code(command: str, rest: list[str]) -> None:
    check([command, *rest])


@settings(max_examples=max(50, settings().max_examples // 2))
@given(
    st.sampled_from(ASKING),
    st.sampled_from(["k", "a/b", "s"]),
    st.sampled_from(["value", "@file", "-", "-5", "\udcff"]),
    st.lists(TOKENS, max_size=3),
)
def test_nearly_right_commands_end_with_an_exit_code(
    command: str, key: str, value: str, rest: list[str]
) -> None:
    check([command, key, *([value] if command in ("claim", "next") else []), *rest])


@settings(max_examples=max(50, settings().max_examples // 2))
@given(st.lists(TEXTS | st.sampled_from(["--json", "--help", "-", "--"]), max_size=3))
def test_any_words_at_all_end_with_an_exit_code(words: list[str]) -> None:
    check([word for word in words if word not in WITHOUT_END])


@given(st.text(max_size=12) | st.from_regex(r"([0-9]{0,400}(\.[0-9]+)?(ms|s|m|h|d|x)?){1,3}"))
def test_any_time_is_seconds_within_the_bounds_or_bad_usage(text: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        assert 0.001 <= parse_duration(text) <= 365 * 86_400


@given(st.text(max_size=20) | st.lists(st.sampled_from(["h:1", "", " ", "[::1]:2"])).map(",".join))
def test_any_endpoints_are_addresses_or_bad_usage(text: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        assert all(":" in endpoint for endpoint in parse_endpoints(text))
