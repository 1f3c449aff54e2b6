"""Denials in the audit log: of one caller and path the first, then a count each ten seconds (S83).

Who lacks a right can be denied as often as he can ask. So a line is written for the first denial of
each path, and the others are counted. Who asks for many paths has a line for so many of them alone, and
one count for the rest. The number of lines in ten seconds is bounded, as is what is remembered.

Certificates and tokens that are refused are told in the same way, by the address that showed them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import trio
from msgspec import Struct
from msgspec.structs import replace

from ..addresses import network_of
from ..audit import NOBODY, AuditEvent, AuditRecord, Speaker

EVERY_S = 10.0
MOST_PATHS = 32
"""How many paths of one caller have lines of their own in that time."""
MOST_CALLERS = 256
"""How many callers have lines of their own in that time; the others share one count."""

Line = tuple[AuditRecord, Speaker]
_BOUNDED = (AuditEvent.DENIED, AuditEvent.CERTIFICATE, AuditEvent.TOKEN)


class Counted(Struct, eq=False):
    """What is not told yet of one kind of denial: the last record, and how many there were."""

    record: AuditRecord
    speaker: Speaker
    count: int = 0


class Denials:
    """Those that were told in these ten seconds, and those that were counted instead."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, ...], Counted] = {}
        self._paths = Counter[str]()

    def __len__(self) -> int:
        """How many kinds of denials are remembered."""
        return len(self._counted)

    def sift(self, records: Sequence[AuditRecord], speakers: Sequence[Speaker]) -> Sequence[Line]:
        """The lines that are to be written now; of the others the count is told later.

        Args:
            records: what there is to tell.
            speakers: who has caused each.
        """
        lines = zip(records, speakers, strict=True)
        return [line for line in lines if line[0].event not in _BOUNDED or self._is_first(*line)]

    def due(self) -> Sequence[Line]:
        """What was counted since this was last called. To be called every `EVERY_S` seconds."""
        lines = list(self._tell())
        self._counted = {what: each for what, each in self._counted.items() if each.count}
        for each in self._counted.values():
            each.count = 0
        self._paths = Counter(who for who, *_ in self._counted)
        return lines

    def _is_first(self, record: AuditRecord, speaker: Speaker) -> bool:
        what = self._kind(record, speaker)
        known = self._counted.get(what)
        if known is None:
            self._paths[what[0]] += 1
            self._counted[what] = Counted(record, speaker)
            return True
        known.count += 1
        known.record = _shared_record(known.record, record)
        known.speaker = _shared_speaker(known.speaker, speaker)
        return False

    def _kind(self, record: AuditRecord, speaker: Speaker) -> tuple[str, ...]:
        """Of whom and of what it is, as far as that has a line of its own."""
        who = _caller(speaker)
        what = (who, record.event.value, record.right, record.path)
        if what in self._counted:
            return what
        if not self._paths[who] and len(self._paths) > MOST_CALLERS:
            return ("", record.event.value)
        if self._paths[who] >= MOST_PATHS:
            return (who, record.event.value)
        return what

    def _tell(self) -> Iterator[Line]:
        for each in self._counted.values():
            if each.count:
                yield replace(each.record, count=each.count), each.speaker


async def tell_counts(denials: Denials, write: Callable[[Sequence[Line]], None]) -> None:
    """Write what was counted, every `EVERY_S` seconds, until cancelled; and once more at the end."""
    try:
        while True:
            await trio.sleep(EVERY_S)
            write(denials.due())
    finally:
        write(denials.due())


def _caller(speaker: Speaker) -> str:
    """Who is counted: an identity; of those who have none, an address or a network of IPv6."""
    if speaker.identity in ("", "anonymous"):
        return network_of(speaker.address.rpartition(":")[0])
    return speaker.identity


def _shared_record(one: AuditRecord, other: AuditRecord) -> AuditRecord:
    """A record of both: what differs is left out."""
    return replace(
        other,
        path=other.path if one.path == other.path else "",
        right=other.right if one.right == other.right else "",
        connection=other.connection if one.connection == other.connection else None,
        acting_for=other.acting_for if one.acting_for == other.acting_for else "",
        policy=other.policy if one.policy == other.policy else None,
    )


def _shared_speaker(one: Speaker, other: Speaker) -> Speaker:
    return other if _caller(one) == _caller(other) else NOBODY
