"""What a node can do in a state, and what that sends and breaks; computed once for each cell.

Three reductions give the same result with fewer states. None of them depends on the meaning of a
message; each considers only the observed effects of a step:

* a *silent* step changes only volatile state and sends nothing (counting a promise, say). It can
  wait until the node does something else, since what arrived stays in the network. So a move is any
  number of silent steps and then one that is not silent.
* of two moves that send the same, one is dropped if silent steps lead from the other to it.
* an *echo* changes nothing and sends promises, refusals, commits or questions for a class promise.
  Sending it prevents no other step, and more such messages hide no violation, so it is sent as soon
  as possible.

A crash is possible between sending *at once* and the sync. Then what left at once has left. The
records, all that waits for them and everything volatile are lost. Earlier records without a sync
may be lost or not.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from decreed.registry.paxos.messages import (
    AcceptedMany,
    Commit,
    Nack,
    PaxosMessage,
    PrepareClass,
    Promise,
    PromiseClass,
)
from decreed.registry.replica.step.events import Event, FromPeer
from decreed.registry.types import NodeId

from .cells import Cells
from .network import Lanes, numbers
from .node import ASK, RETRY, Local, Nodes, Reaction, Sent
from .properties import judge_step
from .scenarios import Scenario

Grows = tuple[tuple[int, int], ...]
"""The places of other nodes, with the bits added to their lanes."""

OPEN, RESENT, RETRIED, ASKED = -1, -2, -3, -4
_TIMED = {RETRIED: RETRY, ASKED: ASK}
_HARMLESS = Promise | PromiseClass | Nack | Commit | PrepareClass
"""Events without a message. An event with a message is coded as its number and the sender's place."""


class Move(NamedTuple):
    """One thing that a node can do.

    Attributes:
        cell: the node's cell afterwards.
        grows: what it adds to the lanes of other nodes.
        crashes: 1 if the node crashes in it.
        mark: the properties that it breaks or shows.
        steps: its steps.
    """

    cell: int
    grows: Grows
    crashes: int
    mark: int
    steps: tuple["Effect", ...]


class Effect(NamedTuple):
    """The effect of an event on a node in one state, whatever its lane holds.

    Attributes:
        name, before, event: the node, its state before, and the event.
        reaction: what the node does.
        local, lane, grows: the same as numbers: its new state, and what it sends.
        silent: whether it changes only volatile state and sends nothing.
        idle: whether it does nothing at all.
        marks: for each set of answers that the node has given so far, the mark of the step.
    """

    name: NodeId
    before: Local
    event: Event
    reaction: Reaction
    local: int
    lane: int
    grows: Grows
    silent: bool
    idle: bool
    marks: dict[int, int]


