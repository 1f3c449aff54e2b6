"""A cluster whose nodes take turns as in the server, and what each of them costs.

A step takes time, a sync takes longer, and a frame needs a while to its receiver. What arrives during
a turn waits for the next one, a node's messages to itself wait for others, and each turn sends at most
one frame to each peer and each client. Which messages wait for others, and for how long, is decided by
the `Links` of the server themselves. All of it happens in virtual time, so the counts are the same in
every run and on every machine.
"""

import sys
from collections import Counter
from functools import partial
from math import inf
from types import FrameType, SimpleNamespace
from typing import Any, cast

import trio

from decreed.registry.config import ClusterConfig
from decreed.registry.replica.step.effects import Effects, Outgoing, Reply, Send
from decreed.registry.replica.step.events import Event, FromPeer
from decreed.registry.server.guests import OutboundLink
from decreed.registry.server.links import Links
from decreed.registry.server.node_loop import OWN_PATIENCE_MS
from decreed.registry.server.outbox import Outbox
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import decode_batch
from decreed.registry.wire.decrees import encode_message
from decreed.registry.wire.frames import HEADER_BYTES
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Answer

from .machine import Machine
from .world import World

HOP_MS = 0.06
"""From a node or a client to another one."""
STEP_MS = 0.12
SYNC_MS = 0.4
"""As on a machine with nothing else to do; all of them are multiplied by the pace of a world."""
MAX_QUEUED_BYTES = 1 << 20


