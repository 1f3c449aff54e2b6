"""The parts of a node, and how they are connected.

Each part gets the parts that it calls, in the order of the rooms. Two events go against that order,
each through one place: that a decree was learned (`Learner`), and that terms of a lock are
forgotten (`Forgetting`).
"""

from ..config import ClusterConfig
from ..disk import Recovered
from ..formed import own_config
from ..locks.leases import Leases
from ..members import epoch_of
from ..types import Decree, Key, NodeId
from ..wire.handshake import Evidence
from ..wire.peers import StatePage
from .consensus.acceptor import Acceptors
from .consensus.coordinator import Coordinator
from .consensus.home_promise import HomePromise
from .consensus.messages import Voting
from .evidence import is_borne_out
from .feed.catchup import CatchUp
from .feed.learner import Learner, Recent
from .feed.marks import Marks
from .feed.seeding import Seeding
from .feed.serving import FeedService
from .feed.truncation import Forgetting
from .feed.watches import Watches
from .locks.giving_up import GiveUpRequests
from .locks.lock_queues import LockQueues
from .locks.renewals import Renewals
from .locks.routing import Locks
from .member_addresses import AddressBook
from .members.changing import Changing
from .members.leaving import Leaving
from .members.releasing import Releasing
from .members.seating import Seating
from .members.seats import Seats
from .members.taking_over import TakingOver
from .members.withholding import Withholding
from .membership import Membership
from .policy.confirming import Confirming
from .policy.policies import Policies
from .policy.quotas import Quotas
from .requests.applying import Applying
from .requests.claims import Claims
from .requests.lists import Lists
from .requests.reads import Reads
from .requests.recovery import Finishing
from .requests.scan_service import ScanService
from .requests.scans import Scans
from .scrub.scrubbing import Scrubbing
from .step.epochs import Epochs
from .step.node import Node
from .step.pending import PendingRequests
from .step.read_rights import ReadRights
from .step.step_builder import Pending, StepBuilder


