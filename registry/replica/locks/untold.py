"""Releases that the other nodes have not been told of yet.

If a client waits for the lock here, the next term is proposed in the same step. Its accept says how
the previous one ended, which tells its receivers the same as `EndTerm` (`Acceptors`). So the release
travels in it. If that term is not tried any more after `TELL_MS`, the release is told by itself; if it
is tried and not decided for long, too. Once it is decided, the release no longer matters.

If nobody waits, the release is told at once: any node that is asked who holds the lock is to know.

No rule depends on how soon it is told. A release is kept in memory alone, and a node that never hears
of it refuses the next term for no longer than its lease runs (design 11). A break does not wait, since
it ends keep-alives at all nodes.
"""

from collections.abc import Callable

from msgspec import Struct

from ...locks.terms import lock_and_term
from ...types import Decree
from ...wire.leases import EndTerm
from ..step.events import ResendRead
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder

TELL_MS = 4.0
"""After how long it is looked whether the next term is still being tried."""


class Untold(Struct, eq=False):
    """A release.

    Attributes:
        over: the message that tells it.
        patient: whether it waits for a term that is being proposed.
    """

    over: EndTerm
    patient: bool = True


class UntoldReleases:
    """The releases of a node's clients that wait to be told.

    Args:
        node: whose other voters are told.
        tries: whether the queue of a lock is trying the next term.
    """

    def __init__(self, node: Node, tries: Callable[[str], bool]) -> None:
        self._node = node
        self._tries = tries
        self._untold: dict[int, Untold] = {}

    def __len__(self) -> int:
        return len(self._untold)

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"untold releases": self._untold}

    def add(self, step: StepBuilder, over: EndTerm) -> None:
        """Tell a release in the accept of the next term, or at once if none is being proposed."""
        if not self._tries(over.lease_id.lock):
            step.broadcast(self._node.others, over)
            return
        token = self._node.tokens.ask(self)
        self._untold[token] = Untold(over)
        step.ask_again(token, TELL_MS)

    def on_learned(self, decree: Decree) -> None:
        """Drop the releases of earlier terms: no node needs them to accept the next one."""
        if self._untold:
            lock, term = lock_and_term(decree.key)
            held = [(token, each.over.lease_id) for token, each in self._untold.items()]
            for token, lease_id in held:
                if lease_id.lock == lock and lease_id.term < term:
                    self._drop(token)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Tell a release by itself, unless the next term is being proposed since a short while."""
        untold = self._untold[timer.token]
        if untold.patient and self._tries(untold.over.lease_id.lock):
            untold.patient = False
            step.ask_again(timer.token, self._node.config.timing.resend_ms)
        else:
            self._drop(timer.token)
            step.broadcast(self._node.others, untold.over)

    def _drop(self, token: int) -> None:
        del self._untold[token]
        self._node.tokens.close(token)
