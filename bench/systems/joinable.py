"""A cluster of decreed whose members change: spare nodes join, and `decreed member` gives votes."""

import subprocess
from pathlib import Path

from decreed.cli.shell.ports import held_ports
from decreed.client.blocking import finish, sender_of
from decreed.client.requests.changing import MembersClient
from decreed.registry.errors import DecreedError
from decreed.registry.wire.members import MemberSeat, MembersReport

from .cluster import NotReady, await_that
from .decreed import DecreedSystem

CHANGE_S = 360.0
"""How long a change may take, with the time that its nodes need to catch up."""
LOOK_S = 0.25
"""How often the members are looked at; each look is a question to all of them, during a load."""


class JoinableSystem(DecreedSystem):
    """A cluster of decreed with nodes beside it that are no members, and do not run at first.

    Args:
        folder, size: as for every cluster.
        spare: how many more nodes there are; they are numbered after the members.

    Attributes:
        seed: a snapshot from which spare nodes learn first; None if they read feeds alone.
    """

    seed: Path | None = None

    def __init__(self, folder: Path, size: int = 3, spare: int = 1) -> None:
        self.spare = spare
        super().__init__(folder, size)

    def hold_ports(self) -> tuple[int, ...]:
        """A port for each member and each spare node."""
        return held_ports(self._held, self.size + self.spare)

    def member_ports(self) -> tuple[int, ...]:
        """The ports of the members alone."""
        return self.ports[: self.size]

    def command(self, node: int) -> list[str]:
        """``decreed serve``, with ``--join`` for a spare node."""
        serve = super().command(node)
        if node < self.size:
            return serve
        own, *others = self.addresses((node, *range(self.size)))
        seed = ["--seed", str(self.seed)] if self.seed is not None else []
        return [*serve, "--listen", own, "--join", ",".join(others), *seed]

    def members(self) -> MembersReport | None:
        """The members, as the first node knows them; None if it does not answer."""
        try:
            with sender_of(self.addresses((0,)), timeout=2.0) as sender:
                cluster = MembersClient(sender)
                return finish(cluster.report(cluster.deadline()))
        except DecreedError:
            return None

    def seat(self, node: int) -> MemberSeat | None:
        """The seat of a node, as the first one sees it; None if it is not known there."""
        report = self.members()
        seats = report.seats if report is not None else ()
        return next((seat for seat in seats if seat.node == f"n{node + 1}"), None)

    def votes(self, node: int) -> bool:
        """Whether a node says that it votes."""
        seat = self.seat(node)
        return seat is not None and seat.votes

    def join(self, *nodes: int) -> None:
        """Start spare nodes, and return when the cluster knows them."""
        for node in nodes:
            self.start_node(node)
        what = "the cluster knows its new nodes"
        await_that(what, lambda: all(map(self.seat, nodes)), pause_s=LOOK_S)

    def change(self, *words: str) -> "subprocess.Popen[str]":
        """Start ``decreed member`` with these words; `done` waits for it."""
        endpoints = ",".join(self.addresses((0,)))
        command = [self.python, "-m", "decreed", "member", *words, "--endpoints", endpoints]
        command += ["--timeout", f"{CHANGE_S:.0f}s"]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def done(change: "subprocess.Popen[str]") -> str:
    """Wait for a change, and return what it said.

    Raises:
        NotReady: if it failed.
    """
    try:
        said, _ = change.communicate(timeout=CHANGE_S + 30.0)
    finally:
        change.kill()
    if change.returncode:
        raise NotReady(f"the change ended with {change.returncode}: {said[-500:]}")
    return said
