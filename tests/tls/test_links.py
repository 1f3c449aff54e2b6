"""S04: a link is the one of the node that its certificate names, whatever later messages say."""

from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from decreed.registry.errors import ProtocolError
from decreed.registry.replica.step.effects import AskPast
from decreed.registry.server.greeting import PeerLine
from decreed.registry.server.links import Links
from decreed.registry.types import NodeId
from decreed.registry.wire.handshake import (
    NO_MEMBERS,
    VERSION,
    PeerHello,
    PeerIdentity,
    PeerRecall,
    PeerWelcome,
)

from ..support.secured import pair

pytestmark = pytest.mark.trio


def shown(node: str) -> PeerIdentity:
    return PeerIdentity("c", NO_MEMBERS, NodeId(node), bytes(16), 1, bytes(16), 0, None)


def links() -> Any:
    """Links whose parts do nothing."""
    return cast(Any, Links(*[Mock()] * 8))


async def test_S04_who_proves_the_past_of_another_node_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, hello = links(), PeerHello("decreed", VERSION, VERSION, shown("n2"), 0, None)
    monkeypatch.setattr(
        made, "_await_verdict", AsyncMock(return_value=AskPast(1, NodeId("n2"), PeerRecall(1)))
    )
    ours, theirs = await pair()
    async with ours, theirs:
        line = PeerLine(theirs, NodeId("n2"), None)
        await ours.send(PeerHello("decreed", VERSION, VERSION, shown("n3"), 0, None))
        with pytest.raises(ProtocolError, match="n2 is proven, and its hello says n3"):
            await made._judge_hello(line, hello, VERSION, Mock())


async def test_S04_a_welcome_of_another_node_than_the_certificates_is_refused() -> None:
    welcome = PeerWelcome(VERSION, shown("n3"), None, bytes(32))
    with pytest.raises(ProtocolError, match="n2 is proven, and its welcome says n3"):
        await links()._judge_welcome(NodeId("n2"), welcome, Mock())
