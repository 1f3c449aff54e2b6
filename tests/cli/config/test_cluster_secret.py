"""The file of the cluster's secret: made once for its owner alone, and never shown. S05."""

import logging
import os
import pickle
import stat
import traceback
from pathlib import Path

import pytest

from decreed.cli.commands import dev
from decreed.cli.config.cluster_secret import find_secret, load_secret
from decreed.cli.config.new_secret import keep_secret
from decreed.cli.config.settings_text import config_text
from decreed.cli.shell.failures import CommandFailed
from decreed.registry.cluster_secret import ClusterSecret, parse_secret
from decreed.registry.errors import ConfigError

from ..fakes import Cli

MEMBERS = {"n1": "127.0.0.1:7400", "n2": "127.0.0.1:7401", "n3": "127.0.0.1:7402"}
THREE = [part for node, at in MEMBERS.items() for part in ("--node", f"{node}={at}")]
HEX, BASE64 = b"5f" * 32, b"X19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX18="


def same(one: ClusterSecret, other: ClusterSecret) -> bool:
    return one.used.code(b"x", b"") == other.used.code(b"x", b"")


def starts(tmp_path: Path) -> list[str]:
    """The line of a node that is to have peers."""
    (tmp_path / "cluster.toml").write_text(config_text("c", MEMBERS))
    places = ("--config", str(tmp_path / "cluster.toml"), "--data", str(tmp_path / "d"))
    return ["serve", *places, "--node", "n1", "--timeout", "1ms"]


def test_init_makes_a_secret_for_its_owner_alone(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "new" / "cluster.secret"
    before = os.umask(0)
    try:
        made = cli("init", str(path.parent), *THREE)
    finally:
        os.umask(before)
    assert made.code == 0 and str(path) in made.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    assert path.read_text().strip() not in made.text


def test_each_secret_is_another_one(cli: Cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        cli("init", str(tmp_path / name), *THREE)
    one, other = ((tmp_path / name / "cluster.secret").read_bytes() for name in ("a", "b"))
    assert one != other


def test_a_secret_is_never_written_over(cli: Cli, tmp_path: Path) -> None:
    cli("init", str(tmp_path), *THREE)
    before = (tmp_path / "cluster.secret").read_bytes()
    again = cli("init", str(tmp_path), *THREE, "--force")
    assert again.code == 0 and "kept" in again.text
    assert (tmp_path / "cluster.secret").read_bytes() == before


def test_a_secret_that_cannot_be_used_is_not_kept_silently(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cluster.secret").write_text("x")
    assert cli("init", str(tmp_path), *THREE).code == 2


def test_dev_makes_a_secret_once(tmp_path: Path) -> None:
    first = dev.prepare(tmp_path, 7500)
    assert same(first.secret, dev.prepare(tmp_path, 7500).secret)
    assert all(start.secret is first.secret for start in first.starts())


def test_a_node_with_peers_does_not_start_without_a_secret(cli: Cli, tmp_path: Path) -> None:
    refused = cli(*starts(tmp_path))
    assert refused.code == 2
    assert "cluster.secret: it is missing" in refused.err and "copy it from another" in refused.err
    assert "head -c 32 /dev/urandom | base64" in refused.err


def test_a_node_that_joins_needs_a_copy(cli: Cli, tmp_path: Path) -> None:
    line = starts(tmp_path)
    (tmp_path / "cluster.toml").write_text(config_text("c", {"n1": "127.0.0.1:7400"}))
    refused = cli(*line, "--join", "127.0.0.1:7401")
    assert refused.code == 2 and "cluster.secret: it is missing" in refused.err


def test_a_cluster_of_one_needs_no_secret(tmp_path: Path) -> None:
    assert find_secret(None, tmp_path / "cluster.toml", needed=False) is None
    with pytest.raises(CommandFailed):
        find_secret(tmp_path / "named", tmp_path / "cluster.toml", needed=False)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o700, 0o644])
def test_a_secret_that_others_may_use_is_refused_with_the_way_out(
    cli: Cli, tmp_path: Path, mode: int
) -> None:
    line = starts(tmp_path)
    keep_secret(tmp_path / "cluster.secret")
    (tmp_path / "cluster.secret").chmod(mode)
    refused = cli(*line)
    assert refused.code == 2 and f"mode {mode:04o}" in refused.err and "chmod 600" in refused.err


def test_a_secret_that_only_its_owner_may_read_is_taken(tmp_path: Path) -> None:
    keep_secret(tmp_path / "s")
    for mode in (0o600, 0o400):
        (tmp_path / "s").chmod(mode)
        load_secret(tmp_path / "s")


def test_the_place_of_the_secret_comes_from_option_or_variable(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = starts(tmp_path)
    keep_secret(tmp_path / "cluster.secret")
    elsewhere = str(tmp_path / "elsewhere")
    assert f"{elsewhere}: it is missing" in cli(*line, "--secret", elsewhere).err
    monkeypatch.setenv("DECREED_SECRET_FILE", elsewhere)
    assert f"DECREED_SECRET_FILE: {elsewhere}: it is missing" in cli(*line).err


def test_a_secret_is_read_as_hexadecimal_digits_or_base64() -> None:
    assert same(parse_secret(HEX + b"\n"), parse_secret(BASE64 + b"\r\n"))
    assert same(parse_secret(b"# of prod\n\n" + HEX), parse_secret(HEX))
    both = parse_secret(HEX + b"\n" + b"00" * 32)
    assert len(both.keys) == 2 and same(both, parse_secret(HEX))


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"\n", b"# nothing", HEX[:-2], HEX + b"00", BASE64[:-4], b"zz" * 32, b"\xff" * 64),
        b"\n".join([HEX] * 3),
        b"secret = 'hunter2hunter2hunter2'",
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(text: bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_secret(text)
    shown = "".join(traceback.format_exception(refused.value))
    for line in filter(None, text.splitlines()):
        assert line.decode("latin-1") not in shown
    assert refused.value.__cause__ is None and refused.value.__context__ is None


def test_S05_the_secret_is_in_no_text_log_or_pickle(caplog: pytest.LogCaptureFixture) -> None:
    secret = parse_secret(HEX)
    derived = secret.used.derived(b"a", b"b")
    logging.getLogger("decreed").warning("%s %r", secret, secret.used)
    shown = f"{secret} {secret!r} {secret.keys} {derived!r} {caplog.text}"
    assert HEX.decode() not in shown and "_" * 8 not in shown and "5f5f" not in shown
    for value in (secret, secret.used, derived):
        with pytest.raises(TypeError, match="stays in the process"):
            pickle.dumps(value)
