"""``wait`` and ``watch``: with a time limit and without, and what is printed."""

from decreed.cli.commands.wait import LONG_SECONDS
from decreed.client.requests.results import Watched
from decreed.registry.errors import BadRequest

from ..fakes import Cli, FakeRegistry, decree


def test_wait_prints_the_value(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "v")
    assert cli("wait", "k").text == "v\n"
    assert cli("wait", "k", "--raw").out == b"v"
    assert cli("wait", "k", "--json").json["value"] == "v"


def test_a_wait_that_times_out_exits_with_4(cli: Cli, registry: FakeRegistry) -> None:
    result = cli("wait", "k", "--timeout", "20ms")
    assert result.code == 4
    assert registry.calls == [("wait", {"key": "k", "timeout": 0.02})]


def test_a_wait_has_practically_no_time_limit_by_default(cli: Cli, registry: FakeRegistry) -> None:
    registry.freeze("k", "v")
    cli("wait", "k")
    [(name, given)] = registry.calls
    assert name == "wait" and given["key"] == "k"
    # the limit is very long; without one, a command would also wait for a wrong address
    assert given["timeout"] == LONG_SECONDS > 50 * 365 * 86_400


def test_watch_ends_when_its_time_is_up(cli: Cli, registry: FakeRegistry) -> None:
    registry.seen = [Watched(decree("a/k", "v"), "n1:7"), Watched(decree("a/l", "w"), "n1:8")]
    result = cli("watch", "a", "--timeout", "50ms")
    assert (result.code, result.text) == (0, "a/k = v\na/l = w\n")


def test_watch_as_json_prints_the_position_to_continue_from(
    cli: Cli, registry: FakeRegistry
) -> None:
    registry.seen = [Watched(decree("a/k", "v"), "n1:7")]
    (row,) = cli("watch", "--json", "--timeout", "50ms").rows
    assert (row["position"], row["decree"]["key"]) == ("n1:7", "a/k")
    cli("watch", "--since", "n1:7", "--timeout", "50ms")
    assert registry.calls[-1] == ("watch", {"prefix": "", "since": "n1:7"})


def test_a_bad_position_names_its_option(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [BadRequest("'x' is no position")]
    result = cli("watch", "a", "--since", "x")
    assert (result.code, result.err.startswith("decreed: --since: 'x' is no")) == (2, True)


def test_an_interrupted_watch_exits_with_130(cli: Cli, registry: FakeRegistry) -> None:
    registry.failures = [KeyboardInterrupt()]
    assert cli("watch").code == 130
