"""How foreign text is shown: it controls no terminal, forges no line, and identifies each value."""

import json
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decreed.cli.shell.shown import (
    escape_hidden,
    escape_json,
    one_line,
    show,
    show_lines,
    show_piped,
    unshown,
)
from decreed.registry.types import Outcome

from ..fakes import Cli, FakeRegistry, decree

WHOLE = 1_000_000
HIDDEN = (
    "\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u00a0", "\u00ad", "\u061c", "\u115f", "\u200b",
    "\u200e", "\u2028", "\u2029", "\u202e", "\u2066", "\u3164", "\ufe0f", "\ufeff", "\uffa0",
    "\U000e0041", "\u2800", "\u3000", "\ud800", "\udc9b",
)  # fmt: skip
PIECES = [
    b"\\",
    b"n",
    b"x",
    b"0",
    b"u",
    b"a",
    b"\n",
    b"\t",
    b" ",
    b"\xff",
    b"\x80",
    b"\xc2",
    b"\x85",
]
PIECES += ["…".encode(), b" (5 bytes)", "\u200b".encode(), b"\xed", b"\xa0"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join) | st.binary(max_size=40))
@example(b"\xc2\x85")
@example(b"\x85")
def test_the_shown_text_gives_the_exact_bytes_back(data: bytes) -> None:
    assert unshown(show(data, WHOLE)) == data


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", r"a\nb"),
        (r"a\nb", r"a\\nb"),
        ("a\tb", r"a\tb"),
        ("C:\\temp", r"C:\\temp"),
        (" a  b ", r"\x20a \x20b\x20"),
        ('["a", "b"]', '["a", "b"]'),
        ("grüße 東京", "grüße 東京"),
        ("x… (5 bytes)", r"x\u2026 (5 bytes)"),
        ("wait…", "wait…"),
    ],
)
def test_values_are_shown_by_the_convention(value: str, shown: str) -> None:
    assert show(value) == shown
    assert show(value.encode()) == shown


@pytest.mark.parametrize("character", HIDDEN, ids=lambda each: f"U+{ord(each):04X}")
def test_invisible_characters_are_escaped_everywhere(character: str) -> None:
    text = f"a{character}b"
    for shown in (
        show(text),
        escape_hidden(text),
        one_line(text, 99),
        escape_json(json.dumps(text)),
    ):
        assert "\\" in shown and character not in shown
    if unicodedata.category(character) != "Cs":
        assert character not in show_lines(text.encode())


def test_no_character_that_moves_the_cursor_is_left() -> None:
    text = "".join(map(chr, range(sys.maxunicode + 1)))
    for shown in (show(text, len(text)), escape_hidden(text), escape_json(json.dumps(text))):
        left = {unicodedata.category(each) for each in set(shown)}
        assert left.isdisjoint({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    assert json.loads(escape_json(json.dumps(text, ensure_ascii=False))) == json.loads(
        json.dumps(text)
    )


def test_a_pipe_gets_the_exact_text_unless_it_could_control_a_terminal() -> None:
    assert show_piped("a\\n\n\t\u200b".encode()) == ("a\\n\n\t\u200b", True)
    assert show_piped(b"\x1b]0;x\x07\xff") == ("\\x1b]0;x\\x07\\xff", False)


def test_a_long_text_is_cut_with_its_size() -> None:
    assert show(b"x" * 300) == "x" * 200 + "… (300 bytes)"
    assert show("é" * 300) == "é" * 200 + "… (300 characters)"
    assert show(b"x" * 200) == "x" * 200


FORGED = "v\nwon   k = mine"


def test_no_value_forges_another_line_or_another_claimant(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", FORGED)
    registry.freeze("l", "v  (claimed by eve)")
    lost = cli("claim", "k", "mine")
    assert (lost.code, lost.text.count("\n")) == (3, 1)
    assert lost.text.startswith(r"lost  k = v\nwon \x20\x20k = mine  (claimed by")
    assert cli("claim", "l", "x").text.startswith(r"lost  l = v \x20(claimed by eve)  (claimed by")


def test_all_fields_of_a_decree_are_escaped(cli: Cli, registry: FakeRegistry) -> None:
    steering = "\x1b\x9b\u202e\u3164\n"
    of = decree("k", steering)
    registry.decrees["k"] = type(of)(
        of.key, of.value, steering, steering, of.claim_id, steering, of.time_ms, of.ballot
    )
    for line in (["claim", "k", "x"], ["list"], ["latest", "k"], ["get", "k", "--json"]):
        result = cli(*line)
        for character in steering[:-1]:
            assert character not in result.text + result.err
    assert Outcome.LOST.value in cli("claim", "k", "x").text
