"""Requests of gateways: each is taken out of its wrapper, and comes from the identity that it names.

Who speaks for whom is only noted here. Whether he may is asked of the policy, where all rights are
(`Admission`). Quotas are those of the identity that is named; limits those of the gateway, whose
connection has them.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from ..identity import Identity
from ..replica.requests.validation import named
from ..replica.step.events import Misnamed
from ..wire.gateways import ActForRequest, ClientMessage
from ..wire.requests import Request

_FIRST = itemgetter(0)


def by_identity(
    messages: Sequence[ClientMessage], speaker: Identity
) -> Iterator[tuple[Identity, tuple[Request | Misnamed, ...]]]:
    """Requests with the identity that each comes from; neighbours of one identity come together.

    Args:
        messages: what a client has sent.
        speaker: who it is.
    """
    if not any(type(message) is ActForRequest for message in messages):
        yield speaker, tuple(map(named, messages))  # type: ignore[arg-type]
        return
    each = (_unwrapped(message, speaker) for message in messages)
    for identity, together in groupby(each, _FIRST):
        yield identity, tuple(request for _, request in together)


def _unwrapped(message: ClientMessage, speaker: Identity) -> tuple[Identity, Request | Misnamed]:
    if not isinstance(message, ActForRequest):
        return speaker, named(message)
    try:
        return speaker.acts_for(message.identity), named(message.request)
    except ValueError as error:
        return speaker, Misnamed(message.id, str(error))
