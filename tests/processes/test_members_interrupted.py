"""Ctrl-C during a change of members, at a terminal: it says how far the change has come."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from decreed.registry.wire.members import ChangePlan, MembersReport
from decreed.registry.wire.requests import Decreed

from ..support.gate import Gate
from ..support.processes import PATIENCE_S, Processes, decreed, make, run
from ..support.terminals import Typist

CHANGE = ("member", "quorums", "--prepare", "1", "--accept", "1")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Processes]:
    """A single node, which a gate can stand before: it tells clients the address of the gate."""
    cluster = make(tmp_path / "cluster", 1)
    yield cluster
    cluster.end()


def interrupted(cluster: Processes, gate: Gate) -> str:
    """What the command says when somebody types Ctrl-C while the gate is shut."""
    cluster.start("n1", "--listen", cluster.addresses["n1"], "--advertise", gate.address)
    cluster.await_voting("n1")
    typist = Typist(decreed(*CHANGE), gate.address)
    try:
        assert gate.shut.wait(PATIENCE_S)
        typist.type("\x03")
        code = typist.end()
        assert code == 130, typist.seen
        return typist.seen
    finally:
        typist.close()
        gate.close()


def epoch(cluster: Processes) -> str:
    done = run("member", "list", endpoints=cluster.endpoints)
    return done.stdout.decode().partition(":")[0]


def goes_on(cluster: Processes, said: str) -> bool:
    """Whether the command that was printed tells that the change is made."""
    [printed] = re.findall(r"see how it went with '(decreed [^']*)'", said)
    done = run(*shlex.split(printed)[1:], endpoints=cluster.endpoints)
    assert done.returncode == 0, done.stderr
    return done.stdout == b"epoch 1: n1 (ready: n1)\n"


def test_before_it_is_proposed_nothing_has_happened(cluster: Processes) -> None:
    said = interrupted(cluster, Gate(cluster.addresses["n1"], ChangePlan))
    assert "interrupted; nothing was proposed" in said and "--epoch" not in said
    assert epoch(cluster) == "epoch 0"


def test_while_the_answer_is_on_its_way_it_is_unknown_and_the_printed_command_goes_on(
    cluster: Processes,
) -> None:
    said = interrupted(cluster, Gate(cluster.addresses["n1"], Decreed))
    assert "interrupted; whether it is decided is unknown; see how it went with" in said
    assert goes_on(cluster, said)


def test_after_the_decision_it_says_so_and_the_printed_command_goes_on(cluster: Processes) -> None:
    said = interrupted(cluster, Gate(cluster.addresses["n1"], MembersReport, passed=1))
    assert "it is decided, and goes on without this command; see how it went with" in said
    assert goes_on(cluster, said)
