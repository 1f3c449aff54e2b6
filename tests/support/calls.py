"""The way of one claim through the core: the files, functions and rooms that it visits at its home.

There are three nodes in memory, a new key, and a claim of it that is sent to its home. All that the
home's `Replica.needs` and `Replica.step` call is counted until the claim is answered. The disk, the
network and the test's own code do not count. Comprehensions count as part of their function. The
numbers are the same on every machine and in every run. `python -m tests.support.calls` prints them,
and with `--trace` every call in order.
"""

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from decreed.registry.keys import homes
from decreed.registry.replica.replica import Replica
from decreed.registry.types import Key, NodeId
from decreed.registry.wire.requests import ClaimRequest, Decreed

from .governed import GovernedWorld
from .rooms import room_of
from .world import World, claim

HOME = NodeId("n1")
QUIET_MS = 3_000
REGISTRY = Path(sys.modules[Replica.__module__].__file__ or "").resolve().parent.parent
_CORE = (Replica.needs.__code__, Replica.step.__code__)
_numbers = itertools.count()


@dataclass(frozen=True)
class Call:
    """One call of a function of the core.

    Args:
        file: the function's file, below ``registry``.
        function: its name, with its class.
    """

    file: str
    function: str

    def __str__(self) -> str:
        return f"{room_of(self.file):10} {self.file:28} {self.function}"


@dataclass(frozen=True)
class Way:
    """All calls of one claim, in order."""

    calls: tuple[Call, ...]

    @property
    def files(self) -> set[str]:
        """The files that it visits."""
        return {call.file for call in self.calls}

    @property
    def functions(self) -> set[Call]:
        """The functions that it visits."""
        return set(self.calls)

    @property
    def changes_of_room(self) -> int:
        """How often a call is in another room than the previous call."""
        rooms = [room_of(call.file) for call in self.calls]
        return sum(one != other for one, other in itertools.pairwise(rooms))

    def __str__(self) -> str:
        counted = f"{len(self.calls)} calls of {len(self.functions)} functions"
        return f"{counted} in {len(self.files)} files, {self.changes_of_room} changes of room"


class Recorder:
    """Notes the calls of the core while it is the profiler."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._inside = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call; the profiler calls this at each call and return."""
        code = frame.f_code
        if code in _CORE and event in ("call", "return"):
            self._inside = event == "call"
        path = Path(code.co_filename).resolve()
        if event == "call" and self._inside and path.is_relative_to(REGISTRY):
            name = code.co_qualname
            if not name.endswith("comp>") and not name.endswith("<genexpr>"):
                self.calls.append(Call(path.relative_to(REGISTRY).as_posix(), name))

    @contextmanager
    def recording(self) -> Generator[None]:
        """Record the calls inside the block."""
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(before)


class RecordedWorld(World):
    """A cluster whose home records its calls until a claim is answered."""

    recorder: Recorder | None = None

    def _step(self, node: NodeId) -> None:
        if self.recorder is None or node != HOME or any(self.answers.values()):
            super()._step(node)
        else:
            with self.recorder.recording():
                super()._step(node)


class GovernedRecordedWorld(RecordedWorld, GovernedWorld):
    """The same of a cluster that obeys policies; at first there is none."""


def way_of_a_claim(world: RecordedWorld | None = None) -> Way:
    """The calls of one claim of a new key at its home, until it is answered."""
    world = world or RecordedWorld()
    world.freeze(HOME, _new_key(world))
    world.run(QUIET_MS)
    world.answers.clear()
    recorder = world.recorder = Recorder()
    mark = world.send(HOME, ClaimRequest(world.new_id(), 5_000, False, claim(_new_key(world))))
    world.settle()
    assert isinstance(world.answers[mark][0], Decreed)
    return Way(tuple(recorder.calls))


def _new_key(world: World) -> str:
    """A key of the home that is in no cache."""
    keys = (Key(f"way/{number}") for number in _numbers)
    return next(key for key in keys if homes(key, world.config.nodes)[0] == HOME)


def main() -> None:
    """Print the way of a claim."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.calls", description=__doc__)
    parser.add_argument("--trace", action="store_true", help="print every call")
    way = way_of_a_claim()
    if parser.parse_args().trace:
        print(*way.calls, sep="\n")
    visits = Counter(call.file for call in way.functions)
    for file in sorted(visits, key=lambda file: (room_of(file), file)):
        print(f"{room_of(file):10} {file:28} {visits[file]:3} functions")
    print(way)


if __name__ == "__main__":
    main()
