"""Requests in the name of somebody else (S08): what a gateway sends."""

from typing import Annotated

from msgspec import Meta

from ..types import MAX_IDENTITY_CHARS, Value
from .requests import Nameable, Request


class ActForRequest(Value, frozen=True, tag=69):
    """A request for somebody else (S08): its sender is a gateway, which holds ``act-for`` there.

    It is answered as the request in it is, with the same id; `Cancel` names that id.

    Args:
        identity: for whom, such as ``client/bob``.
        request: what to do.
    """

    identity: Annotated[str, Meta(min_length=1, max_length=MAX_IDENTITY_CHARS)]
    request: Nameable

    @property
    def id(self) -> int:
        """The id of the request in it."""
        return self.request.id


ClientMessage = Request | ActForRequest
"""What a client sends behind its greeting."""


def kind_of(message: ClientMessage) -> type[object]:
    """What kind of request it is, also if it is for somebody else."""
    return type(message.request if type(message) is ActForRequest else message)
