"""Requests as a server passes them on: those of one frame of a client are one event."""

from collections.abc import Iterable
from itertools import groupby

from decreed.registry.replica.step.events import Event, FromClient


def in_frames(events: Iterable[Event]) -> list[Event]:
    """The events in their order, where neighbouring requests of a client came in one frame."""
    framed: list[Event] = []
    for connection, together in groupby(events, _connection):
        if connection is None:
            framed += together
        else:
            frames = [event for event in together if isinstance(event, FromClient)]
            requests = tuple(request for frame in frames for request in frame.requests)
            framed.append(FromClient(connection, requests, frames[0].identity))
    return framed


def _connection(event: Event) -> int | None:
    return event.connection if isinstance(event, FromClient) else None
