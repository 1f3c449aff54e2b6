"""Settings files become keys and values; the text in the file is what is frozen."""

from typing import Any

import pytest

from decreed.cli.importing import formats
from decreed.cli.importing.flatten import flatten
from decreed.cli.importing.plan import Names, arranged
from decreed.cli.importing.verbatim import Verbatim
from decreed.registry.errors import BadRequest

JSON = "application/json"


def frozen(form: str, text: str, prefix: str = "p") -> dict[str, Any]:
    tables = formats.read(form, formats.text_of(text.encode()))
    items = arranged(flatten(prefix, tables), prefix, Names())
    assert [item.key for item in items] == sorted(item.key for item in items)
    return {item.key: item.error or item.value for item in items}


def test_toml() -> None:
    text = """
    name = "a\\nb"
    ratio = 1.10
    count = 1_000
    mask = 0xff
    big = 123456789012345678901234567890
    plus = +1e3
    on = true
    day = 2026-01-31
    at = 2026-01-31T10:00:00Z
    local = 1979-05-27 07:32:00.50
    list = [1, 1.50, "x", {b = 2e3, a = 2026-01-31}, true]
    hex = [1, 0xff]
    none = [{}, []]
    [db.main]
    "host/port" = ""
    """
    found = frozen("toml", text)
    assert "0xff in a list" in str(found.pop("p/hex"))
    assert found == {
        "p/name": "a\nb",
        "p/ratio": "1.10",
        "p/count": "1_000",
        "p/mask": "0xff",
        "p/big": "123456789012345678901234567890",
        "p/plus": "+1e3",
        "p/local": "1979-05-27 07:32:00.50",
        "p/none": "[{},[]]",
        "p/on": "true",
        "p/day": "2026-01-31",
        "p/at": "2026-01-31T10:00:00Z",
        "p/list": '[1,1.50,"x",{"a":"2026-01-31","b":2e3},true]',
        "p/db/main/host/port": "",
    }


def test_json() -> None:
    big = "9" * 5_000
    text = (
        '{"a": {"b": 1.10, "c": 12345678901234567890, "d": false}, "e": ["é", null, {}],'
        ' "f": [1.0, 1e3, -0, ' + big + '], "g": 1.0, "h": 1e3, "i": ' + big + "}"
    )
    assert frozen("json", text) == {
        "p/a/b": "1.10",
        "p/a/c": "12345678901234567890",
        "p/a/d": "false",
        "p/e": '["é",null,{}]',
        "p/f": f"[1.0,1e3,-0,{big}]",
        "p/g": "1.0",
        "p/h": "1e3",
        "p/i": big,
    }


def test_yaml_scalars_stay_as_they_are_written() -> None:
    text = """
    version: 1.10
    mode: 0644
    country: no
    day: 2026-01-31
    quoted: "yes"
    block: |
      two
      lines
    ports: [80, 1.50, true, 2026-01-31]
    never: 2026-13-45
    8080: open
    base: &base {x: 1, y: 2}
    merged: {<<: *base, y: 3}
    """
    assert frozen("yaml", text) == {
        "p/version": "1.10",
        "p/mode": "0644",
        "p/country": "no",
        "p/day": "2026-01-31",
        "p/quoted": "yes",
        "p/block": "two\nlines\n",
        "p/ports": '[80,1.50,true,"2026-01-31"]',
        "p/never": "2026-13-45",
        "p/8080": "open",
        "p/base/x": "1",
        "p/base/y": "2",
        "p/merged/x": "1",
        "p/merged/y": "3",
    }


def test_env() -> None:
    text = "# comment\nA=1\nexport B='two words'\nC=\"x$A\\n\"\nD=\nE=a=b # why\n"
    assert frozen("env", text) == {
        "p/A": "1",
        "p/B": "two words",
        "p/C": "x$A\n",
        "p/D": "",
        "p/E": "a=b",
    }


def test_no_prefix() -> None:
    assert frozen("json", '{"a": {"b": "c"}}', "") == {"a/b": "c"}


def test_a_list_is_json_by_its_content_type() -> None:
    (item,) = flatten("p", {"a": [Verbatim.of("1")]})
    assert (item.content_type, item.value) == (JSON, "[1]")


@pytest.mark.parametrize(
    ("form", "text"), [("json", '{"a": null}'), ("yaml", "a:\n"), ("yaml", "a: ~"), ("env", "a\n")]
)
def test_a_null_is_reported_and_not_frozen(form: str, text: str) -> None:
    (error,) = frozen(form, text).values()
    assert isinstance(error, BadRequest)
    assert "null" in str(error)


@pytest.mark.parametrize(
    ("form", "text", "why"),
    [
        ("toml", "a = ?", "line 1"),
        ("json", "{", "line 1"),
        ("json", '{"a": NaN}', "NaN"),
        ("json", '{"a": 1, "a": 2}', "twice"),
        ("json", "[1]", "no table"),
        ("json", "[" * 100_000, "not JSON"),
        ("yaml", "a: [", "line 2"),
        ("yaml", "a: 1\na: 2", "twice"),
        ("yaml", "a: 1\n---\nb: 2", "2 documents"),
        ("yaml", "just text", "no table"),
        ("env", "A=1\n= 2\n", "line 2"),
        ("env", "A=1\nA=2\n", "twice"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(form: str, text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        frozen(form, text)


@pytest.mark.parametrize("text", ["a: [0644]", "a: [True]", "a: [.inf]", "a: [{b: 0o11}]"])
def test_a_list_with_what_json_writes_differently_is_not_frozen(text: str) -> None:
    (error,) = frozen("yaml", text).values()
    assert isinstance(error, BadRequest) and "in a list is nothing that JSON knows" in str(error)


@pytest.mark.parametrize(
    ("form", "text"), [("toml", "[a]\n[b]\nc = 1"), ("json", '{"a": {}}'), ("yaml", "a: {}")]
)
def test_an_empty_table_is_reported_and_does_not_vanish(form: str, text: str) -> None:
    assert "empty table" in str(frozen(form, text)["p/a"])


@pytest.mark.parametrize("text", ["~: 1", "a: [{~: 1}]"])
def test_names_that_are_not_text_are_reported(text: str) -> None:
    (error,) = frozen("yaml", text).values()
    assert isinstance(error, BadRequest) and "cannot name anything" in str(error)


@pytest.mark.parametrize("text", ["a: &a\n  a: *a\n", "a: &a [*a]\n"])
def test_an_alias_inside_itself_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="inside itself"):
        frozen("yaml", text)


@pytest.mark.parametrize(
    "each",
    [
        "l{n}: &l{n} [*l{m}, *l{m}]\n",
        "l{n}: &l{n} {{a: *l{m}, b: *l{m}}}\n",
        "l{n}: &l{n} {{<<: [*l{m}, *l{m}], k{n}: 1}}\n",
    ],
)
def test_aliases_that_multiply_are_refused_before_they_are_expanded(each: str) -> None:
    text = "l0: &l0 {x: x}\n" + "".join(each.format(n=n, m=n - 1) for n in range(1, 200))
    with pytest.raises(BadRequest, match=r"its aliases make [0-9]{50,} characters"):
        frozen("yaml", text)


def test_a_list_that_is_too_long_is_not_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decreed.cli.importing.flatten.LARGEST_LIST", 1_000)
    assert "more than 1000" in str(frozen("json", f'{{"a": {[1] * 1_000}}}')["p/a"])
