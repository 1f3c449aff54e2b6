"""The clusters that are explored, with their bounds: small enough to finish, large enough to matter."""

from msgspec.structs import force_setattr

from decreed.registry.config import ClusterConfig
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Claim, NodeId, Value

from ..support.world import claim, config
from .node import KEY
from .properties import AT_HOME, DUEL, FINISHED, HANDED_DOWN, IN_BATCH, LEFT, RESTARTED


class Scenario(Value, frozen=True):
    """A cluster and the bounds of what happens to it.

    Args:
        name: for tables and tests.
        nodes: how many nodes, each of them an acceptor; the first ones are proposers too.
        ballots: for each proposer, how many ballots it may begin in all its incarnations.
        claims: for each proposer, whether it has a claim of its own, as all have by default. A
            proposer without one only finishes what others began.
        prepare, accept: the sizes of the quorums; 0 means a majority.
        identity: whether the first node, which is home to the key, asks for class promises. Then it
            has another claim in each ballot, so that two chosen values cannot look the same.
        batches: whether what it proposes under them travels as a batch.
        crashes: how many crashes there may be in all.
        spared: whether only the first node crashes.
        loses: whether a crash may take what was written without a sync.
        gives_up: whether a proposer may drop an attempt at any moment and begin another. It always
            may after a crash or after a preemption.
        out_of_reach: the sometimes-properties that cannot occur within these bounds.
        states, depth: how many states there are, and the distance of the farthest; a test holds them.
    """

    name: str
    nodes: int
    ballots: tuple[int, ...]
    claims: tuple[bool, ...] = ()
    prepare: int = 0
    accept: int = 0
    identity: bool = False
    batches: bool = False
    crashes: int = 0
    spared: bool = False
    loses: bool = True
    gives_up: bool = False
    out_of_reach: frozenset[str] = frozenset()
    states: int = 0
    depth: int = 0

    @property
    def names(self) -> tuple[NodeId, ...]:
        """The nodes' names."""
        return tuple(NodeId(f"n{number}") for number in range(1, self.nodes + 1))

    @property
    def proposers(self) -> tuple[NodeId, ...]:
        """The nodes that propose."""
        return self.names[: len(self.ballots)]

    @property
    def config(self) -> ClusterConfig:
        """The cluster, its quorums unchecked, so that those that need not meet can be tried."""
        cluster = config(self.nodes)
        quorums = Quorums.majority(self.names)
        force_setattr(quorums, "prepare", self.prepare or quorums.prepare)
        force_setattr(quorums, "accept", self.accept or quorums.accept)
        return ClusterConfig(cluster.cluster_id, cluster.addresses, quorums)

    def claims_by_proposer(self) -> dict[NodeId, tuple[Claim, ...]]:
        """The claims of each proposer, in order."""
        claims = self.claims or (True,) * len(self.ballots)
        claims_by: dict[NodeId, tuple[Claim, ...]] = {
            name: (claim(KEY, f"value of {name}".encode(), name.encode()),) if has_one else ()
            for name, has_one in zip(self.proposers, claims, strict=True)
        }
        if self.identity:
            home, several = self.names[0], range(self.ballots[0])
            claims_by[home] = tuple(claim(KEY, b"value %d" % n, b"claim %d" % n) for n in several)
        return claims_by


ALONE = frozenset({IN_BATCH, LEFT})
"""Out of reach in scenarios without batches."""
PLAIN = frozenset({AT_HOME, HANDED_DOWN}) | ALONE
"""Out of reach in scenarios without class promises."""
_UNRIVALLED = frozenset({DUEL, FINISHED}) | PLAIN
_NEVER_DOWN = frozenset({RESTARTED}) | PLAIN

DEFAULT = (
    Scenario(
        "3 nodes, 2 proposers, 1 ballot each, 1 crash",
        3,
        (1, 1),
        crashes=1,
        out_of_reach=_NEVER_DOWN | {DUEL},
        states=18_198,
        depth=17,
    ),
    Scenario(
        "3 nodes, 1 proposer that gives up, 2 ballots, 1 crash",
        3,
        (2,),
        crashes=1,
        gives_up=True,
        out_of_reach=_UNRIVALLED,
        states=3_986,
        depth=17,
    ),
    Scenario(
        "3 nodes, 2 proposers, one of them without a claim",
        3,
        (2, 1),
        claims=(True, False),
        out_of_reach=_NEVER_DOWN,
        states=16_105,
        depth=21,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, 2 proposers",
        3,
        (2, 1),
        prepare=3,
        accept=1,
        out_of_reach=_NEVER_DOWN,
        states=2_881,
        depth=21,
    ),
    Scenario(
        "3 nodes, quorums 1 and 3, 2 proposers",
        3,
        (2, 1),
        prepare=1,
        accept=3,
        out_of_reach=_NEVER_DOWN,
        states=33_633,
        depth=21,
    ),
    Scenario(
        "3 nodes, a home that gives up, 2 ballots",
        3,
        (2,),
        identity=True,
        gives_up=True,
        out_of_reach=frozenset({DUEL, FINISHED, RESTARTED, HANDED_DOWN}) | ALONE,
        states=18_449,
        depth=18,
    ),
    Scenario(
        "3 nodes, a home that sends batches and gives up, 2 ballots",
        3,
        (2,),
        identity=True,
        batches=True,
        gives_up=True,
        out_of_reach=frozenset({DUEL, FINISHED, RESTARTED, HANDED_DOWN}),
        states=18_435,
        depth=18,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, a home that sends batches and restarts",
        3,
        (2,),
        prepare=3,
        accept=1,
        identity=True,
        batches=True,
        crashes=1,
        spared=True,
        out_of_reach=frozenset({DUEL, FINISHED}),
        states=244_085,
        depth=23,
    ),
)
"""The scenarios of the default run, explored in some 15 seconds."""

