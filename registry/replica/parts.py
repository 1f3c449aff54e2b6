"""The parts of a node, and who works with whom.

Each part is given those that it works with, in the order of the rooms. Two things go the other way, and
are told in one place each: that a decree was learned (`Knowledge`), and that terms of a lock are
forgotten (`Forgetting`).
"""

from ..config import ClusterConfig
from ..disk import Recovered
from ..locks.leases import Leases
from .acceptors import Acceptors
from .catchup import CatchUp
from .claims import Claims
from .contests import Contests
from .coordinator import Coordinator
from .finishing import Finishing
from .forgetting import Forgetting
from .giving_up import GiveUpRequests
from .knowledge import Knowledge, Recent
from .lists import Lists
from .locks import Locks
from .membership import Membership
from .node import Node
from .reads import Reads
from .renewals import Renewals
from .requests import Requests
from .scan_service import ScanService
from .scans import Scans
from .standing import HomePromise
from .voting import Voting
from .watches import Watches


class Parts:
    """All parts of one node.

    Args:
        config: the cluster.
        recovered: what was found on the node's disk.
    """

    def __init__(self, config: ClusterConfig, recovered: Recovered) -> None:
        node = self.node = Node(config, recovered.identity, recovered.lineage, recovered.feed_end)
        requests = self.requests = Requests()
        leases = self.leases = Leases()
        cursors = {cursor.node: cursor for cursor in recovered.cursors}
        membership = self.membership = Membership(node, recovered.peers, cursors)

        recent = Recent(recovered.feed_end)
        knowledge = self.knowledge = Knowledge(node, recent)
        self.forgetting = Forgetting(node)
        catchup = self.catchup = CatchUp(node, cursors, membership.disk_of, recent)
        self.watches = Watches(node, requests)

        unlearned, classes = recovered.unlearned, recovered.classes
        acceptors = self.acceptors = Acceptors(node.nodes, classes, unlearned, leases)
        standing = self.standing = HomePromise(node, acceptors, catchup.cursor)
        coordinator = Coordinator(node, acceptors, standing, knowledge.learn)
        self.coordinator = coordinator
        self.voting = Voting(node, acceptors)

        reads = self.reads = Reads(node, requests, coordinator, knowledge.learn)
        self.claims = Claims(node, requests, coordinator, reads)
        scans = self.scans = Scans(node)
        self.scan_service = ScanService(node, scans)
        self.lists = Lists(node, requests, coordinator, scans)
        self.finishing = Finishing(node, acceptors, coordinator, self.lists)

        contests = Contests(node, requests, coordinator, reads, leases, knowledge.learn)
        self.contests = contests
        self.renewals = Renewals(node, requests, reads, leases, contests.on_ended)
        self.giving_up = GiveUpRequests(node, requests, leases, contests)
        self.locks = Locks(contests, self.renewals, self.giving_up)

        self.forgetting.tell(acceptors, coordinator, reads, catchup, self.locks)
        knowledge.tell(
            *(acceptors, coordinator, reads, self.claims, catchup),
            of_terms=self.locks,
            new_term=self.forgetting.on_new,
            disputed=catchup.on_disputed,
        )
