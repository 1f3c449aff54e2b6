"""Seeding: a joiner learns decrees from a file before it reads the feeds of its peers.

The file is a snapshot of the same formation. Its decrees are chosen, no matter who tells them, so
they are learned like those that a peer tells (R20): final, compared with what is known here, and told
on in this node's own feed.

A snapshot may also say how far the feeds of voters are in it. Once all of it is learned, pages of those
feeds may leave that out (`marks` has the argument). The cursors begin at 0 all the same, and move by
pages alone, so the arguments for taking over and readiness (M08, M09, M17) do not know of seeds.
Without marks, the entries of feeds are found learned, and nothing is fetched.

Invariants kept here:

* a decree of another formation is never learned. A page names its formation, and a node has one
  formation permanently (M19);
* marks are used only if every decree that the seed should have was given here and is learned here.
"""

from collections.abc import Sequence

from ...paxos.instance import Instance
from ...types import Decree
from ...unserved import ForgottenInstance
from ..step.events import Seeded
from ..step.node import Node
from ..step.step_builder import StepBuilder
from .catchup import CatchUp
from .learner import Learner
from .marks import Marks


class Seeding:
    """What becomes of the pages of a seed.

    Args:
        node: who we are.
        learner: learns the decrees.
        catchup: waits for the end of the seed.
        marks: used once all of the seed is learned.
    """

    def __init__(self, node: Node, learner: Learner, catchup: CatchUp, marks: Marks) -> None:
        self._node = node
        self._learner = learner
        self._catchup = catchup
        self._marks = marks
        self._learned = 0

    @property
    def is_useful(self) -> bool:
        """Whether this node may learn anything from a seed: it has read no feed, and has no vote."""
        return not (self._node.takes_part or self._catchup.has_read)

    def wait(self) -> None:
        """A seed will come: read no feed before its end."""
        self._catchup.awaits_seed = True

    def on_page(self, step: StepBuilder, page: Seeded) -> None:
        """Learn the decrees of a page; after the last page, read the feeds."""
        if page.formation != self._node.identity.formation:
            step.alarm("a seed is of another formation than this node; none of it is learned")
            return
        self._learner.learn_told(step, page.decrees)
        self._learned += _settled(step, page.decrees)
        if page.is_last:
            if self._learned == page.count and not self._node.failed:
                self._marks.use(page.marks)
            self._catchup.on_seeded(step)


def _settled(step: StepBuilder, decrees: Sequence[Decree]) -> int:
    """How many of these decrees are learned here, or forgotten."""
    found = [step.instances[decree.key] for decree in decrees]
    return sum(
        [
            one.learned is not None and one.disputed is None
            if isinstance(one, Instance)
            else isinstance(one, ForgottenInstance)
            for one in found
        ]
    )