class TurnsWorld(World):
    """A cluster that counts what its nodes do.

    Args:
        cluster: its configuration.
        pace: how many times as long everything takes as by the constants above.

    Attributes:
        counted: by node, how many turns, syncs, writes without a sync, messages encoded and decoded,
            calls of the core, and frames to peers and to clients.
    """

    def __init__(self, cluster: ClusterConfig | None = None, pace: float = 1.0) -> None:
        self.pace = pace
        self.counted: dict[NodeId, Counter[str]] = {}
        self._links: dict[NodeId, Links] = {}
        self._busy_until_ms: dict[NodeId, float] = {}
        self._own: dict[NodeId, float] = {}
        self._flushes: dict[NodeId, float] = {}
        super().__init__(cluster)

    def boot(self, node: NodeId, cluster: ClusterConfig | None = None) -> None:
        """Start a node, with links to all others."""
        self._links[node] = self._links_of(node)
        self.counted.setdefault(node, Counter())
        super().boot(node, cluster)

    def count_from_now(self) -> None:
        """Forget what was counted so far."""
        for counts in self.counted.values():
            counts.clear()

    # -- turns

    def _has_work(self, machine: Machine) -> bool:
        node = NodeId(machine.disk.name)
        if not machine.inbox or self.now_ms < self._busy_until_ms.get(node, 0.0):
            return False
        waits = self.now_ms < self._own.get(node, 0.0) + OWN_PATIENCE_MS
        return not waits or any(not _is_own(node, event) for event in machine.inbox)

    def _step(self, node: NodeId) -> None:
        self._own.pop(node, None)
        counts = self.counted[node]
        counts["turns"] += 1

        def profile(frame: FrameType, event: str, _: object) -> None:
            counts["calls"] += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            super()._step(node)
        finally:
            sys.setprofile(before)

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        sys.setprofile(None)  # what follows is not the core
        self._busy(node, STEP_MS)
        super()._carry_out(node, effects)

    def _write(self, node: NodeId, effects: Effects) -> bool:
        if effects.sync:
            self._busy(node, SYNC_MS)
        if effects.records or effects.sync:
            self.counted[node]["syncs" if effects.sync else "unsynced"] += 1
        return super()._write(node, effects)

    def _busy(self, node: NodeId, ms: float) -> None:
        """Let the node do nothing else for so long, and look for work when that is over."""
        until_ms = max(self.now_ms, self._busy_until_ms.get(node, 0.0)) + ms * self.pace
        self._busy_until_ms[node] = until_ms
        self.at(until_ms, _nothing)

    def _arrives_ms(self, node: NodeId) -> float:
        """When what a node sends now arrives: it is sent when the node is done with what it does."""
        return max(self.now_ms, self._busy_until_ms[node]) + HOP_MS * self.pace

    # -- frames

    def _deliver(self, node: NodeId, outgoing: list[Outgoing]) -> None:
        """As `serve` does: a message to several peers is encoded once, and each peer gets one frame."""
        encoded: dict[int, bytes] = {}
        replies: dict[int, list[Answer]] = {}
        for item in outgoing:
            match item:
                case Send(to, message) if to != node:
                    if id(message) not in encoded:
                        encoded[id(message)] = encode_message(message)
                    self.sent.append((node, to, message))
                    self._links[node].deliver(to, message, encoded[id(message)])
                case Send(_, message):
                    self._say_to_itself(node, message)
                case Reply(connection, answer):
                    replies.setdefault(connection, []).append(answer)
                case _:
                    self._hand_over(node, item)
        counts = self.counted[node]
        counts["encoded"] += len(encoded) + sum(map(len, replies.values()))
        counts["client frames"] += len(replies)
        for answers in replies.values():
            self.at(self._arrives_ms(node), partial(self._answer, node, answers))
        self._flush_later(node, self._links[node].flush())

    def _answer(self, node: NodeId, answers: list[Answer]) -> None:
        for answer in answers:
            self.answers.setdefault((node, answer.id), []).append(answer)
            self.on_answer(node, answer)

    def on_answer(self, node: NodeId, answer: Answer) -> None:
        """What the clients do with an answer; nothing, unless it is overridden."""

    def asks(self, node: NodeId, event: Event) -> None:
        """Let a client send a frame to a node."""
        self.at(self.now_ms + HOP_MS * self.pace, partial(self._arrive, node, [event]))

    def _say_to_itself(self, node: NodeId, message: PeerMessage) -> None:
        self._own.setdefault(node, max(self.now_ms, self._busy_until_ms[node]))
        self.at(self._own[node] + OWN_PATIENCE_MS, _nothing)
        self.post(node, FromPeer(node, message))

    def _flush_later(self, node: NodeId, delay_ms: float) -> None:
        """As `NodeLoop.later`."""
        due_ms = self.now_ms + delay_ms
        self._flushes[node] = min(due_ms, self._flushes.get(node, inf)) if due_ms < inf else inf
        if due_ms < inf:
            self.at(self._flushes[node], partial(self._flush_if_due, node))

    def _flush_if_due(self, node: NodeId) -> None:
        if self.now_ms >= self._flushes[node]:
            self._flushes[node] = inf
            self._links[node].flush_all()

    def _links_of(self, node: NodeId) -> Links:
        others = [NodeId(other) for other in self.config.nodes if other != node]
        nothing = cast(Any, None)
        links = Links(self.config, cast(Any, SimpleNamespace(others=others)), *[nothing] * 6)
        for other in others:
            outbox = Outbox(MAX_QUEUED_BYTES, partial(self._send_frame, node, other))
            links._outbound_links[other] = OutboundLink(outbox, trio.CancelScope(), bytes(16))
        return links

    def _send_frame(self, node: NodeId, to: NodeId, data: bytes | memoryview) -> int:
        self.counted[node]["peer frames"] += 1
        messages: list[PeerMessage] = list(decode_batch(bytes(data)[HEADER_BYTES:], PeerMessage))
        arrived: list[Event] = [FromPeer(node, message) for message in messages]
        self.at(self._arrives_ms(node), partial(self._arrive, to, arrived))
        return len(data)

    def _arrive(self, node: NodeId, events: list[Event]) -> None:
        self.counted[node]["decoded"] += len(events)
        for event in events:
            self.post(node, event)

    def _ping(self, node: NodeId, replica: object) -> None:
        """Without pings: an idle node hears little else, and they have no part in what is counted."""


def _is_own(node: NodeId, event: Event) -> bool:
    return isinstance(event, FromPeer) and event.sender == node


def _nothing() -> None:
    """Time has passed."""
