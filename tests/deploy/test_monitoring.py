"""What is deployed to watch a cluster: alert rules, a dashboard, and the page with the metrics."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from decreed.registry.server.admin.metrics import table
from decreed.registry.wire.status import AlarmKind

from ..docs.pages import ROOT, rows

DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "how-to" / "monitor.md"
NAME = re.compile(r"\bdecreed_[a-z_]+")
ENDS = ("_bucket", "_count", "_sum")


def names(text: str) -> set[str]:
    """The metrics that a text names; those of a histogram under its own name."""
    kinds = {name: kind for name, kind, *_ in table()}
    found: set[str] = set()
    for name in NAME.findall(text):
        bare = next((name.removesuffix(e) for e in ENDS if name.endswith(e)), name)
        found.add(bare if kinds.get(bare) == "histogram" else name)
    return found


def promtool(*arguments: str | Path) -> None:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    ran = subprocess.run([found, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_comes_and_goes_with_its_reason() -> None:
    promtool("test", "rules", DEPLOY / "alerts-test.yml")


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    promtool("check", "rules", DEPLOY / "alerts.yml")


def test_every_alert_is_tested() -> None:
    given = re.findall(r"alert: (\w+)", (DEPLOY / "alerts.yml").read_text("utf-8"))
    tested = set(re.findall(r"alertname: (\w+)", (DEPLOY / "alerts-test.yml").read_text("utf-8")))
    assert given and set(given) == tested


def test_every_kind_of_alarm_wakes_somebody() -> None:
    text = (DEPLOY / "alerts.yml").read_text("utf-8")
    matchers = re.findall(r'decreed_alarms\{kind=~?"([^"]+)"\}', text)
    heard = {kind for matcher in matchers for kind in matcher.split("|")}
    assert heard == {kind.name.lower() for kind in AlarmKind}


@pytest.mark.parametrize("file", ["alerts.yml", "alerts-test.yml", "grafana-dashboard.json"])
def test_only_metrics_that_there_are_are_named(file: str) -> None:
    known = {name for name, *_ in table()}
    text = (DEPLOY / file).read_text("utf-8")
    assert names(text) and names(text) <= known


def test_the_dashboard_is_one() -> None:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    assert all(panel["targets"][0]["expr"] for panel in board["panels"])
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_page_has_every_metric_as_the_code_tells_it() -> None:
    expected = [[f"`{name}`", kind, labels, text] for name, kind, labels, text in table()]
    assert rows(PAGE, "metric") == expected


def test_the_page_has_every_alarm() -> None:
    told = [row[0].strip("`") for row in rows(PAGE, "alarm")]
    assert told == [kind.name.lower() for kind in AlarmKind]
