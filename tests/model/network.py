"""The network of the model: a set of messages that only grows.

A message that was sent may arrive never, once or many times, at any later moment and in any order.
So loss, delay, repetition and reordering need no steps of their own (R02).

The set is kept as one *lane* for each node, an integer with a bit for each message. A node's lane
has what others sent to it, and the promises and acceptances that it gave. So a lane names no
acceptor except by its place, and two acceptors without another difference can change places.

A nack or a commit is the same whichever node sent it, since no answer to it depends on that. One
bit stands for all of them.
"""

from decreed.registry.paxos.messages import (
    Accept,
    Accepted,
    AcceptedMany,
    AcceptMany,
    PaxosMessage,
    Prepare,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.types import NodeId, Value

ANYONE = NodeId("")


class Post(Value, frozen=True):
    """One message in the lane of a node.

    Args:
        inbound: whether it goes to the node; otherwise it is an answer of the node.
        peer: the other node.
        message: the message.
    """

    inbound: bool
    peer: NodeId
    message: PaxosMessage


class Lanes:
    """Numbers messages; the same message has the same bit in the lane of every node."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.inbound = 0
        self.answers_to: dict[NodeId, int] = {}
        self._numbers: dict[Post, int] = {}

    def place(self, sender: NodeId, to: NodeId, message: PaxosMessage) -> tuple[NodeId, int]:
        """The node whose lane has a message, and its bit there."""
        match message:
            case Promise() | Accepted() | AcceptedMany() | PromiseClass():
                return sender, self._bit(Post(False, to, message))
            case Prepare() | Accept() | AcceptMany() | PrepareClass():
                return to, self._bit(Post(True, sender, message))
            case _:
                return to, self._bit(Post(True, ANYONE, message))

    def read(self, lane: int) -> list[Post]:
        """The messages in a lane."""
        return [self.posts[number] for number in numbers(lane)]

    def _bit(self, post: Post) -> int:
        number = self._numbers.get(post)
        if number is None:
            number = self._numbers[post] = len(self.posts)
            self.posts.append(post)
            if post.inbound:
                self.inbound |= 1 << number
            else:
                self.answers_to[post.peer] = self.answers_to.get(post.peer, 0) | 1 << number
        return 1 << number


def numbers(bits: int) -> list[int]:
    """Which bits are set."""
    found: list[int] = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found
