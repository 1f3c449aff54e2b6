"""Operations for the tests of the judge, written in one line each."""

from decreed.registry.types import Ballot, Decree, Key, NodeId, Process

from .operations import Kind, Operation, Result, Wish

BALLOT = Ballot(1, Process(NodeId("n1"), 2))
Times = tuple[float, float | None]


def wish(claim_id: str, value: str | None = None) -> Wish:
    """A wish; its value is made from its id unless given."""
    return Wish((value or f"value of {claim_id}").encode(), claim_id.encode())


def decree(key: str, claim_id: str, time_ms: int = 7, value: str | None = None) -> Decree:
    """The decree that grants `wish(claim_id)`."""
    own = wish(claim_id, value)
    return Decree(
        Key(key), own.value, own.content_type, own.claimant, own.claim_id, own.note, time_ms, BALLOT
    )


def claim(
    times: Times,
    key: str,
    claim_id: str,
    end: Decree | Result,
    told: Result = Result.DECREED,
    value: str | None = None,
) -> Operation:
    """A claim that got a decree, with or without its outcome, or ended otherwise."""
    return _claimed(Kind.CLAIM, times, key, wish(claim_id, value), end, told, None)


def take(
    times: Times, claim_id: str, end: int | Decree | Result, first: int | None = 1
) -> Operation:
    """A claim of the next slot of ``s`` that won a slot, got a decree, or ended otherwise."""
    got = decree(f"s@{end}", claim_id) if isinstance(end, int) else end
    told = Result.WON if isinstance(end, int) else Result.DECREED
    return _claimed(Kind.CLAIM_NEXT, times, "s", wish(claim_id), got, told, first)


def _claimed(
    kind: Kind,
    times: Times,
    subject: str,
    wanted: Wish,
    end: Decree | Result,
    told: Result,
    first: int | None,
) -> Operation:
    called, returned = times
    result, decrees = (end, ()) if isinstance(end, Result) else (told, (end,))
    return Operation(
        f"c{called:g}", kind, subject, called, returned, result, wanted, first, decrees
    )


def read(times: Times, key: str, found: Decree | None, kind: Kind = Kind.GET) -> Operation:
    """A read that found a decree, or the key undecided."""
    decrees = () if found is None else (found,)
    result = Result.UNDECIDED if found is None else Result.DECREED
    called, returned = times
    return Operation(f"c{called:g}", kind, key, called, returned, result, None, None, decrees)


def lists(times: Times, prefix: str, *decrees: Decree) -> Operation:
    """A list that returned these decrees."""
    called, returned = times
    return Operation(
        f"c{called:g}", Kind.LIST, prefix, called, returned, Result.LISTED, None, None, decrees
    )
