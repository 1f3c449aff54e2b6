"""``serve``: its arguments, what is checked first, and the parts it is given."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing

from decreed.cli.config.formation_marker import marker_path, write_marker
from decreed.cli.config.settings import load_config
from decreed.cli.config.settings_text import config_text
from decreed.cli.shell.hangup import renew_on_hangup
from decreed.registry.errors import StorageFailed
from decreed.registry.server.audit_log import AuditLog
from decreed.registry.types import NodeId

from ...support.certificates import Authority
from ..fakes import Cli
from ..server_parts import Parts


def test_serve_runs_a_node(cli: Cli, parts: Parts, config_path: Path) -> None:
    data = config_path.parent / "d"
    arguments = ("--config", str(config_path), "--node", "n1", "--data", str(data))
    result = cli("serve", *arguments, "--timeout", "20ms", "--listen", "0.0.0.0:9", "--json")
    assert result.code == 0
    assert (parts.opened, parts.served) == ([(data, "n1")], [(("0.0.0.0:9",), None)])
    assert result.json["listen"] == "0.0.0.0:9"
    assert result.json["advertise"] == "127.0.0.1:7400"


def test_what_a_node_listens_on_and_what_it_tells_are_two_things(
    cli: Cli, parts: Parts, config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d", "--timeout", "20ms")
    monkeypatch.setenv("DECREED_LISTEN", "0.0.0.0:7400,[0:0::]:7400")
    monkeypatch.setenv("DECREED_ADVERTISE", " [2001:DB8::1]:7400")
    result = cli("serve", *arguments, "--json")
    assert parts.served == [(("0.0.0.0:7400", "[::]:7400"), "[2001:db8::1]:7400")]
    assert result.json["listen"] == "0.0.0.0:7400,[::]:7400"
    assert result.json["advertise"] == "[2001:db8::1]:7400"


def test_a_wrong_variable_is_named(
    cli: Cli, parts: Parts, config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECREED_ADVERTISE", "0.0.0.0:7400")
    result = cli("serve", "--config", str(config_path), "--node", "n1", "--data", "d")
    assert result.code == 2
    assert result.err.startswith("decreed: DECREED_ADVERTISE: --advertise: '0.0.0.0:7400' is no")


def test_a_member_of_the_file_has_no_wildcard_address(
    cli: Cli, parts: Parts, tmp_path: Path
) -> None:
    result = cli("init", str(tmp_path / "new"), "--node", "n1=0.0.0.0:7400")
    assert result.code == 2
    assert "others cannot connect to 0.0.0.0, which means all addresses" in result.err


def test_a_node_that_fails_ends_the_process_with_its_code(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    parts.fault = StorageFailed("disk full")
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d")
    result = cli("serve", *arguments)
    assert result.code == 7
    assert result.err == "decreed: node n1: disk full\n"


@pytest.mark.parametrize(
    ("changed", "thing"),
    [
        (["--node", "n9"], "--node"),
        (["--listen", "nowhere"], "--listen"),
        (["--listen", "*:7400"], "--listen"),
        (["--advertise", "0.0.0.0:7400"], "--advertise"),
        (["--advertise", "[::]:7400"], "--advertise"),
        (["--advertise", "n1.example:0"], "--advertise"),
        (["--advertise", "tcp://n1.example:7400"], "--advertise"),
        (["--advertise", "a:1, b:1"], "--advertise"),
        (["--advertise", " "], "--advertise"),
        (["--join", "nowhere"], "--join"),
        (["--join", "n1.example:1", "--new-formation"], "--join"),
        (["--join", "n1.example:1", "--node", "n 9"], "--node"),
        (["--log", "x"], "usage"),
    ],
)
def test_bad_arguments_exit_with_2(
    cli: Cli, parts: Parts, config_path: Path, changed: list[str], thing: str
) -> None:
    arguments = ["--config", str(config_path), "--node", "n1", "--data", "d", *changed]
    result = cli("serve", *arguments)
    assert (result.code, parts.opened) == (2, [])
    assert result.err.startswith(f"decreed: {thing}: ")


def test_a_node_that_joins_need_not_be_in_the_file(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    data = config_path.parent / "d"
    arguments = ["--config", str(config_path), "--node", "n4", "--data", str(data)]
    arguments += ["--listen", "127.0.0.1:7404", "--timeout", "20ms"]
    result = cli("serve", *arguments, "--join", " n1.example:1, n2.example:2", "--json")
    assert result.code == 0 and result.json["advertise"] == "127.0.0.1:7404"
    assert parts.joined == ["n4"] and parts.start.join_at == ("n1.example:1", "n2.example:2")
    assert cli("serve", *arguments).code == 2, "an empty directory does not know where it belongs"
    (data / "db").mkdir(parents=True)
    assert cli("serve", *arguments).code == 0, "one that is in use knows it"
    assert parts.joined == ["n4"]


def test_an_observer_joins_at_first_and_says_so_at_each_start(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    data = config_path.parent / "d"
    arguments = ["--config", str(config_path), "--node", "o1", "--data", str(data), "--observe"]
    arguments += ["--listen", "127.0.0.1:7404", "--timeout", "20ms"]
    refused = cli("serve", *arguments)
    assert refused.code == 2
    assert cli("serve", *arguments, "--join", "n1.example:1").code == 0 and parts.start.observes
    (data / "db").mkdir(parents=True)
    assert cli("serve", *arguments[:-5], *arguments[-4:]).code == 0 and not parts.start.observes
    assert cli("serve", *arguments).code == 0 and parts.start.observes
    again = ["--config", str(config_path), "--node", "n1", "--data", str(config_path.parent / "e")]
    refused = cli("serve", *again, "--observe")
    assert refused.code == 2 and "name a member that is up, with --join" in refused.err


def test_a_node_that_joins_may_be_given_a_snapshot_and_its_increments(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    arguments = ("--config", str(config_path), "--node", "n4", "--data", "d", "--timeout", "20ms")
    joins = (*arguments, "--join", "n1.example:1", "--listen", "n4.example:1")
    files = ("--seed", "full.snapshot", "--seed", "monday.snapshot")
    assert cli("serve", *joins, *files).code == 0
    assert cast(Any, parts.start.seed) == (Path("full.snapshot"), Path("monday.snapshot"))
    assert cli("serve", *joins).code == 0 and parts.start.seed is None


def test_a_seed_is_for_a_node_that_joins_and_is_checked_before_a_directory_is_made(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d")
    refused = cli("serve", *arguments, "--seed", "full.snapshot")
    assert refused.code == 2 and "name a member that is up, with --join" in refused.err
    joins = (*arguments, "--join", "n1.example:1")
    damaged = cli("serve", *joins, "--seed", "cut.snapshot")
    assert damaged.code == 7 and "cut.snapshot" in damaged.err and "join without" in damaged.err
    assert damaged.err.count("cut.snapshot") == 1
    gone = cli("serve", *joins, "--seed", "full.snapshot", "--seed", "gone.snapshot")
    assert gone.code == 2 and gone.err.startswith("decreed: gone.snapshot: No such file")
    assert parts.opened == []


def test_a_seed_is_left_alone_once_the_node_has_read_from_a_member(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    data = config_path.parent / "d"
    data.mkdir()
    (data / "decreed.txt").write_text("")
    arguments = ("--config", str(config_path), "--node", "n4", "--data", str(data))
    joins = (*arguments, "--join", "n1.example:1", "--listen", "n4.example:1", "--timeout", "20ms")
    parts.read = (0, 0)
    assert cli("serve", *joins, "--seed", "gone.snapshot").code == 2
    assert parts.closed == 1
    assert cli("serve", *joins, "--seed", "full.snapshot").code == 0
    assert parts.start.seed == cast(Any, (Path("full.snapshot"),))
    parts.read = (0, 7)
    assert cli("serve", *joins, "--seed", "gone.snapshot").code == 0
    assert parts.start.seed is None


def test_a_name_that_has_formed_before_may_join_with_an_empty_directory(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    write_marker(config_path, "c", NodeId("n1"), bytes(16))
    data = str(config_path.parent / "d")
    arguments = ("--config", str(config_path), "--node", "n1", "--data", data, "--timeout", "20ms")
    assert cli("serve", *arguments).code == 7
    assert cli("serve", *arguments, "--join", "n2.example:2").code == 0


def test_a_node_that_forms_is_remembered(cli: Cli, parts: Parts, config_path: Path) -> None:
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d", "--timeout", "20ms")
    cli("serve", *arguments)
    marker = marker_path(config_path)
    assert json.loads(marker.read_text())["formation"] == (b"f" * 16).hex()
    marker.unlink()
    parts.formation = b"g" * 16
    cli("serve", *arguments)
    assert json.loads(marker.read_text().splitlines()[0])["formation"] == (b"g" * 16).hex()


def test_a_new_formation_is_made_only_on_request(cli: Cli, parts: Parts, config_path: Path) -> None:
    write_marker(config_path, "c", NodeId("n1"), bytes(16))
    data = str(config_path.parent / "d")
    arguments = ("--config", str(config_path), "--node", "n1", "--data", data)
    assert cli("serve", *arguments).code == 7
    assert cli("serve", *arguments, "--new-formation", "--timeout", "20ms").code == 0


def test_a_missing_extra_is_named(config_path: Path) -> None:
    code = (
        "import sys; sys.modules['rocksdict'] = None; from decreed.cli.main import run;"
        f"sys.exit(run(['serve', '--config', {str(config_path)!r}, '--node', 'n1', '--data', 'd']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 7
    assert "rocksdict" in done.stderr
    assert "pip install 'decreed[server]'" in done.stderr


OPEN_FILES = """
import resource, sys
from decreed.cli.commands.serve import allow_open_files
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    allow_open_files(connections)
except Exception as error:
    print(type(error).__name__, error.error.exit_code, error.way_out)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def open_files(soft: int, hard: int, connections: int) -> list[str]:
    """What a process with these limits reports about a node with `connections` connections."""
    numbers = map(str, (soft, hard, connections))
    done = subprocess.run(
        [sys.executable, "-c", OPEN_FILES, *numbers], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    assert open_files(256, 3_000, 1_024) == ["3000"]


def test_too_few_open_files_are_refused_with_the_way_out() -> None:
    failure, _ = open_files(256, 512, 1_024)
    assert failure.startswith("CommandFailed 7 raise 'ulimit -Hn'")


async def renewed(count: int, renewals: list[Callable[[], None]]) -> None:
    """Send this process SIGHUP, and wait until it was heeded each time."""
    async with trio.open_nursery() as nursery:
        await nursery.start(renew_on_hangup, renewals)
        for _ in range(count):
            signal.raise_signal(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_sighup_opens_the_audit_log_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, "n1")
    log.open()
    before = signal.getsignal(signal.SIGHUP)
    path.rename(tmp_path / "audit.1")
    await renewed(1, [log.open])
    assert path.exists() and signal.getsignal(signal.SIGHUP) == before
    log.close()


def test_a_log_that_is_required_must_be_named(
    cli: Cli, parts: Parts, config_path: Path, tmp_path: Path
) -> None:
    config_path.write_text(config_path.read_text().replace("required = false", "required = true"))
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d", "--timeout", "20ms")
    done = cli("serve", *arguments)
    assert done.code == 2 and not parts.opened
    assert "audit.required is set, and no file is named; name a file for the audit log" in done.err
    audit = tmp_path / "audit.jsonl"
    assert cli("serve", *arguments, "--audit", str(audit)).code == 0
    assert audit.exists()
    missing = str(tmp_path / "missing" / "audit")
    opened = len(parts.opened)
    done = cli("serve", *arguments, "--audit", missing, "--new-formation")
    assert done.code == 7 and f"the audit log {missing} cannot be written" in done.err
    assert len(parts.opened) == opened


def test_a_node_takes_its_certificate_from_options_or_from_its_config(
    cli: Cli, parts: Parts, config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = config_path.parent
    files = Authority(folder).node("n1", cluster="c", name="n1")
    place = ("--config", str(config_path), "--node", "n1", "--data", "d")
    arguments = (*place, "--timeout", "20ms", "--new-formation")
    assert cli("serve", *arguments).code == 0 and parts.start.credentials is None
    options = ("--ca", str(files.ca), "--cert", str(files.certificate), "--key", str(files.key))
    assert cli("serve", *arguments, *options).code == 0
    assert parts.start.credentials is not None and not parts.start.credentials.fault
    section = '[tls]\ncertificate = "{node}.crt"\nkey = "{node}.key"\nca = "ca.pem"\n'
    text = config_text("c", {"n1": "127.0.0.1:7400"})
    config_path.write_text(text[: text.index("[tls]")] + section)
    assert cli("serve", *arguments).code == 0 and parts.start.credentials is not None
    monkeypatch.setenv("DECREED_NODE_KEY", str(folder / "none.key"))
    wrong = cli("serve", *arguments)
    assert wrong.code == 2 and "none.key: No such file or directory" in wrong.err


def test_a_node_with_half_of_its_tls_says_what_is_missing(
    cli: Cli, parts: Parts, config_path: Path
) -> None:
    arguments = ("--config", str(config_path), "--node", "n1", "--data", "d")
    result = cli("serve", *arguments, "--cert", "n1.crt", "--key", "n1.key")
    assert result.code == 2 and "--ca is missing" in result.err
    assert parts.opened == []


def test_init_writes_that_a_cluster_is_insecure_only_if_it_is_asked_to(
    cli: Cli, tmp_path: Path
) -> None:
    for insecure in (False, True):
        folder = tmp_path / str(insecure)
        options = ["--insecure"] if insecure else []
        assert cli("init", str(folder), "--node", "n1=10.0.0.1:7400", *options).code == 0
        assert load_config(folder / "cluster.toml").insecure == insecure