class Parts:
    """All parts of one node.

    Args:
        config: the cluster.
        recovered: what was found on the node's disk.
        advertise: the address that others are told; None for that of the config.
        observes: whether the node waits for no vote.
        enforces: whether policies are obeyed.
        secured: whether clients come by TLS, so that they can show who they are.
    """

    def __init__(
        self,
        config: ClusterConfig,
        recovered: Recovered,
        advertise: str | None = None,
        *,
        observes: bool = False,
        enforces: bool = False,
        secured: bool = False,
    ) -> None:
        config = own_config(config, recovered)
        found = Epochs.found(config.quorums, recovered, joins=recovered.identity.joins)
        facts = (recovered.identity, recovered.history, recovered.feed_end, found)
        node = self.node = Node(config, *facts, recovered.restoration, observes)
        self.addresses = AddressBook(node, recovered.peers, advertise)
        requests = self.requests = PendingRequests(config.audit, self.node.counts)
        leases = self.leases = Leases()
        cursors = {cursor.node: cursor for cursor in recovered.cursors}
        membership = self.membership = Membership(node, recovered.peers, cursors)
        recent = Recent(recovered.feed_end)
        learner = self.learner = Learner(node, recent)
        forgetting = self.forgetting = Forgetting(node, recent, recovered.floors)
        marks = Marks(membership.known)
        read = (node, cursors, membership.disk_of, recent, forgetting.follow, marks)
        catchup = self.catchup = CatchUp(*read)
        self.seeding = Seeding(node, learner, catchup, marks)
        self.feed_service, read_rights = FeedService(node, recent), ReadRights()
        self.watches, self.read_rights = Watches(node, requests, read_rights), read_rights
        seating = self.seating = Seating(node, recovered)
        withholding = self.withholding = Withholding(node, recovered.withheld)
        self.seats = Seats(node, seating, recovered.seats, membership.known, withholding.keys)
        self.leaving = Leaving(node, self.seats)
        self.taking_over = TakingOver(node, seating, catchup, withholding)
        self.releasing = Releasing(node, catchup, withholding, learner.learn)
        self.changing = Changing(
            *(node, requests, seating, self.seats, catchup, membership.disk_of, self.addresses.of),
            withholding.keys,
        )
        policies = self.policies = Policies(node, recovered.policies, enforces=enforces)
        self.confirming, self.quotas = Confirming(node, policies, asks=enforces), Quotas(node)
        acceptors = Acceptors(node, recovered.classes, recovered.unlearned, leases)
        self.acceptors, base_of = acceptors, self.seats.base_of
        promised = (node, acceptors, catchup, base_of, seating.answer)
        home_promise = self.home_promise = HomePromise(*promised)
        coordinator = self.coordinator = Coordinator(node, acceptors, home_promise, learner.learn)
        self.voting = Voting(node, acceptors, seating.answer)
        reads = self.reads = Reads(node, requests, coordinator)
        self.claims = Claims(node, requests, coordinator, reads, self.confirming, self.quotas)
        self.applying = Applying(node, requests, self.confirming, coordinator, secured=secured)
        scans = self.scans = Scans(node)
        self.scan_service = ScanService(node, scans)
        self.lists = Lists(node, requests, coordinator, scans, read_rights)
        self.finishing = Finishing(node, acceptors, coordinator, self.lists)
        lock_queues = LockQueues(node, requests, coordinator, reads, leases, learner.learn)
        self.lock_queues = lock_queues
        self.renewals = Renewals(node, requests, reads, leases, lock_queues)
        self.giving_up = GiveUpRequests(node, requests, leases, lock_queues)
        self.scrubbing = Scrubbing(node, learner.learn, withholding)
        self.locks = Locks(lock_queues, self.renewals, self.giving_up)
        self._connect()

    def sweep(self, step: StepBuilder) -> None:
        """Do what is done at intervals."""
        self.finishing.sweep(step)
        self.home_promise.sweep(step)
        self.seats.spread(step)
        self.seats.leave_earlier(step)
        self.leaving.look(step)
        self.withholding.sweep(step)
        self.releasing.sweep(step)
        self.prune(step)

    def prune(self, step: StepBuilder) -> None:
        """Drop work that is not awaited any more."""
        for part in (self.reads, self.watches, self.claims, self.locks):
            part.prune()
        self.lists.prune(step)
        self.scan_service.prune(step.now_ms)
        self.leases.prune(step.now_ms)

    def pending(self) -> Pending:
        """What is held in memory for unfinished work, by kind; kinds without any are left out."""
        working = (
            *(self.requests, self.node.tokens, self.acceptors, self.coordinator, self.catchup),
            *(self.feed_service, self.watches, self.reads, self.claims, self.lists, self.scans),
            *(self.scan_service, self.lock_queues, self.renewals, self.giving_up),
            *(self.taking_over, self.withholding, self.releasing, self.changing, self.scrubbing),
            self.applying,
        )
        held = [item for part in working for item in part.pending().items()]
        return {kind: what for kind, what in held if what}

    def _connect(self) -> None:
        """Register each part with those that it listens to, after all of them exist."""
        acceptors, coordinator, catchup = self.acceptors, self.coordinator, self.catchup
        reads, seating, taking_over = self.reads, self.seating, self.taking_over
        gathering = (taking_over.on_replaced, self.releasing.on_replaced)
        self.membership.tell(replaced=(catchup.on_replaced, self.seats.on_replaced, *gathering))
        self.addresses.tell(self.membership.remember_address)
        self.forgetting.tell(
            *(acceptors, self.withholding, coordinator, reads, catchup, self.locks),
            self.scrubbing.mending,
            followed=catchup.on_followed,
        )
        self.learner.tell_reads(self._awaits, reads.look_again)
        self.learner.tell(
            *(acceptors, self.withholding, coordinator, reads, self.claims, catchup),
            self.scrubbing.mending,
            of_terms=self.locks,
            new_term=self.forgetting.on_new,
            disputed=self._on_disputed,
            of_members=seating.on_learned,
            of_policies=self._on_policy,
            quotas=self.quotas,
            mend=self.scrubbing.mending.readable,
        )
        catchup.tell(self._on_feed_read, self.withholding.withhold_decided)
        self.feed_service.tell(self.withholding.withhold_lost)
        self.watches.tell(self.withholding.withhold_lost)
        taking_over.tell(acceptors)
        self.policies.tell(acceptors.is_in_doubt)
        coordinator.batch_queue.judging = self.quotas.named
        self.requests.obeyed = lambda: self.policies.obeyed
        if self.confirming.asks:
            self.read_rights.rights = lambda: self.policies.rights
        self.confirming.tell(self.applying.on_told)
        self.withholding.tell(acceptors)
        again = (self.home_promise.on_epoch, coordinator.on_epoch)
        seating.tell(
            sealed=(
                *(self.membership.on_sealed, self.addresses.on_sealed, self._on_sealed, *again),
                *(taking_over.begin, self.seats.spread, self.leaving.on_sealed),
            ),
            ready=(self._on_ready, *again, self.seats.spread, self.seats.leave_earlier),
        )

    def _on_feed_read(self, step: StepBuilder, peer: NodeId, gap_end: int | None) -> None:
        self.taking_over.on_read(step, peer, gap_end)
        self.releasing.on_read(step, peer, gap_end)

    @property
    def in_flight(self) -> int:
        """How many requests have an answer on its way; waits, watches and locks do not count.

        A release counts until the other nodes are told of it.
        """
        working = self.requests.working + self.reads.groups.rows
        return working + len(self.renewals.untold)

    @property
    def awaits_commits(self) -> bool:
        """Whether somebody waits for decrees that others may commit."""
        return bool(self.watches.parked) or self.reads.awaits_decrees

    def _awaits(self, key: Key) -> bool:
        """Whether a request here waits for the decree of a key, or this node has accepted one for it.

        What it has accepted is bounded, and a read of it asks no peer: it needs the outcome.
        """
        tried = any([key in attempts for attempts in self.coordinator.awaited])
        return tried or self.acceptors.doubts(key) or self.reads.awaits(key)

    def obey(self, step: StepBuilder) -> None:
        """The quotas of the policy that is obeyed count from this step on."""
        policy = self.policies.policy
        if policy is not None:
            self.quotas.obey(step, policy.quotas, self.policies.obeyed)

    def bears_out(self, evidence: Evidence) -> bool:
        """S06: whether this node's own directory agrees with a refusal of it."""
        return is_borne_out(evidence, self.node, self.seating.told())

    def on_state_page(self, step: StepBuilder, sender: NodeId, message: StatePage) -> None:
        """A page of state is for who has asked."""
        asker = self.releasing if message.id == self.releasing.token else self.taking_over
        asker.on_page(step, sender, message)

    def _on_sealed(self, step: StepBuilder) -> None:
        """M10: those who did not vote before have not heard which terms are broken."""
        self.renewals.tell_broken(step, *self.node.others)

    def _on_ready(self, step: StepBuilder) -> None:
        """M15: readiness is a start for leases: those of an earlier epoch are not known here."""
        self.leases.started_ms = step.now_ms
        self.confirming.answer(step)

    def _on_policy(self, step: StepBuilder, decree: Decree) -> None:
        self.policies.on_learned(step, decree)
        self.confirming.answer(step)

    def _on_disputed(self, step: StepBuilder, key: Key) -> None:
        self.node.disputed.add(key)
        self.catchup.on_disputed(step, key)
        if epoch_of(key) is not None:
            self.seating.on_disputed(step, key)
