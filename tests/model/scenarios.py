"""The clusters that are explored, with their bounds: small enough to finish, large enough to hurt."""

from msgspec.structs import force_setattr

from decreed.registry.config import ClusterConfig
from decreed.registry.paxos.quorums import Quorums
from decreed.registry.types import Claim, NodeId, Value

from ..support.world import claim, config
from .node import KEY
from .properties import DUEL, FINISHED, FLOWN, HANDED_DOWN, LEFT, RESTARTED, STANDING


class Scenario(Value, frozen=True):
    """A cluster and the bounds of what happens to it.

    Args:
        name: for tables and tests.
        nodes: how many nodes, each of them an acceptor; the first ones are proposers too.
        ballots: for each proposer, how many ballots it may begin in all its lives.
        claims: for each proposer, whether it has a claim of its own, as all have by default; one
            that has none only finishes what others began.
        prepare, accept: the sizes of the quorums; 0 means a majority.
        identity: whether the first node, which is home to the key, asks for class promises. It
            claims something else in each ballot then, so that no value hides that two were possible.
        flies: whether what it proposes on the strength of them travels as a batch.
        crashes: how many crashes there may be in all.
        spared: whether only the first node crashes.
        loses: whether a crash may take what was written without a sync.
        gives_up: whether a proposer may drop an attempt at any moment and begin another; it
            always may after a crash or after having been preempted.
        out_of_reach: the sometimes-properties that nothing within these bounds can have.
        states, depth: how many states there are, and how far the farthest is; a test holds them.
    """

    name: str
    nodes: int
    ballots: tuple[int, ...]
    claims: tuple[bool, ...] = ()
    prepare: int = 0
    accept: int = 0
    identity: bool = False
    flies: bool = False
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

    def wishes(self) -> dict[NodeId, tuple[Claim, ...]]:
        """What each proposer is asked to claim, one thing after the other."""
        claims = self.claims or (True,) * len(self.ballots)
        wishes: dict[NodeId, tuple[Claim, ...]] = {
            name: (claim(KEY, f"value of {name}".encode(), name.encode()),) if has_one else ()
            for name, has_one in zip(self.proposers, claims, strict=True)
        }
        if self.identity:
            home, several = self.names[0], range(self.ballots[0])
            wishes[home] = tuple(claim(KEY, b"value %d" % n, b"claim %d" % n) for n in several)
        return wishes


ALONE = frozenset({FLOWN, LEFT})
"""Out of reach where each key travels alone."""
PLAIN = frozenset({STANDING, HANDED_DOWN}) | ALONE
"""Out of reach of a home that does not ask."""
_UNRIVALLED = frozenset({DUEL, FINISHED}) | PLAIN
_NEVER_DOWN = frozenset({RESTARTED}) | PLAIN

DEFAULT = (
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
        "3 nodes, a home and 1 proposer, 1 ballot each",
        3,
        (1, 1),
        identity=True,
        out_of_reach=frozenset({DUEL, RESTARTED, HANDED_DOWN}) | ALONE,
        states=102_297,
        depth=18,
    ),
    Scenario(
        "3 nodes, a home that flies and gives up, 2 ballots",
        3,
        (2,),
        identity=True,
        flies=True,
        gives_up=True,
        out_of_reach=frozenset({DUEL, FINISHED, RESTARTED, HANDED_DOWN}),
        states=18_435,
        depth=18,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, a home that flies and restarts",
        3,
        (2,),
        prepare=3,
        accept=1,
        identity=True,
        flies=True,
        crashes=1,
        spared=True,
        out_of_reach=frozenset({DUEL, FINISHED}),
        states=244_085,
        depth=23,
    ),
    Scenario(
        "3 nodes, quorums 3 and 1, a home that flies and 1 proposer",
        3,
        (2, 1),
        prepare=3,
        accept=1,
        identity=True,
        flies=True,
        out_of_reach=frozenset({RESTARTED, HANDED_DOWN}),
        states=132_019,
        depth=24,
    ),
)
"""What the tests explore, in less than a minute."""

FULL = (
    Scenario(
        "3 nodes, 1 proposer that gives up, 3 ballots, 2 crashes",
        3,
        (3,),
        crashes=2,
        gives_up=True,
        out_of_reach=_UNRIVALLED,
        states=266_371,
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
        states=70_502,
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
        "3 nodes, a home that flies and 1 proposer, 1 ballot each",
        3,
        (1, 1),
        identity=True,
        flies=True,
        out_of_reach=frozenset({DUEL, RESTARTED, HANDED_DOWN, LEFT}),
        states=102_543,
        depth=18,
    ),
    Scenario(
        "3 nodes, a home that flies and 1 proposer, 2 ballots and 1",
        3,
        (2, 1),
        identity=True,
        flies=True,
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
    ),
    Scenario(
        "3 nodes, a home and 1 proposer, 2 ballots and 1",
        3,
        (2, 1),
        identity=True,
        out_of_reach=frozenset({RESTARTED, HANDED_DOWN}) | ALONE,
    ),
)
"""What takes longer, about eight minutes, and up to 2.5 GB of memory."""
