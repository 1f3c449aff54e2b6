"""What one node holds, durably, for one key, and for all keys of one home.

Rules R13 and R14 name what must survive a crash: the highest promise and the highest accepted
proposal. Next to them stands what the node has learned to be chosen. "Nothing accepted yet" is one
``None``; so is "nothing learned yet".
"""

from typing import Annotated

from msgspec import Meta

from ..types import Ballot, Decree, Proposal, Value

ClassDigest = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Instance(Value, frozen=True):
    """A node's state of one Paxos instance.

    Args:
        promised: nothing below this is accepted (R11, R13).
        accepted: the highest proposal ever accepted (R14).
        learned: the decree, once the node knows that it was chosen (R20); final.
        disputed: a second decree that somebody took for chosen. There is none unless a disk is
            corrupt or a rule was broken; with it, nobody may be served from this instance.
    """

    promised: Ballot | None = None
    accepted: Proposal | None = None
    learned: Decree | None = None
    disputed: Decree | None = None


EMPTY = Instance()


class Class(Value, frozen=True):
    """What an acceptor has promised, durably, for all keys of one home (R13).

    Args:
        ballot: the home ballot; its process names the home. Nothing in a lower one is accepted.
        digest: of what decided who is home to what when the promise was given.
    """

    ballot: Ballot
    digest: ClassDigest


class Contradiction(Exception):
    """Two values for one ballot, or two decrees for one key: corruption or a bug, never a race."""
