"""Small random histories: right ones from a simulated register, and changed ones.

In a right history each operation takes effect at one moment between its call and its return; lists are
filled in afterwards. Times are small integers, so that equal times are common. A change may leave the
history right: the exhaustive search decides.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec

from decreed.registry.types import Ballot, Decree, Key, NodeId, Process

from .answers import meaning
from .operations import CLAIMS, TOLD, Kind, Operation, Result, Wish

BALLOTS = [Ballot(n, Process(NodeId(f"n{n}"), 1)) for n in (1, 2, 3)]
LATEST_TIME = 16


@dataclass(slots=True)
class Plan:
    """An operation before its result is known: it takes effect at `moment`, if at all."""

    kind: Kind
    subject: str
    called: int
    moment: int
    returned: int
    fate: Result | None
    wish: Wish | None = None
    first_slot: int | None = None


@dataclass
class Register:
    """The frozen keys, and when each was frozen."""

    chance: random.Random
    decrees: dict[str, Decree] = field(default_factory=dict[str, Decree])
    since: dict[str, int] = field(default_factory=dict[str, int])

    def carry_out(self, plan: Plan) -> tuple[Result, tuple[Decree, ...]]:
        """Carry out the plan; returns its result."""
        match plan.kind:
            case Kind.LATEST:
                count = self.count(plan.subject)
                return self._read(f"{plan.subject}@{count}")
            case Kind.CLAIM_NEXT:
                return self._claim(plan, self._slot_for(plan))
            case Kind.CLAIM:
                return self._claim(plan, plan.subject)
            case _:
                return self._read(plan.subject)

    def count(self, series: str) -> int:
        """How many slots of a series are frozen."""
        return sum(key.startswith(f"{series}@") for key in self.decrees)

    def _read(self, key: str) -> tuple[Result, tuple[Decree, ...]]:
        decree = self.decrees.get(key)
        return (Result.DECREED, (decree,)) if decree else (Result.UNDECIDED, ())

    def _slot_for(self, plan: Plan) -> str:
        count, first = self.count(plan.subject), plan.first_slot or 1
        for slot in range(first, count + 1):
            key = f"{plan.subject}@{slot}"
            if plan.wish and self.decrees[key].claim_id == plan.wish.claim_id:
                return key
        return f"{plan.subject}@{max(count + 1, first)}"

    def _claim(self, plan: Plan, key: str) -> tuple[Result, tuple[Decree, ...]]:
        assert plan.wish is not None
        series, at, slot = key.partition("@")
        if key not in self.decrees:
            if at and self.count(series) + 1 < int(slot):
                return Result.FAILED, ()
            self.decrees[key] = made(key, plan.wish, self.chance)
            self.since[key] = plan.moment
        told = meaning(plan.wish, self.decrees[key])
        if told is Result.REUSED:
            return (Result.FAILED if at else told), ()
        plain = self.chance.random() < 0.2
        return (Result.DECREED if plain else told), (self.decrees[key],)


def made(key: str, wish: Wish, chance: random.Random) -> Decree:
    """A decree that grants a wish."""
    return Decree(
        Key(key),
        wish.value,
        wish.content_type,
        wish.claimant,
        wish.claim_id,
        wish.note,
        chance.randrange(3),
        chance.choice(BALLOTS),
    )


def right_history(chance: random.Random) -> list[Operation]:
    """A possible history of clients of a register, in no particular order."""
    series = chance.random() < 0.5
    firsts: dict[bytes, int | None] = {}
    plans = [_plan(chance, series, firsts) for _ in range(chance.randint(3, 8))]
    register = Register(chance)
    chance.shuffle(plans)
    ends = {id(plan): _end(plan, register) for plan in sorted(plans, key=lambda p: p.moment)}
    return [_operation(number, plan, ends[id(plan)], register) for number, plan in enumerate(plans)]


def changed(history: list[Operation], chance: random.Random) -> list[Operation]:
    """The history with a few changes."""
    for _ in range(chance.randint(2, 5)):
        place = chance.randrange(len(history)) if history else 0
        if history and chance.random() < 0.15:
            history = history[:place] + history[place + 1 :]
        elif history:
            new = next(_changes(history[place], history, chance), history[place])
            history = [*history[:place], new, *history[place + 1 :]]
    return history


def _plan(chance: random.Random, series: bool, firsts: dict[bytes, int | None]) -> Plan:
    called, moment, returned = sorted(chance.randrange(LATEST_TIME) for _ in range(3))
    fate: Result | None = None
    if (lot := chance.random()) < 0.25:
        fate = Result.UNKNOWN
        moment = chance.choice([moment, chance.randrange(called, 2 * LATEST_TIME)])
    elif lot < 0.32:
        fate = Result.FAILED
    plan = Plan(_kind(chance, series), "", called, moment, returned, fate)
    _fill(plan, chance, series, firsts)
    return plan


def _kind(chance: random.Random, series: bool) -> Kind:
    reads = [Kind.GET, Kind.GET, Kind.WAIT, Kind.LIST]
    claims = [Kind.CLAIM_NEXT] * 4 + [Kind.LATEST, Kind.CLAIM] if series else [Kind.CLAIM] * 4
    return chance.choice(reads + claims)


def _fill(plan: Plan, chance: random.Random, series: bool, firsts: dict[bytes, int | None]) -> None:
    """Subject and wish. Ids of the two kinds of claims are kept apart, as callers should."""
    keys = ["s@1", "s@2", "s@3"] if series else ["a", "a", "b/c"]
    plan.subject = chance.choice(keys)
    number = chance.randint(1, 3)
    if plan.kind is Kind.LIST:
        plan.subject = chance.choice(["", "s", "a", "b", "b/c"])
    elif plan.kind is Kind.CLAIM:
        value = b"v%d" % (number // 2) if chance.random() < 0.75 else b"other"
        plan.wish = Wish(value, b"p%d" % number)
    elif plan.kind in (Kind.CLAIM_NEXT, Kind.LATEST):
        plan.subject = "s"
        if plan.kind is Kind.CLAIM_NEXT:
            plan.wish = Wish(b"w%d" % number, b"n%d" % number)
            _search_from(plan, plan.wish.claim_id, chance, firsts)


def _search_from(
    plan: Plan, claim_id: bytes, chance: random.Random, firsts: dict[bytes, int | None]
) -> None:
    """The same first slot for each repetition of an id; no first slot only for an id used once."""
    if claim_id not in firsts:
        firsts[claim_id] = chance.choice([1, 1, 2])
        if chance.random() < 0.1 and plan.wish is not None:
            once = b"once%d" % len(firsts)
            firsts[once] = None
            plan.wish = replace(plan.wish, claim_id=once)
            return
    plan.first_slot = firsts[claim_id]


def _end(plan: Plan, register: Register) -> tuple[Result, tuple[Decree, ...]]:
    if plan.kind is Kind.LIST:
        return plan.fate or Result.LISTED, ()
    never = plan.fate is Result.UNKNOWN and register.chance.random() < 0.4
    if plan.fate is Result.FAILED or never:
        return plan.fate or Result.UNKNOWN, ()
    result, decrees = register.carry_out(plan)
    return (Result.UNKNOWN, ()) if plan.fate is Result.UNKNOWN else (result, decrees)


def _operation(
    number: int, plan: Plan, end: tuple[Result, tuple[Decree, ...]], register: Register
) -> Operation:
    result, decrees = end
    returned: int | None = plan.returned
    if result is Result.LISTED:
        decrees = tuple(_listed(plan, register))
    elif result is Result.UNKNOWN and register.chance.random() < 0.5:
        returned = None
    return Operation(
        f"c{number}",
        plan.kind,
        plan.subject,
        plan.called,
        returned,
        result,
        plan.wish,
        plan.first_slot,
        decrees,
    )


def _listed(plan: Plan, register: Register) -> Iterator[Decree]:
    for key in sorted(register.decrees):
        path = key.partition("@")[0]
        wanted = not plan.subject or path == plan.subject or path.startswith(f"{plan.subject}/")
        before, meanwhile = register.since[key] < plan.called, register.since[key] <= plan.returned
        if wanted and (before or (meanwhile and register.chance.random() < 0.5)):
            yield register.decrees[key]


def _changes(
    operation: Operation, history: list[Operation], chance: random.Random
) -> Iterator[Operation]:
    """One change that makes sense for this operation; a shift in time if there is no other."""
    lot = chance.random()
    if operation.decrees and lot < 0.45:
        yield _with_other_decrees(operation, history, chance)
    if operation.kind in CLAIMS and lot < 0.65:
        end = operation.called if operation.returned is None else operation.returned
        yield replace(operation, result=Result.FAILED, decrees=(), returned=end)
    if operation.result in TOLD and lot < 0.75:
        yield replace(operation, result=chance.choice(sorted(TOLD, key=lambda r: r.value)))
    if operation.result is Result.DECREED and operation.kind not in CLAIMS and lot < 0.8:
        yield replace(operation, result=Result.UNDECIDED, decrees=())
    by = chance.randint(-LATEST_TIME, LATEST_TIME)
    moved = None if operation.returned is None else operation.returned + by
    yield replace(operation, called=operation.called + by, returned=moved)


def _with_other_decrees(
    operation: Operation, history: list[Operation], chance: random.Random
) -> Operation:
    decrees = list(operation.decrees)
    place = chance.randrange(len(decrees))
    others = [decree for other in history for decree in other.decrees]
    change = chance.randrange(5)
    if change == 0 and operation.kind is Kind.LIST:
        del decrees[place]
    elif change == 1:
        decrees[place] = chance.choice(others)
    elif change == 2:
        decrees[place] = msgspec.structs.replace(decrees[place], claim_id=b"p1")
    elif change == 3 and operation.kind in (Kind.CLAIM_NEXT, Kind.LATEST):
        key = Key(f"{operation.subject}@{chance.randint(1, 3)}")
        decrees[place] = msgspec.structs.replace(decrees[place], key=key)
    else:
        decrees[place] = msgspec.structs.replace(
            decrees[place], time_ms=chance.randrange(3), ballot=chance.choice(BALLOTS)
        )
    return replace(operation, decrees=tuple(decrees))
