"""A cluster in which everything that is said is held against the rules, as it is said."""

from decreed.registry.config import ClusterConfig
from decreed.registry.keys import series_and_slot, slot_before, slot_key
from decreed.registry.paxos.messages import Accept, Accepted, Commit, Prepare, Promise
from decreed.registry.types import Ballot, Decree, Key, NodeId, Proposal
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import (
    Decreed,
)

from ..support.world import World, stored
from .wishes import Wish


class WitnessedWorld(World):
    """A cluster in which everything that is said is held against the rules, as it is said."""

    def __init__(self, cluster: ClusterConfig, seed: int) -> None:
        self.wishes: dict[bytes, Wish] = {}
        self.values: dict[tuple[Key, Ballot], Decree] = {}
        self.votes: dict[tuple[Key, Ballot], set[NodeId]] = {}
        self.chosen: dict[Key, Decree] = {}
        self.order: list[Key] = []
        self.proposed: set[bytes] = set()
        super().__init__(cluster, seed=seed)

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        self._witness(node, message)
        super()._transmit(node, to, message)
        self.sent.clear()

    def agree(self, decree: Decree) -> None:
        """R08, R21: whatever anybody takes for chosen is what a quorum chose."""
        assert self.chosen.get(decree.key) == decree, f"{decree} was never chosen"

    def _witness(self, node: NodeId, message: PeerMessage) -> None:
        match message:
            case Prepare(_, ballot):
                assert ballot.process == self.replica(node).node.process, "R05"
            case Accept(key, ballot, decree):
                assert ballot.process == self.replica(node).node.process, "R05"
                held = self.values.setdefault((key, ballot), decree)
                assert held == decree, f"R05: {ballot} carries two values: {held}, {decree}"
                self._proposed(key, ballot, decree)
            case Promise(key, ballot, accepted):
                self._promised(node, key, ballot, accepted)
            case Accepted(key, ballot):
                self._accepted(node, key, ballot)
            case Commit(_, decree) | Decreed(_, decree):
                self.agree(decree)
            case _:
                pass

    def _promised(self, node: NodeId, key: Key, ballot: Ballot, accepted: Proposal | None) -> None:
        """R12 to R14. The disk may hold more: what came behind it in the same step."""
        held = stored(self, node, key)
        if held.learned is None:
            assert held.promised is not None and held.promised >= ballot, "R13: not on disk"
            if accepted is not None:
                assert held.accepted is not None, "R14: not on disk"
                assert held.accepted.ballot >= accepted.ballot, "R14: not on disk"

    def _proposed(self, key: Key, ballot: Ballot, decree: Decree) -> None:
        """Validity, series without gaps, and no proposal after a definite refusal."""
        wish = self.wishes[decree.claim_id]
        claim = wish.claim
        content = (decree.value, decree.content_type, decree.claimant, decree.note)
        assert content == (claim.value, claim.content_type, claim.claimant, claim.note)
        assert decree.key == key
        assert not wish.over, f"{decree.claim_id!r} was refused definitely, then proposed"
        self.proposed.add(decree.claim_id)
        series, slot = series_and_slot(key)
        if wish.following:
            first_series, first = series_and_slot(claim.key)
            assert series == first_series and slot is not None and first is not None
            for earlier in range(first, slot):
                held = self.chosen.get(slot_key(series, earlier))
                assert held is not None, f"{key} proposed before slot {earlier} was chosen"
                assert held.claim_id != decree.claim_id, "one claim in two slots"
        else:
            assert key == claim.key
        before = slot_before(key)
        assert before is None or before in self.chosen, f"{key} would leave a gap"

    def _accepted(self, node: NodeId, key: Key, ballot: Ballot) -> None:
        held = stored(self, node, key)
        if held.learned is None:
            assert held.accepted is not None and held.accepted.ballot >= ballot, "R14: not on disk"
            if held.accepted.ballot == ballot:
                decree = self.values.setdefault((key, ballot), held.accepted.decree)
                assert decree == held.accepted.decree, f"R05: {ballot} carries two values"
        votes = self.votes.setdefault((key, ballot), set())
        votes.add(node)
        if self.config.quorums.accepted(votes):
            decree = self.values[key, ballot]
            if key not in self.chosen:
                self.order.append(key)
            assert self.chosen.setdefault(key, decree) == decree, f"R08: {key} chosen twice"
