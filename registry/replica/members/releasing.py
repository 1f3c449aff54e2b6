"""Releasing: what was withheld is asked for again, until enough sound pages show it. M18.

A node becomes ready although some keys could not be shown soundly (`withholding`). Those who can show
them may come later: a voter of the epoch before that was off, or a voter of this epoch that has learned
more by now. So the node goes on to ask for pages of state, from their beginning, and counts for each
withheld key the series in which it is not named. As many as taking over needs are enough (M09).

Why that is safe: the silence has kept the node from voting on the key in this epoch. So for this key it
stands where it stood before it was ready, and takes it over now. What it is shown may be of this epoch
by now; that is a real proposal, and adopting it is no vote (M07).

Invariants kept here:

* the node's own state counts only if it was withheld in taking this epoch over: what was withheld
  earlier was not taken over for the epoch before;
* a key whose own record could not be read when it was withheld is released by nothing but the decree,
  until a scrub has read all of the node's own feed, and that does not name the key. The node may have
  learned that decree, and read the feeds beyond it. Then nobody shows it, since all who have learned it
  leave it out. What it has learned is in its own feed; if the key is not, the record was a vote of an
  earlier epoch. Then enough pages of others show what may have been chosen, as for any node;
* a series counts as far as the cursor has come, so a feed in which a key was passed over, as its record
  could not be read here, releases nothing: the key is decided;
* what a feed says is decided is released by nothing but the decree: a page of the node that cannot read
  it leaves it out, as it leaves out all that it has learned. But a proposal with the digest that the
  feed told is that decree.
"""

from collections.abc import Callable, Iterable, Mapping

from ...paxos.epochs import Gathering
from ...types import Decree, Key, NodeId, Proposal, decree_digest
from ...unserved import WithheldInstance
from ...wire.peers import StatePage
from ..step.events import ResendRead, Shown
from ..step.node import Node
from ..step.step_builder import Pending, StepBuilder
from .state_question import StateQuestion
from .taking_over import Feeds
from .withholding import Withholding

Learn = Callable[[StepBuilder, Iterable[Decree]], None]

MAX_SWEEPS = 8
"""After so many sweeps the series begin again: a source may show now what it could not then."""


class Releasing:
    """The state that is asked for again, for the keys that are withheld.

    Args:
        node: who we are.
        feeds: reads the feeds of the sources.
        withholding: the keys.
        learn: learns decrees that are known to be chosen.
    """

    def __init__(self, node: Node, feeds: Feeds, withholding: Withholding, learn: Learn) -> None:
        self._node = node
        self._feeds = feeds
        self._withholding = withholding
        self._learn = learn
        self._question = StateQuestion(node, feeds, self)
        self._sweeps = 0
        self._shown: dict[Key, Proposal] = {}

    @property
    def token(self) -> int:
        """Of the latest question; the pages that answer it name it."""
        return self._question.token

    def pending(self) -> Pending:
        """What is not over; see `Replica.pending_work`."""
        return {"releasing": self._question.sources}

    def sweep(self, step: StepBuilder) -> None:
        """Ask those whose pages are missing; begin again if all have come, or after some time."""
        node = self._node
        is_ready = node.seat.known == node.seat.ready and not node.failed
        if node.before is None or not is_ready or not self._withholding.keys:
            self._end()
            return
        self._sweeps += 1
        if not self._question.missing() or self._is_old():
            self._end()
            self._question.begin(Gathering(node.before))
        self._question.ask_missing(step)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """Nothing: a sweep asks again."""

    def on_page(self, step: StepBuilder, sender: NodeId, message: StatePage) -> None:
        """Remember what a source shows for the withheld keys, and read its feed to the end of it."""
        if not self._question.take(sender, message):
            return  # late or repeated
        for proposal in message.proposals:
            self._note(proposal)
        self._question.follow(step, sender, message)
        self._look(step)

    def on_read(self, step: StepBuilder, peer: NodeId, gap_end: int | None) -> None:
        """A page of a peer's feed is complete; after a gap, `gap_end` is where the feed ended."""
        if self._question.on_read(step, peer, gap_end):
            self._look(step)

    def on_replaced(self, step: StepBuilder, peer: NodeId) -> None:
        """Another disk has this name now: only answers to a new question count."""
        self._question.on_replaced(peer)

    def on_shown(self, step: StepBuilder, event: Shown) -> None:
        """Release the keys that are shown by enough; their instances are loaded."""
        for key in event.keys:
            found, shown = step.instances[key], self._shown.get(key)
            if not isinstance(found, WithheldInstance):
                continue
            if found.digest:
                if shown is not None and decree_digest(shown.decree) == found.digest:
                    self._learn(step, (shown.decree,))
            elif self._is_shown(key, found):
                self._withholding.release(step, key, shown)

    def _is_old(self) -> bool:
        return self._sweeps > MAX_SWEEPS or self._present is None

    @property
    def _present(self) -> Gathering | None:
        """The series that have come in the epoch that is known now."""
        is_of_now = self._question.epoch == self._node.seat.known
        return self._question.gathering if is_of_now else None

    def _note(self, proposal: Proposal) -> None:
        key = proposal.decree.key
        known = self._shown.get(key)
        if key in self._withholding.keys and (known is None or known.ballot < proposal.ballot):
            self._shown[key] = proposal

    def _look(self, step: StepBuilder) -> None:
        """In the next step, judge the keys that may be shown by enough, with their instances."""
        gathering = self._present
        if gathering is None:
            return
        gathering = self._question.with_own(gathering)
        cursors = self._cursors(gathering)
        keys, seen = self._withholding.keys, self._shown
        shown = [key for key in keys if key in seen or gathering.shows(key, cursors)]
        if shown:
            step.again(Shown(tuple(sorted(shown))))

    def _is_shown(self, key: Key, found: WithheldInstance) -> bool:
        gathering = self._present
        if gathering is None:
            return False
        if found.held is None and not self._withholding.was_never_learned(key):
            return False  # it may have been learned here
        if found.held is not None and found.epoch == self._node.seat.known:
            gathering = self._question.with_own(gathering)
        return gathering.shows(key, self._cursors(gathering))

    def _cursors(self, gathering: Gathering) -> Mapping[NodeId, int]:
        return {node: self._feeds.cursor(node) for node, _ in gathering.sources}

    def _end(self) -> None:
        self._question.end()
        self._sweeps = 0
        self._shown.clear()
