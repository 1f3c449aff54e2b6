"""One run: a cluster with doors, a load, faults one after another, and a report.

Everything that a run starts ends with it. Its folder keeps the logs of the nodes, the history as
``history.jsonl`` (``python -m tests.history`` judges it again) and ``recovery.json``.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from decreed.client import errors

from ..history.judge import judge
from ..history.lines import load
from ..history.operations import HistoryError, Operation
from ..history.verdict import Verdict
from . import ending
from .clocks import library
from .door import Door
from .faults import World
from .network import Network
from .nodes import ROOT, Nodes, build
from .recovery import Flow, Outage, Recovery
from .schedule import Planned

LOADS = 2
WARM_S = 1.0
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run.

    Args:
        folder: its own folder, which keeps its files.
        schedule: draws the faults, from the members and whether clocks can jump.
        seconds: after this long no further fault is begun.
        size: the number of nodes.
        clients: the number of clients, in all processes together.
        rate: the most operations a second, of all clients together.
        seed: seeds the randomness of wires and clients.
        seeded: a mistake from the catalogue for all nodes; empty for none.
    """

    folder: Path
    schedule: Callable[[list[str], bool], Iterable[Planned]]
    seconds: float
    size: int = 3
    clients: int = 40
    rate: float = 200.0
    seed: int = 1
    seeded: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run.

    Args:
        verdict: the judge's verdict.
        recoveries: the effects of the faults, in order.
        won: how many claims won.
        impossible: how many of them won while there was no quorum.
        decrees: how many decrees every node has at the end; None if the nodes disagree.
        complaint: how they disagree, or which fault failed: a cluster that did not come back, a
            wiped node that was admitted.
        left_out: kinds of faults that this machine cannot have, and their substitutes.
    """

    verdict: Verdict
    recoveries: tuple[Recovery, ...]
    won: int
    impossible: int
    decrees: int | None
    complaint: str
    left_out: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether the run found no fault."""
        return self.verdict.right and self.impossible == 0 and self.decrees is not None


async def run(settings: Settings, say: Callable[[str], None] = print) -> Report:
    """Carry out a run and judge it.

    Args:
        settings: of the run.
        say: called with each fault that is over.

    Raises:
        AssertionError: if the cluster does not form, or the clients' processes fail.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    nodes = build(
        settings.folder / "cluster", settings.size, settings.seconds + 300, settings.seeded
    )
    left_out = tuple(_left_out(nodes))
    for word in left_out:
        say(word)
    try:
        async with _served(nodes, settings.seed) as world:
            outages, complaint = await _trouble(world, settings, say)
            history = list(_history(settings.folder))
            decrees, disagreement = await _checked(world, history, complaint)
    finally:
        nodes.close()
    flow = Flow(history)
    recoveries = tuple(map(flow.recovery, outages))
    _keep(settings.folder, recoveries)
    impossible = sum(map(flow.won_without_a_quorum, outages))
    verdict = judge(history)
    return Report(verdict, recoveries, len(flow), impossible, decrees, disagreement, left_out)


def _left_out(nodes: Nodes) -> Iterator[str]:
    if library() is None:
        yield "no libfaketime on this machine: clocks do not jump"
    if not nodes.volumes:
        yield "no volume can be mounted here: full disks are quotas on the size of files"


@asynccontextmanager
async def _served(nodes: Nodes, seed: int) -> AsyncIterator[World]:
    """Doors, and nodes that vote."""
    network = Network(random.Random(seed))
    async with trio.open_nursery() as nursery:
        for node in nodes.nodes:
            door = Door(node, nodes.door(node), nodes.behind(node), network)
            await nursery.start(door.serve)
            nodes.start(node)
        world = World(nodes, network, nursery)
        await ending.heal(world)
        yield world
        nursery.cancel_scope.cancel()


async def _trouble(
    world: World, settings: Settings, say: Callable[[str], None]
) -> tuple[list[Outage], str]:
    """Carry out the faults under load; returns their outages, and a complaint if one failed."""
    with _load(world, settings):
        await trio.sleep(WARM_S)
        until = time.monotonic() + settings.seconds
        outages: list[Outage] = []
        try:
            for planned in settings.schedule(world.nodes.nodes, bool(world.nodes.clocks)):
                outages.append(await _carry_out(world, planned, say))
                if time.monotonic() > until:
                    break
        except AssertionError as error:
            return outages, str(error)
    return outages, ""


async def _carry_out(world: World, planned: Planned, say: Callable[[str], None]) -> Outage:
    fault = planned.fault
    began = time.monotonic()
    try:
        await fault.begin(world)
        in_force = time.monotonic()
        await trio.sleep(planned.lasts_s)
        lifted = time.monotonic()
    finally:
        with trio.CancelScope(shield=True):
            await fault.end(world)
    ended = time.monotonic()
    await ending.heal(world)
    whole = time.monotonic()
    await trio.sleep(planned.calm_s)
    say(str(planned))
    times = (began, in_force, lifted, ended, whole, time.monotonic())
    return Outage(fault.name, fault.where, fault.quorum, *times)


@contextmanager
def _load(world: World, settings: Settings) -> Iterator[None]:
    """Clients in processes of their own, while the block runs."""
    loads = [_start_load(world, settings, number) for number in range(LOADS)]
    try:
        yield
    finally:
        for process in loads:
            assert process.stdin is not None
            process.stdin.close()
        codes = [_end_load(process) for process in loads]
    assert codes == [0] * LOADS, f"the clients' processes ended with {codes}"


def _start_load(world: World, settings: Settings, number: int) -> subprocess.Popen[bytes]:
    options = {
        "--endpoints": world.nodes.endpoints,
        "--clients": settings.clients // LOADS,
        "--rate": settings.rate / LOADS,
        "--seed": f"{settings.seed}-{number}",
        "--history": settings.folder / f"history-{number}.jsonl",
    }
    command = [sys.executable, "-m", "tests.chaos.load"]
    command += [str(word) for option in options.items() for word in option]
    with (settings.folder / f"load-{number}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, cwd=ROOT)


def _end_load(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _history(folder: Path) -> Iterator[Operation]:
    """The operations of all processes, in one file."""
    parts = [folder / f"history-{number}.jsonl" for number in range(LOADS)]
    whole = folder / "history.jsonl"
    with whole.open("wb") as file:
        for part in parts:
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, file)
            part.unlink()
    try:
        yield from load(whole)
    except HistoryError as error:
        raise AssertionError(f"{whole}: {error}") from error


async def _checked(
    world: World, history: list[Operation], complaint: str
) -> tuple[int | None, str]:
    if complaint:
        return None, complaint
    try:
        await ending.level(world)
        return await ending.check(world, history), ""
    except (AssertionError, errors.DecreedError) as error:
        return None, f"{type(error).__name__}: {error}"


def _keep(folder: Path, recoveries: Iterable[Recovery]) -> None:
    documents = [asdict(each) for each in recoveries]
    text = json.dumps(documents, indent=1, default=lambda quorum: quorum.value)
    (folder / "recovery.json").write_text(text + "\n", encoding="utf-8")
