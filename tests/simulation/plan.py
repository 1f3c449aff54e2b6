"""The plan of one run, small enough to write down: a seed, a length, and what is left out.

The faults and the requests of each tick have their own random source. So a tick can be left out without
a change in the others, and a failing run can be shrunk. A plan is a text file::

    # why it is kept
    seed 17
    ticks 45
    calm 3 9-12
    silent 0-40
    sound
    governed
    mood sleepers

*Calm* ticks have no faults; *silent* ticks have no requests. In a *sound* run no record becomes
unreadable. In a *governed* run the nodes obey policies, which change (`governed_storm.py`). If there is
a *mood*, the members change, in that manner (`moods.py`).
"""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

TICKS = 120
CORRUPT_RECORDS = (0.0, 0.0, 0.0, 0.03, 0.1)
"""How often records become unreadable, in a tick."""
CHANGING = 5
"""In each seed that this number divides the members change."""
MOODS = (
    "changing",
    "full replacement",
    "sleepers",
    "one source left",
    "dead disk",
    "flexible",
    "restarts between seal and ready",
    "damaged keys",
    "lagging joiner",
)
"""How members change in a run; `moods.py` says what each means."""


@dataclass(frozen=True)
class Plan:
    """One run.

    Args:
        seed: decides everything that is left to chance.
        ticks: the number of ticks with faults.
        calm: ticks without faults.
        silent: ticks without requests.
        sound: no record ever becomes unreadable.
        mood: how the members change; empty if they stay.
        governed: the nodes obey policies, which change too.
    """

    seed: int
    ticks: int = TICKS
    calm: frozenset[int] = field(default_factory=frozenset[int])
    silent: frozenset[int] = field(default_factory=frozenset[int])
    sound: bool = False
    mood: str = ""
    governed: bool = False

    @classmethod
    def drawn(cls, seed: int, *, governed: bool = False) -> "Plan":
        """The plan of a seed: in each `CHANGING`-th the members change, in one mood after the other."""
        number, rest = divmod(seed, CHANGING)
        mood = "" if rest else MOODS[number % len(MOODS)]
        return cls(seed, mood=mood, governed=governed)

    def chance(self, what: str, tick: int = 0) -> random.Random:
        """The random source for one purpose in one tick."""
        return random.Random(f"{self.seed} {what} {tick}")

    @property
    def corrupt_records(self) -> float:
        """How often records become unreadable; 0 in most runs."""
        return 0.0 if self.sound else self.chance("scratches").choice(CORRUPT_RECORDS)

    def text(self, why: str) -> str:
        """The plan as a file, with the reason why it is kept."""
        lines = [f"# {line}" for line in why.splitlines()]
        lines += [f"seed {self.seed}", f"ticks {self.ticks}"]
        for name, ticks in (("calm", self.calm), ("silent", self.silent)):
            if ticks:
                lines.append(" ".join([name, *_ranges(ticks)]))
        lines += ["sound"] if self.sound else []
        lines += ["governed"] if self.governed else []
        lines += [f"mood {self.mood}"] if self.mood else []
        return "\n".join(lines) + "\n"


def parse_plan(text: str) -> Plan:
    """The plan in a file.

    Raises:
        ValueError: if a line is not understood; it names the line.
    """
    facts: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, *words = line.split("#")[0].split() or [""]
        if name not in ("", "seed", "ticks", "calm", "silent", "sound", "governed", "mood"):
            raise ValueError(f"no part of a plan: {line!r}")
        facts[name] = words
    return Plan(
        int(facts["seed"][0]),
        int(facts.get("ticks", [str(TICKS)])[0]),
        frozenset(_numbers(facts.get("calm", []))),
        frozenset(_numbers(facts.get("silent", []))),
        "sound" in facts,
        " ".join(facts.get("mood", [])),
        "governed" in facts,
    )


def _ranges(numbers: Collection[int]) -> Iterator[str]:
    """Numbers as ``3`` and ``9-12``, in order."""
    for number in sorted(numbers):
        if number - 1 in numbers:
            continue
        end = number
        while end + 1 in numbers:
            end += 1
        yield str(number) if end == number else f"{number}-{end}"


def _numbers(words: list[str]) -> Iterator[int]:
    for word in words:
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)
