"""What one node holds durably for one key, and for all keys of one home.

R13 and R14 name what must survive a crash: the highest promise and the highest accepted proposal.
Next to them is the decree, if the node has learned it. ``None`` stands for "nothing accepted yet",
and for "nothing learned yet".
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
        disputed: a second decree that was reported as chosen, which means a corrupt disk or a
            broken rule. With it, the instance must not be served.
    """

    promised: Ballot | None = None
    accepted: Proposal | None = None
    learned: Decree | None = None
    disputed: Decree | None = None


EMPTY = Instance()


class Class(Value, frozen=True):
    """What an acceptor has promised, durably, for all keys of one home (R13).

    Args:
        ballot: the home ballot; its process names the home. No proposal in a lower one is accepted.
        digest: of the configuration that decided the home of each key when the promise was given.
    """

    ballot: Ballot
    digest: ClassDigest


class Contradiction(Exception):
    """Two values for one ballot, or two decrees for one key: corruption or a bug, never a race."""
