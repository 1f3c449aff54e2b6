"""A cluster in which everything that is said or written is held against the rules, at once."""

from bisect import bisect_left

from decreed.registry.config import ClusterConfig
from decreed.registry.disk import InstanceRecord
from decreed.registry.keys import series_and_slot, slot_before, slot_key
from decreed.registry.paxos.instance import Instance
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Nack, Prepare, Promise
from decreed.registry.replica.effects import Effects, Outgoing, UseLink
from decreed.registry.replica.events import Finish
from decreed.registry.types import Ballot, Decree, Key, NodeId, Proposal
from decreed.registry.wire.peers import Fetch, PeerMessage, QueryAnswer, ScanAnswer
from decreed.registry.wire.requests import ClaimNextRequest, ClaimRequest, Decreed

from ..support.world import stored
from .plan import Plan
from .rough import RoughWorld
from .wishes import Wish


class WitnessedWorld(RoughWorld):
    """A rough cluster, and what must hold of it.

    Args:
        cluster: its configuration.
        plan: decides everything that is left to chance.

    Attributes:
        wishes: what clients want, by claim id.
        impostors: nodes whose directory is not their own latest one; they must never take part.
        chosen: each key's decree, from the moment when a quorum has it on disk.
        order: the keys in the order in which they were chosen.
        place: where a key stands in that order.
        proposed: the ids of all claims that were ever proposed.
    """

    def __init__(self, cluster: ClusterConfig, plan: Plan) -> None:
        self.wishes: dict[bytes, Wish] = {}
        self.impostors: set[NodeId] = set()
        self.chosen: dict[Key, Decree] = {}
        self.order: list[Key] = []
        self.place: dict[Key, int] = {}
        self.proposed: set[bytes] = set()
        self._slots: dict[str, list[int]] = {}
        self._values: dict[tuple[Key, Ballot], Decree] = {}
        self._votes: dict[tuple[Key, Ballot], set[NodeId]] = {}
        self._durable: dict[NodeId, dict[Key, Instance]] = {node: {} for node in cluster.nodes}
        super().__init__(cluster, plan)

    def agree(self, decree: Decree) -> None:
        """R08, R21: whatever anybody takes for chosen is what a quorum chose."""
        assert self.chosen.get(decree.key) == decree, f"{decree} was never chosen"

    # -- what is written

    def _write(self, node: NodeId, effects: Effects) -> bool:
        durable = super()._write(node, effects)
        if durable and node not in self.impostors:
            for record in effects.records:
                if isinstance(record, InstanceRecord):
                    self._durable[node][record.key] = record.instance
                    if record.instance.accepted is not None:
                        self._vote(node, record.key, record.instance.accepted)
        return durable

    def _kill(self, node: NodeId) -> None:
        super()._kill(node)
        self._durable[node].clear()

    def _held(self, node: NodeId, key: Key) -> Instance:
        """What a node has on its disk."""
        held = self._durable[node].get(key)
        if held is None:
            held = self._durable[node][key] = stored(self, node, key)
        return held

    def _vote(self, node: NodeId, key: Key, proposal: Proposal) -> None:
        """R05, R08: an acceptance is durable; with a quorum of them in one ballot, it is chosen."""
        at = (key, proposal.ballot)
        decree = self._values.setdefault(at, proposal.decree)
        assert decree == proposal.decree, f"R05: {proposal.ballot} carries two values"
        votes = self._votes.setdefault(at, set())
        votes.add(node)
        if self.config.quorums.accepted(votes):
            self._choose(key, proposal.ballot, decree)

    def _choose(self, key: Key, ballot: Ballot, decree: Decree) -> None:
        if key not in self.chosen:
            self.place[key] = len(self.order)
            self.order.append(key)
            self._choose_slot(key)
            self.chosen[key] = decree
            if decree.ballot != ballot:
                self.sightings.saw("an adopted value was chosen")
        assert self.chosen[key] == decree, f"R08: {key} chosen twice"

    def _choose_slot(self, key: Key) -> None:
        series, slot = series_and_slot(key)
        if slot is not None:
            places = self._slots.setdefault(series, [])
            places.append(self.place[key])
            assert len(places) == slot, f"{key} was chosen over a gap"

    def last_slot(self, series: str, known: int | None = None) -> int:
        """The last slot of a series among the first `known` keys that were chosen, or among all."""
        places = self._slots.get(series, [])
        return len(places) if known is None else bisect_left(places, known)

    # -- what is said

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        if node not in self.impostors:
            self._witness(node, to, message)
        super()._transmit(node, to, message)

    def _hand_over(self, node: NodeId, item: Outgoing) -> None:
        if isinstance(item, UseLink) and self.links.numbered(item.link).open:
            unsound = self.impostors & {node, item.node}
            assert not unsound, f"{unsound} was let in with a directory that lost something"
        super()._hand_over(node, item)

    def _carry_out(self, node: NodeId, effects: Effects) -> None:
        if any(isinstance(event, Finish) and event.token is None for event in effects.again):
            self.sightings.saw("a half-done key was finished by its holder")
        super()._carry_out(node, effects)

    def _witness(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        match message:
            case Prepare(_, ballot):
                assert ballot.process == self.replica(node).node.process, "R05"
            case Accept(key, ballot, decree):
                assert ballot.process == self.replica(node).node.process, "R05"
                held = self._values.setdefault((key, ballot), decree)
                assert held == decree, f"R05: {ballot} carries two values: {held}, {decree}"
                self._proposed(key, decree)
            case Promise(key, ballot, accepted):
                self._promised(node, key, ballot, accepted)
            case Accepted(key, ballot):
                self._accepted(node, key, ballot)
            case Commit(_, decree) | Decreed(_, decree):
                self.agree(decree)
            case Nack():
                self.sightings.saw("a duel")
            case _:
                self._count_message(node, to, message)

    def _count_message(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        match message:
            case QueryAnswer(_, True, None):
                self.sightings.saw("a half-done key was read")
            case ScanAnswer() if message.unlearned:
                self.sightings.saw("a half-done key was listed")
            case Fetch():
                self.sightings.saw("a decree was fetched from a feed")
            case ClaimRequest() | ClaimNextRequest() if node != to:
                self.sightings.saw("a claim was passed on")
            case _:
                pass

    def _promised(self, node: NodeId, key: Key, ballot: Ballot, accepted: Proposal | None) -> None:
        """R12 to R14. The disk may hold more: what came behind it in the same step."""
        held = self._held(node, key)
        if held.learned is None:
            assert held.promised is not None and held.promised >= ballot, "R13: not on disk"
            if accepted is not None:
                assert held.accepted is not None, "R14: not on disk"
                assert held.accepted.ballot >= accepted.ballot, "R14: not on disk"

    def _proposed(self, key: Key, decree: Decree) -> None:
        """Validity, series without gaps, and no proposal after a definite refusal."""
        wish = self.wishes[decree.claim_id]
        claim = wish.claim
        content = (decree.value, decree.content_type, decree.claimant, decree.note)
        assert content == (claim.value, claim.content_type, claim.claimant, claim.note)
        assert decree.key == key
        assert not wish.over, f"{decree.claim_id!r} was refused definitely, then proposed"
        self.proposed.add(decree.claim_id)
        if wish.following:
            self._proposed_next(key, decree, claim.key)
        else:
            assert key == claim.key
        before = slot_before(key)
        assert before is None or before in self.chosen, f"{key} would leave a gap"

    def _proposed_next(self, key: Key, decree: Decree, first_key: Key) -> None:
        series, slot = series_and_slot(key)
        first_series, first = series_and_slot(first_key)
        assert series == first_series and slot is not None and first is not None
        for earlier in range(first, slot):
            held = self.chosen.get(slot_key(series, earlier))
            assert held is not None, f"{key} proposed before slot {earlier} was chosen"
            assert held.claim_id != decree.claim_id, "one claim in two slots"

    def _accepted(self, node: NodeId, key: Key, ballot: Ballot) -> None:
        held = self._held(node, key)
        if held.learned is None:
            assert held.accepted is not None and held.accepted.ballot >= ballot, "R14: not on disk"
            if held.accepted.ballot == ballot:
                self._vote(node, key, held.accepted)
                return
        # it went on behind that acceptance in the same step
        self._vote(node, key, Proposal(ballot, self._values[key, ballot]))
