"""``cluster.toml``: what ``init`` writes, and how a mistake in it is named."""

import codecs
import tomllib
from pathlib import Path

import msgspec
import pytest

from decreed.cli.config import settings_text
from decreed.cli.config.settings import line_of, load_config, parse_text
from decreed.cli.config.settings_text import config_text, with_addresses
from decreed.cli.shell.failures import CommandFailed
from decreed.registry.config import Limits, LockTerms, Timing
from decreed.registry.errors import ConfigError

from ..fakes import Cli

MEMBERS = {"n1": "127.0.0.1:7400", "n2": "127.0.0.1:7401", "n3": "[::1]:7402"}
THREE = [part for node, at in MEMBERS.items() for part in ("--node", f"{node}={at}")]


def test_init_writes_a_config_that_can_be_read(cli: Cli, tmp_path: Path) -> None:
    result = cli("init", str(tmp_path / "new"), *THREE)
    assert result.code == 0
    assert "decreed serve --config" in result.text
    config = load_config(tmp_path / "new" / "cluster.toml")
    assert config.nodes == ("n1", "n2", "n3")
    assert config.address(config.nodes[2]) == ("::1", 7402)
    assert (config.quorums.prepare, config.quorums.accept) == (2, 2)
    assert (config.limits, config.timing) == (Limits(), Timing())
    made = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert made == ["cluster.secret", "cluster.toml"]


def test_a_byte_order_mark_before_a_config_is_ignored(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    text = config_text("c", MEMBERS)
    path.write_text(text, encoding="utf-8-sig")
    assert path.read_bytes().startswith(codecs.BOM_UTF8)
    assert load_config(path) == parse_text(text)
    path.write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert load_config(path) == parse_text(text)


def test_a_config_in_another_encoding_is_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    for encoding, why in (("utf-16", "its byte order mark says UTF-16"), ("latin-1", "0xe4")):
        path.write_text("# ä\n" + config_text("c", MEMBERS), encoding=encoding)
        with pytest.raises(CommandFailed, match=rf"not UTF-8: .*{why}") as caught:
            load_config(path)
        assert (caught.value.thing, caught.value.exit_code) == (str(path), 2)


def test_each_cluster_has_an_id_of_its_own(cli: Cli, tmp_path: Path) -> None:
    ids = {cli("init", str(tmp_path / n), *THREE, "--json").json["cluster_id"] for n in "ab"}
    assert len(ids) == 2
    assert all(len(bytes.fromhex(each)) == 16 for each in ids)


def test_quorum_sizes(cli: Cli, tmp_path: Path) -> None:
    sizes = ("--prepare-quorum", "3", "--accept-quorum", "1")
    assert cli("init", str(tmp_path), *THREE, *sizes).code == 0
    quorums = load_config(tmp_path / "cluster.toml").quorums
    assert (quorums.prepare, quorums.accept) == (3, 1)


def test_init_does_not_write_over_a_config(cli: Cli, tmp_path: Path) -> None:
    cli("init", str(tmp_path), *THREE)
    before = (tmp_path / "cluster.toml").read_bytes()
    result = cli("init", str(tmp_path), *THREE)
    assert (result.code, (tmp_path / "cluster.toml").read_bytes()) == (2, before)
    assert "--force" in result.err
    assert cli("init", str(tmp_path), *THREE, "--force").code == 0
    assert (tmp_path / "cluster.toml").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.secret", "cluster.toml"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--node", "n1"], "NAME=HOST:PORT"),
        (["--node", "n1=host"], "members.n1"),
        (["--node", "n1=h:1", "--node", "n1=h:2"], "twice"),
        (["--node", "n1=h:1", "--node", "n2=h:2"], "1, 3, 5 or 7"),
        (["--node", "n 1=h:1"], "n 1"),
        (["--node", "n1=h:1", "--prepare-quorum", "2"], "quorums"),
        ([*THREE, "--accept-quorum", "1"], "quorums"),
        ([*THREE, "--accept-quorum", "-1"], "quorums.accept"),
        ([], "--node"),
    ],
)
def test_an_impossible_cluster_is_refused(
    cli: Cli, tmp_path: Path, arguments: list[str], why: str
) -> None:
    result = cli("init", str(tmp_path), *arguments)
    assert (result.code, list(tmp_path.iterdir())) == (2, [])
    assert why in result.err


def test_every_setting_is_written_and_explained() -> None:
    document = tomllib.loads(config_text("c", MEMBERS))
    for section, kind, words in (
        ("limits", Limits, settings_text.LIMITS),
        ("timing", Timing, settings_text.TIMING),
        ("locks", LockTerms, settings_text.LOCKS),
    ):
        fields = {field.name: field.default for field in msgspec.structs.fields(kind)}
        assert document[section] == fields
        assert words.keys() == fields.keys()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("max_frame_bytes = 8388608", "max_frame_bytes = 7", "line 29: limits.max_frame_bytes"),
        ("keep_terms = 1000", "keep_terms = 7", "locks.keep_terms"),
        ("accept = 0", 'accept = "x"', "line 22: quorums.accept"),
        ("accept = 0", "accept = 1", "line 20: quorums"),
        ('n1 = "127.0.0.1:7400"', 'n1 = "127.0.0.1"', "line 14: members.n1"),
        ('n1 = "127.0.0.1:7400"', "", "line 13: members"),
        ("[limits]", "[limit]", "limit: there is no such setting; there are cluster_id, "),
        ("pull_ms", "pul_ms", "timing.pul_ms: there is no such setting; there are suspect_ms, "),
        ("keep_terms =", "keep =", "locks.keep: there is no such setting; there are keep_terms"),
        ("[limits]", "[limits", "line 25"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(
    cli: Cli, tmp_path: Path, old: str, new: str, why: str
) -> None:
    path = tmp_path / "cluster.toml"
    text = config_text("c", MEMBERS)
    assert old in text
    path.write_text(text.replace(old, new))
    result = cli("serve", "--config", str(path), "--node", "n1", "--data", str(tmp_path / "d"))
    assert result.code == 2
    assert result.err.startswith(f"decreed: {path}: ")
    assert why in result.err


def test_a_config_that_is_not_there_or_not_text(cli: Cli, tmp_path: Path) -> None:
    arguments = ("--node", "n1", "--data", str(tmp_path / "d"))
    assert cli("serve", "--config", str(tmp_path / "c"), *arguments).code == 2
    (tmp_path / "c").write_bytes(b"\xff")
    assert cli("serve", "--config", str(tmp_path / "c"), *arguments).code == 2


def test_missing_sections_take_their_defaults() -> None:
    config = parse_text('cluster_id = "c"\n[members]\nn1 = "h:1"\n')
    assert (config.limits, config.timing) == (Limits(), Timing())
    with pytest.raises(ConfigError, match="cluster_id"):
        parse_text('[members]\nn1 = "h:1"\n')


def test_lines_of_settings() -> None:
    text = "cluster_id = 'c'\n[ limits ]\n# x = 1\n  'x' = 2\n[timing]\nx = 3\n"
    assert line_of(text, "cluster_id") == 1
    assert line_of(text, "limits.x") == 4
    assert line_of(text, "timing.x") == 6
    assert line_of(text, "timing") == 5
    assert line_of(text, "x") is None


def test_addresses_change_and_comments_stay() -> None:
    text = config_text("c", MEMBERS)
    changed = with_addresses(text, {"n1": "127.0.0.1:1"})
    assert changed == text.replace("127.0.0.1:7400", "127.0.0.1:1")
