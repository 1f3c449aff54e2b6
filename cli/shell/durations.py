"""Spans of time as people write them: ``500ms``, ``10s``, ``1h30m``, ``1.5h``, ``2d``, or seconds.

The only parser of durations, for options, variables and the config file; it knows nothing of these.
"""

import re

from ...registry.errors import BadRequest

SHORTEST_SECONDS = 0.001
LONGEST_SECONDS = 365 * 86_400.0

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_ORDER = list(_SECONDS)
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([a-zA-Zµ]*)", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_FORMS = "write 500ms, 10s, 1h30m, 1.5h, 2d or plain seconds"
_WORDS = {
    "d": ("day", "days"),
    "h": ("hour", "hours", "hr", "hrs"),
    "m": ("min", "mins", "minute", "minutes"),
    "s": ("sec", "secs", "second", "seconds"),
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
}
_MEANT = {word: unit for unit, words in _WORDS.items() for word in words}


def seconds_of(text: str) -> float:
    """The seconds that `text` means: parts in falling order of their units, or a plain number.

    Raises:
        BadRequest: if it is malformed, shorter than a millisecond, or longer than a year.
    """
    plain = text.strip()
    seconds = float(plain) if _PLAIN.fullmatch(plain) else _sum(plain, text)
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise _bad(text, "it is not between 1ms and 365d")
    return seconds


def _sum(plain: str, text: str) -> float:
    total, end, last = 0.0, 0, -1
    for part in _PART.finditer(plain):
        if part.start() != end:
            break
        end = part.end()
        place = _place(part[2], text)
        if place <= last:
            raise _bad(text, "its units do not fall, each there once")
        if "." in part[1] and end != len(plain):
            raise _bad(text, "only the last part may be a fraction")
        total, last = total + float(part[1]) * _SECONDS[part[2]], place
    if end != len(plain) or not plain:
        raise _bad(text)
    return total


def _place(unit: str, text: str) -> int:
    if unit in _SECONDS:
        return _ORDER.index(unit)
    if not unit:
        raise _bad(text, "a part of it has no unit")
    meant = _MEANT.get(unit.lower(), unit.lower())
    if meant in _SECONDS:
        raise _bad(text, f"{unit!r} is written {meant!r}")
    raise _bad(text, f"{unit!r} is no unit; the units are d, h, m, s and ms")


def _bad(text: str, fault: str = "") -> BadRequest:
    shown = text if len(text) <= 40 else text[:37] + "..."
    return BadRequest(f"{shown!a} is no time: {fault + '; ' if fault else ''}{_FORMS}")
