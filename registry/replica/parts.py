"""The parts of a node, and how they are connected.

Each part gets the parts that it calls, in the order of the rooms. Two events go against that order,
each through one place: that a decree was learned (`Learner`), and that terms of a lock are
forgotten (`Forgetting`).
"""

from ..config import ClusterConfig
from ..disk import Recovered
from ..locks.leases import Leases
from .consensus.acceptor import Acceptors
from .consensus.coordinator import Coordinator
from .consensus.home_promise import HomePromise
from .consensus.messages import Voting
from .feed.catchup import CatchUp
from .feed.learner import Learner, Recent
from .feed.truncation import Forgetting
from .feed.watches import Watches
from .locks.giving_up import GiveUpRequests
from .locks.lock_queues import LockQueues
from .locks.renewals import Renewals
from .locks.routing import Locks
from .membership import Membership
from .requests.claims import Claims
from .requests.lists import Lists
from .requests.reads import Reads
from .requests.recovery import Finishing
from .requests.scan_service import ScanService
from .requests.scans import Scans
from .step.node import Node
from .step.pending import PendingRequests


class Parts:
    """All parts of one node.

    Args:
        config: the cluster.
        recovered: what was found on the node's disk.
    """

    def __init__(self, config: ClusterConfig, recovered: Recovered) -> None:
        node = self.node = Node(config, recovered.identity, recovered.history, recovered.feed_end)
        requests = self.requests = PendingRequests()
        leases = self.leases = Leases()
        cursors = {cursor.node: cursor for cursor in recovered.cursors}
        membership = self.membership = Membership(node, recovered.peers, cursors)

        recent = Recent(recovered.feed_end)
        learner = self.learner = Learner(node, recent)
        self.forgetting = Forgetting(node)
        catchup = self.catchup = CatchUp(node, cursors, membership.disk_of, recent)
        self.watches = Watches(node, requests)

        unlearned, classes = recovered.unlearned, recovered.classes
        acceptors = self.acceptors = Acceptors(node.nodes, classes, unlearned, leases)
        home_promise = self.home_promise = HomePromise(node, acceptors, catchup.cursor)
        coordinator = Coordinator(node, acceptors, home_promise, learner.learn)
        self.coordinator = coordinator
        self.voting = Voting(node, acceptors)

        reads = self.reads = Reads(node, requests, coordinator, learner.learn)
        self.claims = Claims(node, requests, coordinator, reads)
        scans = self.scans = Scans(node)
        self.scan_service = ScanService(node, scans)
        self.lists = Lists(node, requests, coordinator, scans)
        self.finishing = Finishing(node, acceptors, coordinator, self.lists)

        lock_queues = LockQueues(node, requests, coordinator, reads, leases, learner.learn)
        self.lock_queues = lock_queues
        self.renewals = Renewals(node, requests, reads, leases, lock_queues.on_ended)
        self.giving_up = GiveUpRequests(node, requests, leases, lock_queues)
        self.locks = Locks(lock_queues, self.renewals, self.giving_up)

        self.forgetting.tell(acceptors, coordinator, reads, catchup, self.locks)
        learner.tell(
            *(acceptors, coordinator, reads, self.claims, catchup),
            of_terms=self.locks,
            new_term=self.forgetting.on_new,
            disputed=catchup.on_disputed,
        )
