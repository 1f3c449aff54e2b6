"""A request: one request in flight on a link, and the events that its owner gets."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from ...registry.errors import DecreedError
from ...registry.wire.gateways import ActForRequest, ClientMessage
from ...registry.wire.handshake import ClientWelcome
from ...registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
)

if TYPE_CHECKING:
    from .link import Link


class Lost(Struct, frozen=True):
    """The request gets no answer, because of `error`."""

    error: DecreedError


class Silent(Struct, frozen=True):
    """The node has fallen silent; the answer may still come."""

    error: DecreedError


Event = Answer | ClientWelcome | Lost | Silent
AnyClaim = ClaimRequest | ClaimNextRequest


class InFlightRequest:
    """A request that was submitted to a link.

    Args:
        link: the link.
        id: its id on the connection.
        request: what to send; None to get only the welcome.
        deliver: called once with the outcome; before that, if the node falls silent, with `Silent`.
        now: when it was submitted.
    """

    __slots__ = ("deliver", "id", "link", "made_at", "request", "weight", "withdrawn", "written_at")

    def __init__(
        self,
        link: "Link",
        id: int,
        request: ClientMessage | None,
        deliver: Callable[["InFlightRequest", Event], None],
        now: float,
    ) -> None:
        self.link = link
        self.id = id
        self.request = request
        self.deliver = deliver
        self.weight = _weight(request)
        self.made_at = now
        self.written_at: float | None = None
        self.withdrawn = False


def _weight(request: ClientMessage | None) -> int:
    """The bytes of the value that `request` carries, if it is a claim."""
    asked = request.request if isinstance(request, ActForRequest) else request
    return len(asked.claim.value) if isinstance(asked, AnyClaim) else 0