class Moves:
    """The moves of all nodes of a scenario."""

    def __init__(
        self, scenario: Scenario, lanes: Lanes, cells: Cells, reduced: bool = True
    ) -> None:
        self._reduced = reduced
        self._names = scenario.names
        self._places = {name: place for place, name in enumerate(self._names)}
        self._ballots = scenario.ballots
        self._gives_up = scenario.gives_up
        self._home_promise = scenario.identity
        self._fragile = (
            range(scenario.nodes if not scenario.spared else 1) if scenario.crashes else ()
        )
        ballots = dict(zip(scenario.proposers, scenario.ballots, strict=True))
        self._nodes = Nodes(
            scenario.config,
            scenario.claims_by_proposer(),
            ballots,
            scenario.loses,
            scenario.batches,
        )
        self._lanes = lanes
        self._cells = cells
        self._effects: list[dict[tuple[int, int], Effect]] = [{} for _ in self._names]
        self._idle: list[dict[int, list[int]]] = [{} for _ in self._names]
        self._radix = len(self._names) + 1
        self._seen: list[dict[int, list[int]]] = [{} for _ in self._names]
        self._awake: list[dict[int, tuple[int, ...]]] = [{} for _ in self._names]
        self._all_awake = (-1,) * len(self._names)
        self._timed_by: list[dict[int, tuple[int, ...]]] = [{} for _ in self._names]

    def of(self, place: int, cell: int, answers: Sequence[int]) -> list[Move]:
        """The moves of a node, given the answers to it in the lane of each node."""
        local, lane = self._cells.held[cell]
        self._look(place, local, (lane & self._lanes.inbound, *answers))
        moves: dict[tuple[int, Grows, int, int], Move] = {}
        for ready, steps in self._silently(place, local, lane, answers).items():
            for effect in self._effects_on(place, ready, lane, answers):
                if not (self._reduced and (effect.silent or self._is_echo(effect, ready, lane))):
                    for move in self._caused(place, cell, effect, steps):
                        moves.setdefault(move[:4], move)
        kept = self._without_detours(place, list(moves.values()), answers)
        if place in self._fragile and self._has_something_to_lose(local):
            for left in self._cells.locals[local].crashed():
                kept.append(Move(self._cells.number(left, lane), (), 1, 0, ()))
        return kept

    def awake(self, place: int, cell: int) -> tuple[int, ...]:
        """For each node, the answers that have an effect here, in any state that silent steps reach."""
        return self._awake[place].get(self._cells.held[cell][0], self._all_awake)

    def _look(self, place: int, local: int, bits: Sequence[int]) -> None:
        """Find which of the messages met so far have no effect on a node in this state."""
        seen = self._seen[place].setdefault(local, [0] * self._radix)
        if all(new & ~old == 0 for new, old in zip(bits, seen, strict=False)):
            return
        seen[: len(bits)] = [new | old for new, old in zip(bits, seen, strict=False)]
        idle = list(seen)
        for at in self._silently(place, local, seen[0], seen[1:]):
            self._effects_on(place, at, seen[0], seen[1:])
            idle = [one & other for one, other in zip(idle, self._idle[place][at], strict=True)]
        self._awake[place][local] = tuple(~bits for bits in idle[1:])

    def echoes(self, place: int, cell: int) -> tuple[int, Grows]:
        """The answers of a node to its lane that leave its state unchanged; its own lane first."""
        local, lane = self._cells.held[cell]
        bits = dict.fromkeys(range(len(self._names)), 0)
        for effect in self._effects_on(place, local, lane, ()) if self._reduced else ():
            if self._is_echo(effect, local, lane):
                bits[place] |= effect.lane
                for other, more in effect.grows:
                    bits[other] |= more
        own = bits.pop(place)
        return own, tuple((other, more) for other, more in bits.items() if more)

    def _is_echo(self, effect: Effect, local: int, lane: int) -> bool:
        """Whether a step changes nothing, and sends only messages that hide no violation."""
        if effect.local != local:
            return False
        sent = (*effect.reaction.at_once, *effect.reaction.after)
        harmless = all(_is_harmless(message) for _, message in sent)
        return harmless and not self._mark(effect, lane)

    # -- events

    def _event(self, place: int, local: Local, event: int) -> Event:
        """The event with this number."""
        if event == OPEN:
            name = self._names[place]
            return self._nodes.opening(name, self._nodes.next_claim(name, local))
        if event == RESENT and local.volatile is not None:
            return local.volatile.resend()
        if event < 0:
            return _TIMED[event]
        number, sender = divmod(event, self._radix)
        post = self._lanes.posts[number]
        return FromPeer(self._names[sender - 1] if sender else post.peer, post.message)

    def _timed(self, place: int, local: int) -> tuple[int, ...]:
        """The events of a proposer that need no message."""
        events = self._timed_by[place].get(local)
        if events is None:
            events = self._timed_by[place][local] = self._timed_events(place, local)
        return events

    def _timed_events(self, place: int, local: int) -> tuple[int, ...]:
        held = self._cells.locals[local]
        if place >= len(self._ballots) or held.instance.learned is not None:
            return ()
        may_begin = len(held.begun) < self._ballots[place]
        if not may_begin:
            state = held.volatile.state if held.volatile is not None else None
            return (RESENT,) if state is not None and not state.ballot.is_of_home else ()
        asks = self._home_promise and not place and len(held.told) < len(self._names)
        found = [ASKED] if asks else []
        if held.volatile is None or self._gives_up:
            found.append(OPEN)
        if held.volatile is not None:
            found.append(RETRIED if held.volatile.state is None else RESENT)
        return tuple(found)

    def _has_something_to_lose(self, local: int) -> bool:
        held = self._cells.locals[local]
        return held.volatile is not None or bool(held.begun) or held.synced is not None

    # -- effects

    def _effects_on(
        self, place: int, local: int, lane: int, answers: Sequence[int]
    ) -> list[Effect]:
        """The effects of all events of a node that have one.

        These are events without a message, the messages in its own lane, and answers in any lane.
        """
        effects = self._effects[place]
        found = [
            effects.get((local, e)) or self._effect(place, local, e, 0)
            for e in self._timed(place, local)
        ]
        idle = self._idle[place].setdefault(local, [0] * self._radix)
        for sender, bits in enumerate((lane & self._lanes.inbound, *answers)):
            for number in numbers(bits & ~idle[sender]):
                event = number * self._radix + sender
                found.append(
                    effects.get((local, event)) or self._effect(place, local, event, number)
                )
        return [effect for effect in found if not effect.idle]

    def _effect(self, place: int, local: int, event: int, number: int) -> Effect:
        """Compute an effect, and remember which messages have none."""
        effect = self._effects[place][local, event] = self._work_out(place, local, event)
        if effect.idle and event >= 0:
            self._idle[place][local][event % self._radix] |= 1 << number
        return effect

    def _work_out(self, place: int, local: int, number: int) -> Effect:
        name, before = self._names[place], self._cells.locals[local]
        event = self._event(place, before, number)
        if number == OPEN:
            before = replace(before, volatile=None)
        reaction = self._nodes.react(name, before, event)
        lane, grows = self._sent(name, (*reaction.at_once, *reaction.after))
        after = reaction.local
        silent = not (lane or grows or reaction.alarmed)
        silent &= after.begun == before.begun
        silent &= (after.disk, after.synced) == (before.disk, before.synced)
        result = self._cells.local_number(after)
        idle = silent and result == local
        return Effect(name, before, event, reaction, result, lane, grows, silent, idle, {})

    def _cuts(self, effect: Effect) -> Iterator[Effect]:
        """The same with a crash before the sync: only the messages that left at once remain."""
        reaction = effect.reaction
        lane, grows = self._sent(effect.name, reaction.at_once)
        for left in replace(effect.before, begun=reaction.local.begun).crashed():
            cut = replace(reaction, local=left, after=())
            number = self._cells.local_number(left)
            yield effect._replace(reaction=cut, local=number, lane=lane, grows=grows, marks={})

    def _sent(self, name: NodeId, sent: Sent) -> tuple[int, Grows]:
        """The bits that go into the node's own lane, and those for the lanes of others."""
        bits = dict.fromkeys(self._names, 0)
        for to, message in sent:
            lane, bit = self._lanes.place(name, to, message)
            bits[lane] |= bit
        own = bits.pop(name)
        return own, tuple((self._places[other], more) for other, more in bits.items() if more)

    def _mark(self, effect: Effect, lane: int) -> int:
        """The mark of a step, given all that the node has answered before."""
        said = lane & ~self._lanes.inbound
        mark = effect.marks.get(said)
        if mark is None:
            mark = judge_step(effect.before, self._lanes.read(said), effect.reaction)
            effect.marks[said] = mark
        return mark

    # -- moves

    def _silently(
        self, place: int, local: int, lane: int, answers: Sequence[int]
    ) -> dict[int, tuple[Effect, ...]]:
        """The states that silent steps reach, with the steps."""
        reached: dict[int, tuple[Effect, ...]] = {local: ()}
        waiting = [local] if self._reduced else []
        for at in waiting:
            for effect in self._effects_on(place, at, lane, answers):
                if effect.silent and effect.local not in reached:
                    reached[effect.local] = (*reached[at], effect)
                    waiting.append(effect.local)
        return reached

    def _caused(
        self, place: int, cell: int, effect: Effect, steps: tuple[Effect, ...]
    ) -> Iterator[Move]:
        """The step that an event causes, complete or cut short by a crash."""
        yield self._move(cell, effect, 0, steps)
        reaction = effect.reaction
        crashes = self._places[effect.name] in self._fragile
        if crashes and reaction.at_once and reaction.local != effect.before:
            for cut in self._cuts(effect):
                yield self._move(cell, cut, 1, steps)

    def _move(self, cell: int, effect: Effect, crashes: int, steps: tuple[Effect, ...]) -> Move:
        lane = self._cells.lane(cell)
        number = self._cells.numbered(effect.local, lane | effect.lane)
        return Move(number, effect.grows, crashes, self._mark(effect, lane), (*steps, effect))

    def _without_detours(self, place: int, moves: list[Move], answers: Sequence[int]) -> list[Move]:
        """Drop each move whose result silent steps reach from another move that sends the same."""
        alike: dict[tuple[int, Grows, int, int], dict[int, Move]] = {}
        for move in moves:
            local, lane = self._cells.held[move.cell]
            alike.setdefault((lane, *move[1:4]), {})[local] = move
        for (lane, *_), group in alike.items():
            for local in list(group) if len(group) > 1 else ():
                if local in group:
                    for reached in self._silently(place, local, lane, answers):
                        if reached != local:
                            group.pop(reached, None)
        return [move for group in alike.values() for move in group.values()]


def _is_harmless(message: PaxosMessage) -> bool:
    """Whether a message hides no violation. A refusal of a whole batch is no vote."""
    return isinstance(message, _HARMLESS) or (
        isinstance(message, AcceptedMany) and bool(message.refused)
    )
