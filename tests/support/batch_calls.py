"""How many calls a claim of a batch takes at its home and at a peer: the same on every machine.

`python -m tests.support.batch_calls --claims 256` sends frames of new keys to their home, in a cluster
of three nodes in memory. It counts every call that code of the registry or the storage makes, of Python
and of C functions, with the codec of messages. The network, the disk and the loop of a real node are
left out. `--each` prints which calls these are.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from decreed.registry.replica.replica import Replica
from decreed.registry.replica.step.events import FromClient
from decreed.registry.types import NodeId
from decreed.registry.wire.codec import decode
from decreed.registry.wire.decrees import encode_message
from decreed.registry.wire.peers import PeerMessage
from decreed.registry.wire.requests import Decreed

from .batches import N1, N2, asks, keys_of
from .world import World

ROOT = Path(sys.modules[Replica.__module__].__file__ or "").parents[2]
COUNTED = (str(ROOT / "registry"), str(ROOT / "storage"))
LEFT_OUT = str(ROOT / "storage" / "memory.py")
ROUNDS = 4


class CountedWorld(World):
    """Counts the calls of each node.

    Attributes:
        calls: of each node, by what is called.
    """

    def __init__(self) -> None:
        self.calls: dict[NodeId, Counter[str]] = {}
        super().__init__()

    def _step(self, node: NodeId) -> None:
        with self._counting(node):
            super()._step(node)

    def _transmit(self, node: NodeId, to: NodeId, message: PeerMessage) -> None:
        super()._transmit(node, to, message)
        with self._counting(node):
            encoded = encode_message(message)
        if to != node:
            with self._counting(to):
                decode(encoded, PeerMessage)  # type: ignore[arg-type]  # pyright: ignore

    @contextmanager
    def _counting(self, node: NodeId) -> Generator[None, None, None]:
        calls = self.calls.setdefault(node, Counter())

        def note(frame: FrameType, event: str, function: object) -> None:
            file = frame.f_code.co_filename
            if event in ("call", "c_call") and file.startswith(COUNTED) and file != LEFT_OUT:
                called = f"{file[len(str(ROOT)) + 1 :]} {frame.f_code.co_qualname}"
                name = getattr(function, "__qualname__", "")
                calls[called if event == "call" else f"{called} -> {name}"] += 1

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            yield
        finally:
            sys.setprofile(before)


def calls_of(claims: int, rounds: int = ROUNDS) -> dict[NodeId, dict[str, float]]:
    """The calls for each claim at the home and at one peer, for frames of so many claims."""
    world = CountedWorld()
    world.run(3_000)
    keys = keys_of(world, claims * (rounds + 1))
    for at in range(rounds + 1):
        requests = tuple(asks(world, key) for key in keys[at * claims : (at + 1) * claims])
        world.answers.update({(N1, request.id): [] for request in requests})
        if at == 1:
            world.calls.clear()
        world.post(N1, FromClient(1, requests))
        world.settle()
        world.run(10)
        answers = [world.answers[N1, request.id] for request in requests]
        assert all(isinstance(each[0], Decreed) for each in answers), "each claim is answered"
    return {
        node: {name: count / (claims * rounds) for name, count in world.calls[node].most_common()}
        for node in (N1, N2)
    }


def main() -> None:
    """Print the calls a claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=256, help="how many are in a frame")
    parser.add_argument("--each", type=float, help="print what is called at least so often a claim")
    options = parser.parse_args()
    for node, calls in calls_of(options.claims).items():
        role = "home" if node == N1 else "peer"
        print(f"{role}: {sum(calls.values()):.1f} calls a claim")
        for name, count in calls.items():
            if options.each and count >= options.each:
                print(f"  {count:6.2f}  {name}")


if __name__ == "__main__":
    main()
