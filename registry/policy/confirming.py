"""When a policy is in force: the lease on "nobody knows a newer one", and the end of an old one. Pure.

A node learns policies as it learns any decree. One that is cut off obeys an older policy, and no rule
of Paxos can undo what it proposes: a value that may have been accepted must stay finishable by all. So
its permission to begin claims and locks is a lease, as a lock's holder has one.

Why nothing begins under policy N once `Rollout` says that N + 1 is in force. A node counts itself
confirmed until *s* + `max_age_ms`, less a margin, where *s* is when it **sent** a question that a
prepare quorum answered with "I know none newer than N". A rollout waits until ``Epoch.seal`` voters
know N + 1 durably, and for `max_age_ms` and the margin after that. These voters meet every prepare
quorum. The voter in both answered before it knew N + 1, so *s* is before that too, and the confirmation
is over.

Invariants kept here:

* S14: a confirmation counts from the sending of the question, never from the answer; it takes a prepare
  quorum of the epoch, a voter's own knowledge included; answers count in one epoch; a start and an
  epoch begin without any;
* a voter answers only while it votes in the epoch. So it has taken over from the epoch before, whose
  policies it has, and enough voters of that epoch answer there no more;
* S16: a rollout counts what voters know *durably*, in one epoch, and begins again in the next;
* nodes may be set to different ages. An answer is good for the shortest that any voter has said, and a
  rollout waits for the longest. The voter in both said to each the same, so the one who asked counts
  on its answer for no longer than the rollout waits.

Time is an argument, in milliseconds of a clock that also runs while the machine sleeps.
"""

from msgspec.structs import replace

from ..locks.holding import MAX_CLOCK_DRIFT, validity_ms
from ..paxos.epochs import Epoch
from ..types import NodeId, Value
from ..wire.policy import MAX_AGE_MS, PolicyTold

__all__ = ["MAX_AGE_MS", "Confirmation", "Rollout", "begun", "lapse_ms"]


class Confirmation(Value, frozen=True):
    """What a node has heard about its policy in one epoch and one life of its own.

    Args:
        epoch: the voters that are counted.
        asked: the numbers of the questions that may still be answered, with when each was sent.
        answered: each voter that knew no newer policy, with when the latest question was sent to which
            it said so.
        shortest_ms: the shortest age that a voter has said.
    """

    epoch: Epoch
    asked: tuple[tuple[int, float], ...] = ()
    answered: tuple[tuple[NodeId, float], ...] = ()
    shortest_ms: float = float("inf")

    @classmethod
    def begun(cls, epoch: Epoch) -> "Confirmation":
        """At a start, and in each new epoch: nothing is confirmed."""
        return cls(epoch)

    def asking(self, number: int, now_ms: float, max_age_ms: float) -> "Confirmation":
        """A question leaves now; those that are too old to count are forgotten."""
        kept = [pair for pair in self.asked if pair[1] > now_ms - max_age_ms]
        return replace(self, asked=(*kept, (number, now_ms)))

    def told(self, node: NodeId, said: PolicyTold, known: int) -> "Confirmation":
        """A voter has answered.

        Args:
            node: which one.
            said: its answer.
            known: the newest policy that this node knows.
        """
        sent_ms = dict(self.asked).get(said.id)
        if sent_ms is None or not self._counts(node, said) or said.newest > known:
            return self
        answered = dict(self.answered)
        answered[node] = max(sent_ms, answered.get(node, sent_ms))
        shortest_ms = min(self.shortest_ms, said.max_age_ms)
        return replace(self, answered=tuple(sorted(answered.items())), shortest_ms=shortest_ms)

    def _counts(self, node: NodeId, said: PolicyTold) -> bool:
        return said.epoch == self.epoch.number and node in self.epoch.nodes

    def until_ms(self, own: NodeId | None, max_age_ms: float) -> float:
        """Until when the policy is confirmed; minus infinity: it is not.

        Args:
            own: this node, if it votes in the epoch: its own knowledge is that of a voter.
            max_age_ms: for how long an answer is good, unless a voter said less.
        """
        others = self.epoch.quorums.prepare - (own is not None)
        if not others:
            return float("inf")
        sent = sorted((sent_ms for node, sent_ms in self.answered if node != own), reverse=True)
        if len(sent) < others:
            return float("-inf")
        return sent[others - 1] + validity_ms(min(max_age_ms, self.shortest_ms))

    def holds(self, now_ms: float, own: NodeId | None, max_age_ms: float) -> bool:
        """Whether the policy is confirmed now (S15)."""
        return now_ms < self.until_ms(own, max_age_ms)


class Rollout(Value, frozen=True):
    """How far a new policy has come, as its proposer counts (S16).

    Args:
        number: of the new policy.
        epoch: the voters that are counted.
        first_ms: since when it is known that the epoch before has ended; None: it is not yet.
        told: the voters that know it, or a newer one, durably.
        since_ms: since when there are enough of them; None: there are not yet.
        longest_ms: the longest age that one of them has said.
    """

    number: int
    epoch: Epoch
    first_ms: float | None
    told: tuple[NodeId, ...] = ()
    since_ms: float | None = None
    longest_ms: float = 0.0

    def heard(self, node: NodeId, said: PolicyTold, now_ms: float) -> "Rollout":
        """A voter says, in this epoch, what it knows; this node says so to itself too."""
        counts = said.epoch == self.epoch.number and node in self.epoch.nodes
        if not counts or said.newest < self.number or node in self.told:
            return self
        told = tuple(sorted((*self.told, node)))
        enough = len(told) >= self.epoch.seal
        since_ms = now_ms if enough and self.since_ms is None else self.since_ms
        first_ms = now_ms if self.first_ms is None else self.first_ms
        longest_ms = max(self.longest_ms, said.max_age_ms)
        return replace(self, told=told, since_ms=since_ms, first_ms=first_ms, longest_ms=longest_ms)

    @property
    def missing(self) -> tuple[NodeId, ...]:
        """The voters that are waited for."""
        return tuple(node for node in self.epoch.nodes if node not in self.told)

    def over_ms(self, max_age_ms: float) -> float:
        """From when on nobody begins anything under an older policy; infinity: it is not known yet.

        If all voters know the new policy, none of them obeys an older one, and nobody else begins
        claims and locks: only a confirmation of an earlier epoch could still count somewhere. One
        that votes in this epoch has taken over from that one, so nobody was confirmed there after the
        first such voter was heard.
        """
        if self.since_ms is None or self.first_ms is None:
            return float("inf")
        from_ms = self.since_ms if self.missing else self.first_ms
        return from_ms + lapse_ms(max(max_age_ms, self.longest_ms))

    def is_over(self, now_ms: float, max_age_ms: float) -> bool:
        """Whether `policy apply` is done (S16)."""
        return now_ms >= self.over_ms(max_age_ms)

    def in_epoch(self, epoch: Epoch) -> "Rollout":
        """The members changed: the counting begins again in the new epoch."""
        return self if epoch == self.epoch else begun(self.number, epoch)


def begun(number: int, epoch: Epoch) -> Rollout:
    """The rollout of a policy that is decided; nobody is known to know it."""
    return Rollout(number, epoch, None if epoch.number else float("-inf"))


def lapse_ms(max_age_ms: float) -> float:
    """How long to wait until a confirmation is over that began before the wait: with the margin."""
    return max_age_ms * (1 + 2 * MAX_CLOCK_DRIFT)
