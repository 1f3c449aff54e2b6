"""How many bytes of values a message carries: what bounds on memory count.

The rest of a message is small and bounded by its types; it is counted by number, not by bytes.
"""

from ..paxos.messages import Accept, AcceptMany, Commit, Promise
from ..wire.peers import PeerMessage, QueryAnswer, ScanAnswer
from ..wire.requests import ClaimNextRequest, ClaimRequest, Decreed, Request


def weight(message: PeerMessage | Request) -> int:
    """The bytes of all values in `message`."""
    match message:
        case ClaimRequest() | ClaimNextRequest():
            return len(message.claim.value)
        case Accept() | Commit() | Decreed():
            return len(message.decree.value)
        case AcceptMany():
            return sum(len(decree.value) for decree in message.decrees)
        case Promise():
            return len(message.accepted.decree.value) if message.accepted else 0
        case QueryAnswer():
            return len(message.learned.value) if message.learned else 0
        case ScanAnswer():
            return sum(len(decree.value) for decree in message.learned)
        case _:
            return 0
