"""The parsers of settings files: places of mistakes, agreement of two parsers, loaded modules."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
import yaml12

from decreed.cli.importing import formats
from decreed.cli.importing.flatten import flatten
from decreed.cli.importing.formats import json_faults, yaml_nodes
from decreed.cli.importing.plan import Names, arranged
from decreed.cli.importing.verbatim import Verbatim, Wrong
from decreed.registry.errors import BadRequest

from ..fakes import Cli, FakeRegistry

READERS = {"ruamel.yaml", "yaml12", "tomli", "tomlkit", "dotenv", "pathspec", "rich"}


def refusal(form: str, text: str) -> str:
    with pytest.raises(BadRequest) as raised:
        formats.read(form, formats.text_of(text.encode("utf-8", "surrogatepass")))
    return str(raised.value)


def keys(form: str, text: str) -> dict[str, Any]:
    items = arranged(flatten("", formats.read(form, formats.text_of(text.encode()))), "", Names())
    return {item.key: item.error or item.value for item in items}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.toml", "toml"), ("A.YML", "yaml"), (".env", "env"), ("x.env", "env"),
        (".env.prod", "env"), (".env.local.bak", "env"), (".env.yaml", "yaml"),
        (".env.json", "json"), (".env.toml", "toml"), (".envrc", ""), ("env", ""), ("a.ini", ""),
    ],
)  # fmt: skip
def test_the_suffix_decides_the_format(name: str, form: str) -> None:
    assert formats.format_of(name) == form


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("toml", "a = \"\"\"\r\nx\r\ny\\\r\n  z\"\"\"\r\nb = '''x\r\ny'''\r\n"),
        ("yaml", 'a: |\r\n  x\r\n  y\r\nb: "x\r\n\r\n  y"\r\nc: x\r\n  y\r\n'),
        ("env", "A='x\r\ny'\r\nB=1\r\n"),
        ("json", '{\r\n"a": "x\\r\\ny"\r\n}'),
    ],
)
def test_both_line_ends_give_the_same_values(form: str, text: str) -> None:
    assert keys(form, text) == keys(form, text.replace("\r\n", "\n"))


def test_a_byte_order_mark_is_ignored_at_the_beginning_and_reported_elsewhere() -> None:
    assert keys("json", '\ufeff{"a": 1}') == {"a": "1"}
    assert "a byte order mark stands in line 1, column 8" in refusal("json", '{"a": 1\ufeff}')


def test_what_is_not_utf8_says_where() -> None:
    with pytest.raises(BadRequest, match="byte 0xff in line 2"):
        formats.text_of(b"a\n\xff")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{\n  // why\n  "a": 1}', "no comments, and one stands in line 2, column 3"),
        ('{\n  "a": 1 # why\n}', "no comments, and one stands in line 2, column 10"),
        ('{"a": [1, 2,]}', "a comma stands before the ]"),
        ('{"a": -Infinity}', "-Infinity is no number of JSON, and stands in line 1, column 7"),
        ('{"a": {"b": 1,\n"b": 2}}', 'the name "b" is there twice, the second time in line 2'),
        ('{"a": "\\udc00\\ud800"}', "half of a surrogate pair"),
        ('{"\\ud800": 1}', "half of a surrogate pair, which is no character, stands in line 1, co"),
        ("", "it is empty; write {} for nothing"),
        ("{'a': 'b'}", "strings stand between double quotes"),
        ('{"a": "x\ny"}', "Invalid control character at in line 1, column 9"),
        ('{"a" 1}', "Expecting ':' delimiter in line 1, column 6"),
        ('{"a": 01}', "Expecting ',' delimiter in line 1, column 8"),
        ('{"a": 1}\n{"a": 2}', "another value follows in line 2, column 1"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_says_what_is_wrong_and_where(text: str, why: str) -> None:
    assert why in refusal("json", text)


@pytest.mark.parametrize(
    "text", ['{"a": "// no comment, # nor this, NaN"}', '{"a": [{"b": 1}, {"b": 2}], "b": 3}',
             '{"a": "\\ud83d\\ude00", "b": "\\\\ud800"}', '{"a": "x,]"}'],
)  # fmt: skip
def test_valid_json_that_looks_like_a_mistake_is_read(text: str) -> None:
    assert keys("json", text)
    assert json_faults.first_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a: [?x]",
        "{ ?foo: bar }",
        "a: !!str",
        "a: ! 12",
        "a: {1: x, true: y}",
        'a: "x"#no comment',
        "a: [b,\nc]",
        "a: 1\n%YAML 1.2\n---\n",
    ],
)
def test_yaml_on_which_readers_differ_is_refused_or_read_as_written(text: str) -> None:
    try:
        found = formats.read("yaml", text)
    except BadRequest as error:
        assert str(error).startswith("not YAML 1.2: ")
    else:
        [by_the_letter] = yaml12.parse_yaml(text, multi=True)
        assert found == by_the_letter


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("a: x", {"a": "y"}),
        ("a: x", {"a": 1}),
        ("a: x", {"b": "x"}),
        ("a: 1", {"a": "1" * 9 and None}),
        ("a: 1", {"a": True}),
        ("a: true", {"a": False}),
        ("a: ~", {"a": "~"}),
        ("a: [1]", {"a": [1, 2]}),
        ("a: [1]", {"a": {1: 2}}),
        ("a: {b: 1}", {"a": [1]}),
        ("a: {b: 1}", {"a": {}}),
        ("a: 1", None),
    ],
)
def test_each_difference_between_the_yaml_readers_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str, other: Any
) -> None:
    assert formats.read("yaml", text)
    monkeypatch.setattr("yaml12.parse_yaml", lambda text, multi: [other] if other else [])
    assert "two readers differ on" in refusal("yaml", text)


@pytest.mark.parametrize("other", [{}, {"a": "y"}, {"a": 1}, {"a": ["x"]}, {"a": {}}, {"b": "x"}])
def test_readers_of_toml_must_agree(monkeypatch: pytest.MonkeyPatch, other: Any) -> None:
    monkeypatch.setattr(tomli, "loads", lambda text: other)
    assert "two readers of TOML differ" in refusal("toml", 'a = "x"')


def test_yaml_may_nest_a_hundred_deep() -> None:
    deep = yaml_nodes.DEEPEST - 1
    assert keys("yaml", "a: " + "[" * deep + "]" * deep)
    assert "maximum depth" in refusal("yaml", "a: " + "[" * (deep + 1) + "]" * (deep + 1))


def test_merge_keys_add_only_missing_keys() -> None:
    text = """
    a: &a {x: 1, y: 1}
    b: &b {y: 2, z: 2}
    one: {<<: *a, y: 9}
    both: {<<: [*a, *b], w: 0}
    later: {y: 9, <<: *a}
    deep: {<<: {<<: *b, q: 3}}
    """
    found = {key: value for key, value in keys("yaml", text).items() if key[1] not in "/"}
    assert found == {
        "one/x": "1", "one/y": "9", "both/x": "1", "both/y": "1", "both/z": "2", "both/w": "0",
        "later/x": "1", "later/y": "9", "deep/y": "2", "deep/z": "2", "deep/q": "3",
    }  # fmt: skip
    assert "<< takes a table" in refusal("yaml", "a: {<<: 1}")


def test_an_anchor_may_be_set_again() -> None:
    assert keys("yaml", "a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {
        "a": "1", "b": "1", "c": "2", "d": "2",
    }  # fmt: skip


def test_an_unknown_tag_is_an_error_of_its_key(
    cli: Cli, registry: FakeRegistry, tmp_path: Path
) -> None:
    text = "a: !vault x\nb: [!!set {c}]\nc: {d: !x {e: 1}, f: 2}\n!y g: 3\nh: !!binary /w==\n"
    (tmp_path / "s.yaml").write_text(text)
    result = cli("import", str(tmp_path / "s.yaml"), "p", "--keep-going")
    assert (result.code, sorted(registry.decrees)) == (2, ["p/c/f", "p/h"])
    assert registry.decrees["p/h"].content_type == "application/octet-stream"
    for line in (
        "p/a: line 1: the tag !vault", "p/b: line 2: the tag !!set", "p/c/d: line 3: the tag !x",
        "p/?: line 4: the tag !y",
    ):  # fmt: skip
        assert f"failed  {line} means nothing here" in result.text


def test_a_whole_file_with_an_unknown_tag_is_refused(cli: Cli, registry: FakeRegistry) -> None:
    for text in (b"!x {a: 1}", b"[!x 1]"):
        result = cli("import", "-", "p", "--format=yaml", "--whole", stdin=text)
        assert (result.code, registry.calls) == (2, [])
    assert "the tag !x means nothing here" in result.err


def test_line_separators_of_older_versions_are_text_or_refused() -> None:
    assert keys("yaml", "a: x\u2028y\nb: 'x\u2029y'\n") == {"a": "x\u2028y", "b": "x\u2029y"}
    assert "two readers differ" in refusal("yaml", "a: x\u0085y\n")


def test_a_number_keeps_its_text() -> None:
    value = formats.read("yaml", "a: 0x1F\nb: 1.50\nc: 123456789012345678901234567890\n")
    assert value == {
        "a": Verbatim("0x1F", None),
        "b": Verbatim("1.50", "1.50"),
        "c": Verbatim("1234567890" * 3, "1234567890" * 3),
    }


@pytest.mark.parametrize("text", ['!!int "x1"', '!!int " 3"', '!!float "1_0"'])
def test_a_number_must_be_what_its_tag_says(text: str) -> None:
    assert isinstance(formats.read("yaml", f"a: {text}\n")["a"], Wrong)


@pytest.mark.parametrize("text", ["!!int x1", "!!float 1_0", '!!bool "yes"', "!!null 'nil'"])
def test_a_value_that_does_not_fit_its_tag_is_refused(text: str) -> None:
    assert "not YAML 1.2" in refusal("yaml", f"a: {text}\n")


def test_aliases_cannot_nest_deeper_than_the_file_may() -> None:
    """Aliases are read without recursion, so a chain of aliases may be as deep as it is long."""
    chain = "l0: &l0 [1]\n" + "".join(f"l{n}: &l{n} [*l{n - 1}]\n" for n in range(1, 1_000))
    assert "nest more than 100 deep" in refusal("yaml", chain)


@pytest.mark.parametrize(
    ("form", "text", "wanted"),
    [
        ("yaml", "a: 1", {"ruamel.yaml", "yaml12"}),
        ("toml", "a = 1", {"tomli", "tomlkit"}),
        ("json", '{"a": 1}', set[str]()),
        ("env", "a=1", {"dotenv"}),
    ],
)
def test_a_reader_is_loaded_only_for_its_format(form: str, text: str, wanted: set[str]) -> None:
    code = (
        "import sys; from decreed.cli.importing import formats;"
        "from decreed.cli.commands import import_command;"
        f"formats.read({form!r}, {text!r}); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & READERS == wanted
