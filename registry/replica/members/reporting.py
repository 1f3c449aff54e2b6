"""The report on all members, from what a inquiry has found out."""

from collections.abc import Callable, Iterator
from itertools import islice

from ...disk import PeerSeatRecord
from ...types import NodeId
from ...wire.members import MAX_SEATS, MemberSeat, MembersReport, Role
from ..step.node import Node
from .preflight import Situation

Told = Callable[[NodeId], PeerSeatRecord | None]


def members_report(
    node: Node,
    found: Situation,
    request_id: int,
    under_way: tuple[NodeId, ...],
    told_by: Told,
    address_of: Callable[[NodeId], str],
) -> MembersReport:
    """The report of a node.

    Args:
        node: who reports.
        found: what the inquiry has found.
        request_id: the id of the request that it answers.
        under_way: the voters of a change that may be decided.
        told_by: gives the seat that a node has told last, for those that are down.
        address_of: gives the newest address of a node.
    """
    epoch, before = node.epoch, node.before

    def seat(name: NodeId, role: Role, disk_id: bytes | None) -> MemberSeat:
        standing = found.standing(name, disk_id)
        if standing is None:
            told = told_by(name) if disk_id == found.remembered(name) else None
            known, ready = (told.known, told.ready) if told is not None else (None, None)
            if role is Role.EARLIER and found.has_told(name):
                known = max(epoch.number, known or 0)
            where, fault = address_of(name), node.unreached.get(name, "")
            return MemberSeat(
                name, role, disk_id, where, False, False, known, ready, None, None, fault
            )
        address = standing.address or address_of(name)
        facts = (standing.votes, standing.known, standing.ready, standing.behind, standing.withheld)
        return MemberSeat(name, role, disk_id, address, True, *facts, standing.trouble)

    return MembersReport(
        request_id,
        node.name,
        node.identity.cluster_id,
        node.identity.formation,
        epoch.number,
        epoch.quorums.prepare,
        epoch.quorums.accept,
        before.seal if before is not None else 0,
        under_way,
        tuple(seat(*place) for place in islice(_places(node, found), MAX_SEATS)),
    )


def _places(node: Node, found: Situation) -> Iterator[tuple[NodeId, Role, bytes | None]]:
    """Each directory that there is something to say about; two may have one name (M20)."""
    answering = {name: standing.disk_id for name, standing in found.standings}
    seats = {(name, found.remembered(name)): Role.VOTER for name in node.nodes}
    if node.before is not None:
        for name in node.before.nodes:
            disk_id = node.before.disk_of(name)
            if name not in node.nodes:
                disk_id = disk_id or found.remembered(name) or answering.get(name)
            elif disk_id is None:  # no decree has the disks of epoch 0
                continue
            seats.setdefault((name, disk_id), Role.EARLIER)
    for name in sorted(answering.keys() | node.unreached.keys() & node.guests):
        seats.setdefault((name, answering.get(name)), _without_vote(node, name))
    return ((name, role, disk_id) for (name, disk_id), role in seats.items())


def _without_vote(node: Node, name: NodeId) -> Role:
    observes = node.observes if name == node.name else name in node.observers
    return Role.OBSERVER if observes else Role.GUEST
