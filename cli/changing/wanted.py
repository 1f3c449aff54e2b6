"""From an operator's words and the members as they are to the voters that are wanted. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ...client.requests.changing import Change
from ...registry.errors import BadRequest, Refused
from ...registry.members import MembersChange
from ...registry.paxos.quorums import majority
from ...registry.types import NodeId
from ...registry.wire.members import MemberSeat, MembersReport, Role, Voter

SEE = "look at 'decreed member list'"


@dataclass(frozen=True)
class Directory:
    """A directory of a node: a name may have one that votes, and another that joins.

    Args:
        node: the name.
        disk_id: which one it is; None if that is not known.
        address: where it is met; empty if that is not known.
        up: whether it answers.
    """

    node: NodeId
    disk_id: bytes | None
    address: str
    up: bool = False

    @classmethod
    def of(cls, seat: MemberSeat) -> "Directory":
        """The one that a report tells of."""
        return cls(seat.node, seat.disk_id, seat.address, seat.up)

    def voter(self) -> Voter:
        """It, as a voter.

        Raises:
            Refused: if it is not known well enough.
        """
        if self.disk_id is None or not self.address:
            raise Refused(
                f"the directory or address of {self.node} is not known: start it, and {SEE}"
            )
        return Voter(self.node, self.disk_id, self.address)


@dataclass(frozen=True)
class Base:
    """The epoch from which a change starts.

    Args:
        number: of the epoch.
        prepare, accept: the sizes of its quorums.
        voters: the directories that vote in it, by their names, in order.
        others: the directories that may take a place, by their names.
    """

    number: int
    prepare: int
    accept: int
    voters: Mapping[str, Directory]
    others: Mapping[str, Directory]

    @classmethod
    def present(cls, report: MembersReport) -> "Base":
        """The epoch that is known now."""
        sizes = report.prepare, report.accept
        others = _in_role(report, Role.EARLIER) | _without_vote(report)
        return cls(report.epoch, *sizes, _in_role(report, Role.VOTER), others)

    @classmethod
    def earlier(cls, change: MembersChange, report: MembersReport) -> "Base":
        """An epoch that is over: those who took a place may be found where they vote by now.

        A directory that joins still did not get the place. Disks of epoch 0 are in no decree; a voter
        of it that stayed is the one of epoch 1.
        """
        before, after = change.before, change.epoch
        seats = {seat.node: seat.address for seat in report.seats}
        places = seats | change.places
        voters: dict[str, Directory] = {}
        for node in before.nodes:
            disk_id = before.disk_of(node) or after.disk_of(node)
            voters[node] = Directory(node, disk_id, places.get(node, ""))
        others = _in_role(report, Role.EARLIER)
        others |= {node: Directory(node, after.disk_of(node), places[node]) for node in after.nodes}
        others |= _without_vote(report)
        sizes = before.quorums.prepare, before.quorums.accept
        return cls(before.number, *sizes, voters, others)

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The names of its voters, in order."""
        return tuple(directory.node for directory in self.voters.values())