MORE = (
    Scenario(
        "5 nodes, quorums 4 and 2, 2 proposers",
        5,
        (1, 1),
        prepare=4,
        accept=2,
        out_of_reach=_NEVER_DOWN | {DUEL},
        states=70_891,
        depth=25,
    ),
    Scenario(
        "3 nodes, a home and 1 proposer, 1 ballot each",
        3,
        (1, 1),
        identity=True,
        out_of_reach=frozenset({DUEL, RESTARTED, HANDED_DOWN}) | ALONE,
        states=102_297,
        depth=18,
    ),
    Scenario(
        "3 nodes, 2 proposers, 2 ballots each",
        3,
        (2, 2),
        out_of_reach=_NEVER_DOWN,
        states=645_959,
        depth=27,
    ),
    Scenario(
        "3 nodes, 2 proposers, 2 ballots and 1, 1 crash",
        3,
        (2, 1),
        crashes=1,
        out_of_reach=PLAIN,
        states=319_503,
        depth=23,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, a home that sends batches and 1 proposer",
        3,
        (2, 1),
        prepare=3,
        accept=1,
        identity=True,
        batches=True,
        out_of_reach=frozenset({RESTARTED, HANDED_DOWN}),
        states=132_019,
        depth=24,
    ),
)
"""Further scenarios of `make model`, which `.ci/run` explores too: a minute."""

FULL = (
    Scenario(
        "3 nodes, 1 proposer that gives up, 3 ballots, 2 crashes",
        3,
        (3,),
        crashes=2,
        gives_up=True,
        out_of_reach=_UNRIVALLED,
        states=492_176,
        depth=23,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, 2 ballots each",
        3,
        (2, 2),
        prepare=3,
        accept=1,
        out_of_reach=_NEVER_DOWN,
        states=36_865,
        depth=27,
    ),
    Scenario(
        "5 nodes, 1 proposer, 2 ballots, 1 crash",
        5,
        (2,),
        crashes=1,
        out_of_reach=_UNRIVALLED,
        states=71_271,
        depth=26,
    ),
    Scenario(
        "5 nodes, 2 proposers, 1 ballot each",
        5,
        (1, 1),
        out_of_reach=_NEVER_DOWN | {DUEL},
        states=229_905,
        depth=25,
    ),
    Scenario(
        "3 nodes, 3 proposers, 1 ballot each",
        3,
        (1, 1, 1),
        out_of_reach=_NEVER_DOWN | {DUEL},
        states=133_235,
        depth=21,
    ),
    Scenario(
        "3 nodes, 2 proposers, 2 ballots each, 1 crash",
        3,
        (2, 2),
        crashes=1,
        loses=False,
        out_of_reach=PLAIN,
        states=8_712_936,
        depth=28,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, a home that restarts",
        3,
        (2,),
        prepare=3,
        accept=1,
        identity=True,
        crashes=1,
        spared=True,
        out_of_reach=frozenset({DUEL, FINISHED}) | ALONE,
        states=244_106,
        depth=23,
    ),
    Scenario(
        "3 nodes, a home that sends batches and 1 proposer, 1 ballot each",
        3,
        (1, 1),
        identity=True,
        batches=True,
        out_of_reach=frozenset({DUEL, RESTARTED, HANDED_DOWN, LEFT}),
        states=102_543,
        depth=18,
    ),
    Scenario(
        "3 nodes, a home that sends batches and 1 proposer, 2 ballots and 1",
        3,
        (2, 1),
        identity=True,
        batches=True,
        out_of_reach=frozenset({RESTARTED, HANDED_DOWN}),
        states=1_200_919,
        depth=24,
    ),
    Scenario(
        "3 nodes, a home that restarts, 2 ballots",
        3,
        (2,),
        identity=True,
        crashes=1,
        out_of_reach=frozenset({DUEL, FINISHED}) | ALONE,
        states=1_222_207,
        depth=23,
    ),
    Scenario(
        "3 nodes, quorums 1 and 3, a home that restarts",
        3,
        (2,),
        prepare=1,
        accept=3,
        identity=True,
        crashes=1,
        spared=True,
        out_of_reach=frozenset({DUEL, FINISHED}) | ALONE,
        states=1_022_932,
        depth=23,
    ),
    Scenario(
        "3 nodes, a home and 1 proposer, 2 ballots and 1",
        3,
        (2, 1),
        identity=True,
        out_of_reach=frozenset({RESTARTED, HANDED_DOWN}) | ALONE,
        states=1_200_529,
        depth=24,
    ),
)
"""Larger scenarios, which take about ten minutes and up to 2.5 GB of memory."""
