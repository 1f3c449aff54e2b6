"""Fair shares when clients send more than a turn takes: one for each caller, then for each connection.

So no caller waits for all requests that another has sent, however many those are, and on however many
connections.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..replica.step.events import ClientGone, Event, FromClient

_OWN = -1
"""The origin of events that come from no client; connections have numbers from 1 on."""


CallerOf = Callable[[int], int]
"""Whose a connection is, as a number of the caller."""


def alone(connection: int) -> int:
    """Each connection is a caller of its own."""
    return connection


def share(
    events: Sequence[Event], most: int, caller_of: CallerOf = alone
) -> tuple[list[Event], list[Event]]:
    """Split the waiting events into those that the turn takes and the rest, both in order of arrival.

    Args:
        events: the waiting events from clients.
        most: how many messages are taken; more are waiting.
        caller_of: whose a connection is.
    """
    waiting: dict[int, int] = {}
    for event in events:
        origin = _origin(event)
        waiting[origin] = waiting.get(origin, 0) + messages(event)
    return _part(events, fair(waiting, most, caller_of))


def fair(waiting: Mapping[int, int], most: int, caller_of: CallerOf) -> dict[int, int]:
    """How many of `most` each connection may have: equal shares of the callers, divided by each.

    Args:
        waiting: how many each connection wants, in order of arrival.
        most: how many there are.
        caller_of: whose a connection is.
    """
    together: dict[int, dict[int, int]] = {}
    for connection, count in waiting.items():
        together.setdefault(caller_of(connection), {})[connection] = count
    if len(together) == len(waiting):
        return shares(waiting, most)
    wanted = {caller: sum(each.values()) for caller, each in together.items()}
    given: dict[int, int] = {}
    for caller, part in shares(wanted, most).items():
        given |= shares(together[caller], part)
    return given


def shares(waiting: Mapping[int, int], most: int) -> dict[int, int]:
    """How many of `most` messages each one may have: as many as it wants, or an equal share.

    Args:
        waiting: how many messages of each wait, in order of arrival.
        most: how many are taken in total.
    """
    given: dict[int, int] = {}
    modest_first = sorted(waiting, key=lambda origin: waiting[origin])
    for rank, origin in enumerate(modest_first):
        fair = max(1, most // (len(waiting) - rank))
        given[origin] = min(waiting[origin], fair, most)
        most -= given[origin]
    return given


def messages(event: Event) -> int:
    """How many messages an event holds."""
    return len(event.requests) if type(event) is FromClient else 1


def one_by_one(events: Iterable[Event], caller_of: CallerOf = alone) -> list[Event]:
    """The events split into single messages: the first of each caller, then the second, and so on.

    Events from no client come first. Each connection's messages stay in their order.
    """
    own: list[Event] = []
    by_rank: dict[int, list[Event]] = {}
    ranks: dict[int, int] = {}
    for event in events:
        origin = _origin(event)
        if origin == _OWN:
            own.append(event)
            continue
        caller = caller_of(origin)
        for part in _single(event):
            rank = ranks[caller] = ranks.get(caller, 0) + 1
            by_rank.setdefault(rank, []).append(part)
    return own + [part for rank in sorted(by_rank) for part in by_rank[rank]]


def _single(event: Event) -> list[Event]:
    if type(event) is not FromClient:
        return [event]
    return [FromClient(event.connection, (request,), event.identity) for request in event.requests]


def _part(events: Sequence[Event], left: dict[int, int]) -> tuple[list[Event], list[Event]]:
    taken: list[Event] = []
    rest: list[Event] = []
    for event in events:
        origin, count = _origin(event), messages(event)
        may = left[origin]
        left[origin] = max(0, may - count)
        if count <= may:
            taken.append(event)
        elif may and type(event) is FromClient:
            taken.append(FromClient(event.connection, event.requests[:may], event.identity))
            rest.append(FromClient(event.connection, event.requests[may:], event.identity))
        else:
            rest.append(event)
    return taken, rest


def _origin(event: Event) -> int:
    return event.connection if isinstance(event, FromClient | ClientGone) else _OWN
