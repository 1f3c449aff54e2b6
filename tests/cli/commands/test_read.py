"""``get``, ``list`` and ``latest``: exact bytes, safe text, JSON, and undecided."""

import base64

import pytest

from decreed.registry.errors import Unreachable

from ..fakes import Cli, FakeRegistry


def test_get_prints_text_and_a_newline(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "grüße")
    assert cli("get", "k").out == "grüße\n".encode()


@pytest.mark.parametrize("value", [b"", b"x", b"x\n", b"\r\n\x00\xff\x1b[2J", bytes(range(256))])
def test_raw_is_the_exact_bytes(cli: Cli, registry: FakeRegistry, value: bytes) -> None:
    registry.freeze("k", value)
    assert cli("get", "k", "--raw").out == value


def test_no_value_can_steer_a_terminal(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "a\x1b[2J\x9b\u202eb\tc\nd\r")
    assert cli("get", "k").text == "a\\x1b[2J\\u009b\\u202eb\tc\nd\\r\n"
    registry.freeze("k", b"\xff\x00")
    result = cli("get", "k")
    assert result.text == "\\xff\\x00\n"
    assert result.err == (
        "decreed: k: not plain text, written with escapes; --raw writes the exact bytes\n"
    )


def test_a_text_goes_exactly_into_a_pipe(cli: Cli, registry: FakeRegistry) -> None:
    text = "C:\\new\n\tx  y\u00a0z \u200d\ufeff \n"
    registry.freeze("k", text)
    result = cli("get", "k")
    assert (result.text, result.err) == (text + "\n", "")


def test_a_terminal_is_shown_lines_and_escapes(
    cli: Cli, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decreed.cli.commands.read.is_terminal", lambda: True)
    registry.freeze("k", "C:\\new\n\tx  y\u200d\x1b[31m\r\n")
    assert cli("get", "k").text == "C:\\\\new\n\tx  y\\u200d\\x1b[31m\\r\n\n"
    assert cli("wait", "k").text == cli("get", "k").text


def test_json_cannot_steer_a_terminal_either(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "\x1b\x7f\x9b\u202eé")
    result = cli("get", "k", "--json")
    assert result.json["value"] == "\x1b\x7f\x9b\u202eé"
    assert "\\u001b\\u007f\\u009b\\u202eé" in result.text


def test_get_as_json_has_text_or_base64(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("t", "text")
    registry.freeze("b", b"\xfe")
    assert cli("get", "t", "--json").json["value"] == "text"
    document = cli("get", "b", "--json").json
    assert (base64.b64decode(document["value_base64"]), "value" in document) == (b"\xfe", False)


def test_undecided_exits_with_4_and_names_the_next_step(cli: Cli, registry: FakeRegistry) -> None:
    result = cli("get", "k")
    assert (result.code, result.out) == (4, b"")
    assert result.err == (
        "decreed: k: undecided: nobody has frozen it; "
        "claim it, or wait for it with 'decreed wait'\n"
    )


def test_unreachable_exits_with_5_and_prints_no_value(cli: Cli, registry: FakeRegistry) -> None:
    for command in (["get", "k"], ["list"], ["latest", "s"], ["wait", "k"], ["watch"]):
        registry.failures = [Unreachable("no quorum")]
        result = cli(*command)
        assert (result.code, result.out) == (5, b"")
        assert "no quorum" in result.err


def test_list_is_one_line_per_decree(cli: Cli, registry: FakeRegistry) -> None:
    for key, value in {"a/2": "two\nlines", "a/1": "one", "ab": "no", "a@10": "x"}.items():
        registry.freeze(key, value)
    assert cli("list", "a").text == "a/1 = one\na/2 = two\\nlines\na@10 = x\n"
    assert cli("list", "a", "--keys").text == "a/1\na/2\na@10\n"


def test_list_as_json_is_one_document_per_line(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("a", "x\ny")
    registry.freeze("b", b"\xff")
    rows = cli("list", "--json").rows
    assert [row["key"] for row in rows] == ["a", "b"]
    assert (rows[0]["value"], rows[1]["value_base64"]) == ("x\ny", "/w==")


def test_a_long_value_is_cut_in_a_list_and_whole_in_get(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "x" * 5_000)
    assert cli("list").text == "k = " + "x" * 200 + "… (5000 bytes)\n"
    assert cli("get", "k").text == "x" * 5_000 + "\n"
    assert cli("claim", "k", "y").text.startswith(
        "lost  k = " + "x" * 200 + "… (5000 bytes)  (claimed"
    )


def test_latest_is_the_last_slot(cli: Cli, registry: FakeRegistry) -> None:
    for slot in range(1, 12):
        registry.freeze(f"s@{slot}", f"v{slot}")
    assert cli("latest", "s").text == "s@11 = v11\n"
    assert cli("latest", "s", "--raw").out == b"v11"
    assert cli("latest", "s", "--json").json["slot"] == 11
    assert cli("latest", "t").code == 4


@pytest.mark.parametrize(
    "arguments",
    [["get", "a b"], ["list", "a//b"], ["latest", "s@1"], ["wait", "/"], ["watch", "."]],
)
def test_bad_names_are_bad_input(cli: Cli, registry: FakeRegistry, arguments: list[str]) -> None:
    assert (cli(*arguments).code, registry.calls) == (2, [])
