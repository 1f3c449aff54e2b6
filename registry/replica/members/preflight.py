"""What speaks against a change of members before it is proposed, with the arithmetic.

A change is decided by the voters of epoch e, and carried on by those of epoch e + 1. So both must be
able to go on: enough voters of e to agree and to seal (M01), and enough of e + 1 that are up and have
nearly caught up. This module is pure: it judges what a node has found out (`Situation`).

No answer of this module makes a change safe or unsafe: that is the affair of the rules M01 to M09. It
keeps an operator from a change that would stop the cluster.
"""

from collections.abc import Collection, Iterable, Mapping

from ...errors import ProtocolError
from ...members import MembersChange, change_of
from ...paxos.epochs import Epoch
from ...paxos.quorums import Quorums
from ...types import Decree, NodeId, Value
from ...wire.handshake import VERSION
from ...wire.members import Finding, FindingKind, Voter
from ...wire.peers import Standing

SIZES = (1, 3, 5, 7)
CAUGHT_UP = 1_024
"""A node that has at most this many entries of a feed before it has caught up: they are one page."""
CLOSE = 128
"""A new voter that is no further behind is ready soon after the seal."""
JOIN = "start it with 'decreed serve --join HOST:PORT', and look at 'decreed member list'"


class WantedEpoch(Value, frozen=True):
    """The epoch that is wanted.

    Args:
        voters: who votes in it.
        prepare, accept: the sizes of its quorums.
    """

    voters: tuple[Voter, ...]
    prepare: int
    accept: int

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The names of the voters."""
        return tuple(voter.node for voter in self.voters)

    @property
    def disks(self) -> tuple[bytes, ...]:
        """The directories of the voters."""
        return tuple(voter.disk_id for voter in self.voters)

    def epoch(self, number: int) -> Epoch:
        """The epoch, under this number.

        Raises:
            ValueError: if its sizes are impossible, or a name is there twice.
        """
        return Epoch(number, Quorums(self.nodes, self.prepare, self.accept), self.disks)

    def is_of(self, epoch: Epoch) -> bool:
        """Whether an epoch has these voters and sizes."""
        quorums = epoch.quorums
        same = (self.nodes, self.disks) == (epoch.nodes, epoch.disks)
        return same and (self.prepare, self.accept) == (quorums.prepare, quorums.accept)


class Situation(Value, frozen=True):
    """What a node has found out, just now.

    Args:
        epoch: the epoch that it knows.
        disks: the directory that it remembers of each node; for the name of a voter, the voter's.
        standings: how each node is that answered; its own is one of them. A node that joins may have
            the name of a voter that is down; its directory tells them apart (M20).
        under_way: a change to follow this epoch that it has accepted, without knowing the outcome.
    """

    epoch: Epoch
    disks: tuple[tuple[NodeId, bytes], ...]
    standings: tuple[tuple[NodeId, Standing], ...]
    under_way: Decree | None = None

    def remembered(self, node: str) -> bytes | None:
        """The directory that belongs to a name; None if it is not known."""
        return self.epoch.disk_of(NodeId(node)) or dict(self.disks).get(NodeId(node))

    def standing(self, node: str, disk_id: bytes | None) -> Standing | None:
        """How a directory is; None if another one answers under its name, or none does."""
        found = dict(self.standings).get(NodeId(node))
        return found if found is not None and found.disk_id == disk_id else None

    def has_told(self, node: NodeId) -> bool:
        """Whether a voter that left has told anybody who answered that it knows the epoch."""
        known = self.epoch.number
        return any(node in each.told_left for _, each in self.standings if each.known == known)

    def voter(self, node: str) -> Standing | None:
        """How a voter of the epoch is; None if it has not answered, or is no voter."""
        return self.standing(node, self.remembered(node)) if node in self.epoch.nodes else None


def judge(now: Situation, wanted: WantedEpoch) -> tuple[Finding, ...]:
    """Everything that there is to say about a change; it may be proposed if `is_clear`."""
    shape = [*_shape(wanted), *_under_way(now, wanted)]
    if shape:
        return tuple(shape)
    known = [*_unknown(now, wanted), *_versions(now, wanted)]
    return (*known, *_old_voters(now), *([] if known else _new_voters(now, wanted)))


def far_behind(standings: Mapping[NodeId, Standing], wanted: WantedEpoch) -> list[NodeId]:
    """The new voters that have caught up, but not so far that they would be ready at once."""
    found = [(voter.node, standings.get(NodeId(voter.node))) for voter in wanted.voters]
    return [NodeId(node) for node, one in found if one is not None and one.behind > CLOSE]


def is_clear(findings: Iterable[Finding]) -> bool:
    """Whether there is nothing but warnings."""
    return all(finding.kind == FindingKind.WARNING for finding in findings)


def change_in(decree: Decree) -> MembersChange | None:
    """What a decree that is not decided yet would change; None if this version cannot read it."""
    try:
        return change_of(decree)
    except ProtocolError:
        return None


def under_way(decree: Decree) -> Finding:
    """That somebody has proposed a change, and nobody knows the outcome."""
    change = change_in(decree)
    if change is None:
        return _refused(
            f"a change is under way: {decree.claimant} proposed one as {decree.key!r} that this version"
            " of decreed cannot read, and nobody knows yet whether that is decided; bring all nodes to"
            " the version that proposed it, and propose just that again with it, which decides it"
        )
    epoch = change.epoch
    return _refused(
        f"a change is under way: {decree.claimant} proposed {_names(epoch.nodes)} for epoch"
        f" {epoch.number}"
        f" (prepare = {epoch.quorums.prepare}, accept = {epoch.quorums.accept}), and nobody"
        " knows yet whether that is decided; propose just that again, which decides it"
    )


def _shape(wanted: WantedEpoch) -> Iterable[Finding]:
    size = len(wanted.voters)
    if len(set(wanted.nodes)) != size or list(wanted.nodes) != sorted(wanted.nodes):
        yield _refused(f"the voters {_names(wanted.nodes)} are not distinct and in order")
    if size not in SIZES:
        yield _refused(
            f"{_names(wanted.nodes)} are {size} voters, and there may be 1, 3, 5 or 7: one more that"
            " must not fail makes nothing safer; replace a node, or add two"
        )
    for name, needed in (("prepare", wanted.prepare), ("accept", wanted.accept)):
        if not 1 <= needed <= size:
            yield _refused(f"{name} = {needed} is impossible with {_count(size, 'voter')}")
    total = wanted.prepare + wanted.accept
    if total <= size:
        yield _refused(
            f"a prepare quorum of {wanted.prepare} and an accept quorum of {wanted.accept} need not"
            f" meet: {wanted.prepare} + {wanted.accept} = {total}, and the sum must exceed {size}"
        )


def _under_way(now: Situation, wanted: WantedEpoch) -> Iterable[Finding]:
    if now.under_way is None:
        return
    change = change_in(now.under_way)
    if change is None or not wanted.is_of(change.epoch):
        yield under_way(now.under_way)


def _old_voters(now: Situation) -> Iterable[Finding]:
    """Enough voters of e must agree, and enough must seal; S is never more than both (M01)."""
    epoch, needed = now.epoch, _needed(now.epoch.quorums)
    up = [node for node in epoch.nodes if now.voter(node) is not None]
    if len(up) >= needed:
        yield from _not_ready(now, up)
        return
    down = [node for node in epoch.nodes if node not in up]
    yield Finding(
        FindingKind.NO_QUORUM,
        f"no quorum: {len(up)} of {len(epoch.nodes)} up, {needed} needed to agree and to seal;"
        f" start {_names(down)}{_needs_down(epoch, down)}",
    )


def _not_ready(now: Situation, up: Collection[str]) -> Iterable[Finding]:
    epoch, needed = now.epoch, _needed(now.epoch.quorums)
    voting = [node for node in up if (found := now.voter(node)) is not None and found.votes]
    if len(voting) < needed:
        yield Finding(
            FindingKind.WAITS,
            f"epoch {epoch.number} is ready at {len(voting)} of {len(epoch.nodes)}, {needed} needed",
        )


def _needs_down(epoch: Epoch, down: Collection[str]) -> str:
    """Why S(e) cannot do without the nodes that are down, if a quorum could consist of them."""
    quorums, names = epoch.quorums, _names(down)
    most = min(len(down), len(epoch.nodes) // 2)
    if most >= quorums.accept:
        return (
            f"; with accept = {quorums.accept} the votes of {names} alone may have chosen: without"
            f" {'it' if len(down) == 1 else 'them'} nothing can be replaced without loss"
        )
    if most >= quorums.prepare:
        return (
            f"; with prepare = {quorums.prepare} a read may have asked {names} alone, and"
            f" {epoch.seal} of {len(epoch.nodes)} must seal"
        )
    return ""


def _unknown(now: Situation, wanted: WantedEpoch) -> Iterable[Finding]:
    """Whether each new voter is the directory that is linked here under its name (M20)."""
    answering = {node: found.disk_id for node, found in now.standings}
    for voter in wanted.voters:
        node, own = voter.node, now.remembered(voter.node)
        is_seated = node in now.epoch.nodes
        here = own if is_seated else answering.get(node, own)
        if voter.disk_id in (here, answering.get(node)):
            continue
        if now.voter(node) is not None:
            yield _refused(
                f"{node} is up with the directory that votes: stop it before another one takes its"
                " place"
            )
        elif here is None or is_seated:
            text = f"{node} is not linked here with the directory that was named: {JOIN}"
            yield Finding(FindingKind.WAITS, text)
        else:
            yield _refused(
                f"{node} has another directory than the one that was named: look at 'decreed"
                " member list'"
            )


def _versions(now: Situation, wanted: WantedEpoch) -> Iterable[Finding]:
    concerned, standings = {*now.epoch.nodes, *wanted.nodes}, dict(now.standings)
    for node in sorted(concerned & standings.keys()):
        if standings[node].version < VERSION:
            yield _refused(
                f"{node} speaks version {standings[node].version} of the protocol, and members are"
                f" changed with version {VERSION}: bring it up to date first"
            )


def _new_voters(now: Situation, wanted: WantedEpoch) -> Iterable[Finding]:
    """Enough voters of e + 1 must be up, with little left to read, so that they are ready soon."""
    needed, size = max(wanted.prepare, wanted.accept), len(wanted.voters)
    standings = ((voter.node, now.standing(voter.node, voter.disk_id)) for voter in wanted.voters)
    up = {node: found for node, found in standings if found is not None}
    down = [node for node in wanted.nodes if node not in up]
    late = [node for node, found in up.items() if found.behind > CAUGHT_UP]
    if len(up) < needed:
        yield _refused(
            f"{_names(down)} {_are(down)} not up: the new set could not go on: {len(up)} of {size} up,"
            f" {needed} needed"
        )
        return
    joining = [node for node in late if now.voter(node) is None]
    if len(up) - len(late) < needed or joining:
        for node in late:
            why = f": {up[node].trouble}" if up[node].trouble else ""
            yield Finding(FindingKind.WAITS, f"{node} is {up[node].behind:,} behind{why}")
    spare = len(up) - needed
    if spare <= 0:
        why = f" ({_names(down)} {_are(down)} not up)" if down else ""
        yield Finding(
            FindingKind.WARNING,
            f"no voter may fail after this: {len(up)} of {size} up, {needed} needed{why}",
        )
    elif down:
        yield Finding(FindingKind.WARNING, f"{_names(down)} {_are(down)} not up")


def _needed(quorums: Quorums) -> int:
    return max(quorums.prepare, quorums.accept)


def _refused(text: str) -> Finding:
    return Finding(FindingKind.REFUSED, text)


def _names(nodes: Iterable[str]) -> str:
    return " ".join(nodes)


def _are(nodes: Collection[str]) -> str:
    return "is" if len(nodes) == 1 else "are"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