@dataclass(frozen=True)
class Wanted:
    """What an operator has asked for.

    Args:
        words: the command and its arguments, without options: what resumes it.
        leaving: the voters that are to vote no more.
        joining: the nodes that are to vote. One that leaves as well is replaced by its new directory.
        prepare, accept: the sizes that are wanted; None for what fits the number of voters.
        claimant: who wants it; None for the client's default.
    """

    words: str
    leaving: tuple[str, ...] = ()
    joining: tuple[str, ...] = ()
    prepare: int | None = None
    accept: int | None = None
    claimant: str | None = None

    def by(self, claimant: str | None) -> "Wanted":
        """The same, wanted by somebody."""
        return replace(self, claimant=claimant)

    def awaited(self, base: Base) -> tuple[str, ...]:
        """The nodes that are to vote and are not known yet: they may just have been started.

        If a voter's name is wrong, nothing is waited for: the change is refused.
        """
        if any(name not in base.voters for name in self.leaving):
            return ()
        up = {name for name, seated in base.voters.items() if seated.up}
        return tuple(name for name in self.joining if name not in base.others and name not in up)

    def change(self, base: Base) -> Change:
        """The change to propose.

        Raises:
            Refused: if it names a node that does not fit.
            BadRequest: if sizes have to be named.
        """
        for name in self.leaving:
            _check_voter(base, name)
        stay = [directory for name, directory in base.voters.items() if name not in self.leaving]
        found = [*stay, *(self._joining(base, name) for name in self.joining)]
        if not found:
            raise Refused("nobody would be left: a cluster has at least one voter")
        prepare, accept = self._sizes(base, len(found))
        voters = tuple(directory.voter() for directory in found)
        return Change.of(base.number, voters, prepare, accept, self.claimant)

    def before(self, base: Base, change: Change) -> tuple[Directory, ...]:
        """The directories that voted before a change.

        Of a voter of epoch 0 that its new directory has replaced, no decree has the first disk.
        """
        voting = {(voter.node, voter.disk_id) for voter in change.voters}

        def known(old: Directory) -> Directory:
            is_new = old.node in self.leaving and (old.node, old.disk_id) in voting
            return replace(old, disk_id=None) if is_new else old

        return tuple(known(old) for old in base.voters.values())

    def command(self, base: int) -> str:
        """The command that goes on with it."""
        sizes = (("prepare", self.prepare), ("accept", self.accept))
        options = [f"--{name} {size}" for name, size in sizes if size is not None]
        return " ".join(["decreed", self.words, *options, f"--epoch {base}"])

    def _joining(self, base: Base, name: str) -> Directory:
        if name in base.voters and name not in self.leaving:
            raise Refused(f"{name} is a voter of epoch {base.number} already: {SEE}")
        found = base.others.get(name)
        if found is not None:
            return found
        if name in base.voters:
            raise Refused(_no_other_directory(base.voters[name]))
        known = " ".join(sorted({*base.voters, *base.others}))
        raise Refused(f"{name} is not known (known are {known}): {_start(name)}, and {SEE}")

    def _sizes(self, base: Base, size: int) -> tuple[int, int]:
        kept = (base.prepare, base.accept)
        if size != len(base.voters):
            if kept != (majority(len(base.voters)),) * 2 and None in (self.prepare, self.accept):
                raise BadRequest(
                    f"the quorums are not majorities (prepare = {base.prepare}, accept ="
                    f" {base.accept} of {len(base.voters)}): say with --prepare and --accept what they"
                    f" are to be with {size}"
                )
            kept = (majority(size),) * 2
        prepare, accept = self.prepare, self.accept
        return kept[0] if prepare is None else prepare, kept[1] if accept is None else accept


def _no_other_directory(seated: Directory) -> str:
    """Why the place of a voter cannot be given to another directory of its name."""
    node = seated.node
    if seated.up:
        return (
            f"{node} is up with the directory that votes: to give its place to an empty one, stop it,"
            f" move that directory away, and {_start(node)}; or name the node that takes its place"
        )
    return (
        f"{node} is down, and no other directory of it is known: {_start(node)}, or name the node that"
        " takes its place"
    )


def _start(node: str) -> str:
    return (
        f"start {node} with an empty directory: 'decreed serve --config FILE --node {node} --data"
        " DIR --join HOST:PORT'"
    )


def _check_voter(base: Base, name: str) -> None:
    if name not in base.voters:
        raise Refused(
            f"{name} is no voter of epoch {base.number}, whose voters are {names_of(base.nodes)}: {SEE}"
        )


def _in_role(report: MembersReport, role: Role) -> dict[str, Directory]:
    """The directories in a role, by their names."""
    return {seat.node: Directory.of(seat) for seat in report.of(role)}


def _without_vote(report: MembersReport) -> dict[str, Directory]:
    return _in_role(report, Role.OBSERVER) | _in_role(report, Role.GUEST)


def names_of(nodes: Iterable[object]) -> str:
    """Names, with spaces between."""
    return " ".join(map(str, nodes))
