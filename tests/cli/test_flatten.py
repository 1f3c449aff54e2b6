"""Settings files become keys and values; what stands in the file is what is frozen."""

from typing import Any

import pytest

from decreed.cli.flatten import flatten
from decreed.cli.written import FORMATS
from decreed.registry.errors import BadRequest

JSON = "application/json"


def frozen(form: str, text: str, prefix: str = "p") -> dict[str, Any]:
    items = flatten(prefix, FORMATS[form](text))
    assert [item.key for item in items] == sorted(item.key for item in items)
    return {item.key: item.error or item.value for item in items}


def test_toml() -> None:
    text = """
    name = "a\\nb"
    ratio = 1.10
    count = 1_000
    on = true
    day = 2026-01-31
    at = 2026-01-31T10:00:00Z
    list = [1, 1.50, "x", {b = 2, a = 2026-01-31}]
    [db.main]
    "host/port" = ""
    """
    assert frozen("toml", text) == {
        "p/name": "a\nb",
        "p/ratio": "1.10",
        "p/count": "1000",
        "p/on": "true",
        "p/day": "2026-01-31",
        "p/at": "2026-01-31T10:00:00+00:00",
        "p/list": '[1,1.5,"x",{"a":"2026-01-31","b":2}]',
        "p/db/main/host/port": "",
    }


def test_json() -> None:
    text = '{"a": {"b": 1.10, "c": 12345678901234567890, "d": false}, "e": ["é", null, {}]}'
    assert frozen("json", text) == {
        "p/a/b": "1.10",
        "p/a/c": "12345678901234567890",
        "p/a/d": "false",
        "p/e": '["é",null,{}]',
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
    ports: [80, 1.50, no, 2026-01-31]
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
        "p/ports": '[80,1.5,false,"2026-01-31"]',
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
    (item,) = flatten("p", {"a": [1]})
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
        ("yaml", "a: [", "line 1"),
        ("yaml", "a: 1\na: 2", "twice"),
        ("yaml", "a: !!python/object/apply:os.getcwd []", "not YAML"),
        ("yaml", "a: 1\n---\nb: 2", "not YAML"),
        ("yaml", "just text", "no table"),
        ("yaml", "", "no table"),
        ("env", "A=1\n= 2\n", "line 2"),
        ("env", "A=1\nA=2\n", "twice"),
        ("json", '{"a": {"b": 1}, "a/b": 2}', "p/a/b"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(form: str, text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        frozen(form, text)


def test_tables_without_end_come_to_one() -> None:
    (error,) = frozen("yaml", "a: &a\n  a: *a\n").values()
    assert "longer than 512 bytes" in str(error)


def test_a_list_that_multiplies_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decreed.cli.flatten.LARGEST_LIST", 10_000)
    text = "l0: &l0 [x, x]\n"
    text += "".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]\n" for n in range(1, 40))
    assert "more than 10000" in str(frozen("yaml", text)["p/l39"])
