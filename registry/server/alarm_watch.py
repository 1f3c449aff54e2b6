"""Lines of the log for alarms: one when there is one, with the way out, and one when it is over."""

from collections.abc import Callable

import trio

from ..replica.alarms import alarms_of
from ..replica.parts import Parts
from ..wire.status import AlarmKind, AlarmStatus
from . import log

LOOK_S = 5.0


class AlarmWatch:
    """Looks at the alarms of one node.

    Args:
        parts: of the node.
        now_ms: the clock of its loop.
    """

    def __init__(self, parts: Parts, now_ms: Callable[[], float]) -> None:
        self._parts, self._now_ms = parts, now_ms
        self._said: dict[tuple[AlarmKind, str], AlarmStatus] = {}

    async def run(self) -> None:
        """Look at intervals until cancelled."""
        while True:
            await trio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Log what has come and what has gone since the last look."""
        found = {(each.kind, each.about): each for each in alarms_of(self._parts, self._now_ms())}
        for place, alarm in found.items():
            if place not in self._said:
                kind = alarm.kind.name.lower()
                log.error("alarm", kind=kind, reason=alarm.text, way_out=alarm.way_out)
        for place, alarm in self._said.items():
            if place not in found:
                log.info("an alarm is over", kind=alarm.kind.name.lower(), about=alarm.about)
        self._said = found
