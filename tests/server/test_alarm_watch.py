"""An alarm is in the log once when it comes, with the way out, and once when it is over."""

import logging
from typing import Any

import pytest

from decreed.registry.replica.step.disk_reads import DiskMeasured
from decreed.registry.server.alarm_watch import AlarmWatch
from decreed.registry.space import DiskSpace
from decreed.registry.types import NodeId

from ..support.world import World, config

N1, SIZE = NodeId("n1"), 100 << 30


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """The lines since the last call."""
    lines = [
        (record.levelname, {"event": record.message, **record.__dict__["facts"]})
        for record in caplog.records
        if "alarm" in record.message
    ]
    caplog.clear()
    return lines


def test_an_alarm_is_logged_when_it_comes_and_when_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "decreed")
    world = World(config(1))
    watch = AlarmWatch(world.replica(N1).parts, lambda: world.now_ms)

    def measure(free_bytes: int) -> None:
        world.post(N1, DiskMeasured(DiskSpace(free_bytes, SIZE)))
        world.settle()
        watch.look()

    measure(SIZE)
    assert said(caplog) == []
    measure(1)
    [(level, facts)] = said(caplog)
    assert (level, facts["event"], facts["kind"]) == ("ERROR", "alarm", "disk_full")
    assert "does not vote" in facts["reason"] and facts["way_out"]
    measure(2)
    assert said(caplog) == [], "it is the same one"
    measure(SIZE)
    [(level, facts)] = said(caplog)
    assert (level, facts["event"], facts["kind"]) == ("INFO", "an alarm is over", "disk_full")
    measure(1)
    assert [level for level, _ in said(caplog)] == ["ERROR"], "it came again"
