"""How members change in a run: operators who propose changes, and the trouble that each mood adds.

* *changing*: a change every moment, in races of two, and back to the voters before;
* *full replacement*: no voter of one epoch is a voter of the next one, if there are nodes enough;
* *sleepers*: a voter is off while several epochs go by;
* *one source left*: one node alone can be reached while the others take over;
* *dead disk*: a disk dies, and an empty one under the same name takes its place;
* *flexible*: prepare and accept quorums of any sizes that meet;
* *restarts between seal and ready*: all nodes die as soon as one has sealed and is not ready;
* *damaged keys*: records become unreadable much more often;
* *lagging joiner*: nodes join late, and read what they have missed in very small pages.

Half of the changes are requests of operators, which the node judges first. The others are proposed at
any time: no rule of safety relies on that judgement.
"""

import random
from collections.abc import Callable

from decreed.registry.members import MembersChange, change_of, claim_of, members_key
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.replica.step.events import ChangeMembers, FromClient
from decreed.registry.replica.step.step_builder import StepBuilder
from decreed.registry.types import NodeId
from decreed.registry.wire.members import ChangePlan, ChangeRequest, Voter
from decreed.registry.wire.requests import Answer, ClaimRequest

from .changing_world import ChangingWorld
from .endings import members
from .fault_rates import FaultRates
from .network import between
from .plan import Plan

OFTEN = 0.15
"""How often a change is proposed, in a tick."""
TIMEOUT_MS = 3_000
ADDRESS = "127.0.0.1:7400"
OPERATOR = 1
ROUNDS = 80
"""How long the end of a run waits until all voters are ready."""
LATE_TICK = 60
"""From this tick on lagging joiners are up."""


class Operators:
    """Those who change the members in a run.

    Args:
        world: the cluster.
        plan: says how; its mood is one of `plan.MOODS`.
        fault_rates: the faults beside that.
    """

    def __init__(self, world: ChangingWorld, plan: Plan, fault_rates: FaultRates) -> None:
        self._world = world
        self._mood = plan.mood
        self._fault_rates = fault_rates
        self._asked: set[tuple[NodeId, int]] = set()
        self._proposed: dict[int, list[Epoch]] = {}
        self._sleeper: NodeId | None = None
        self._slept = 0
        self.asleep: set[NodeId] = fault_rates.asleep

    def act(self, chance: random.Random, tick: int) -> None:
        """Do something in this tick, or nothing."""
        self._start_joiners(tick)
        often = self._mood in ("changing", "sleepers")
        if chance.random() < (2 * OFTEN if often else OFTEN):
            self._change(chance)
        match self._mood:
            case "sleepers":
                self._sleep(chance)
            case "one source left" if chance.random() < 0.04:
                self._leave_one_source(chance)
            case "dead disk" if chance.random() < 0.15:
                self._kill_a_disk(chance)
            case "restarts between seal and ready" if chance.random() < 0.5:
                self._restart_between(chance)
            case _:
                pass

    def take(self, node: NodeId, answer: Answer) -> bool:
        """Take an answer; returns whether it was for an operator."""
        if (node, answer.id) not in self._asked:
            return False
        self._asked.remove((node, answer.id))
        if isinstance(answer, ChangePlan):
            self._world.event_counts.saw("a change was refused beforehand")
        return True

    def lose(self, node: NodeId) -> None:
        """A node has died: its requests get no answer."""
        self._asked = {mark for mark in self._asked if mark[0] != node}

    def wake(self) -> None:
        """Nobody sleeps any more, and all nodes have joined."""
        self._wake_up()
        self._start_joiners(LATE_TICK)

    def decide(self) -> bool:
        """Propose what is half done; returns whether anything is.

        Nobody finishes a half-done change by himself (M03), so it stays in doubt until somebody asks.
        """
        found = [epoch for epoch in map(self._half_done, self._world.up()) if epoch is not None]
        for epoch in found[:1]:
            for node in self._world.up():
                knows = self._world.replica(node).node.epoch.number == epoch.number - 1
                if knows and self._is_free(node) and self._is_ready(node, epoch.number - 1):
                    self._propose_at(node, epoch)
                    break
        return bool(found)

    def are_ready(self) -> bool:
        """Whether all voters of the last epoch vote in it."""
        number = self._world.epoch_check.last.number
        nodes = [self._world.replica(node).node for node in members(self._world)]
        return all(node.voting and node.seat.known == number for node in nodes)

    def settle(self, let_pass: Callable[[], None]) -> None:
        """Wait until all voters of the last epoch are ready, and nothing about members is half done."""
        self.wake()
        for _ in range(ROUNDS):
            let_pass()
            if not self.decide() and self.are_ready():
                return
        seats = {node: self._world.replica(node).node.seat for node in members(self._world)}
        raise AssertionError(f"the voters of the last epoch are not ready: {seats}")

    def _half_done(self, node: NodeId) -> Epoch | None:
        """The change after the epoch that a node knows, if it has accepted one."""
        key = members_key(self._world.replica(node).node.seat.known + 1)
        if self._world.machines[node].storage is None:
            return None
        held = self._world.held(node, key)
        if held.learned is not None or held.accepted is None:
            return None
        return change_of(held.accepted.decree).epoch

    # -- changes

    def _change(self, chance: random.Random) -> None:
        """Propose a change; sometimes two at once."""
        free = [node for node in self._world.up() if self._is_free(node)]
        if not free or (chance.random() < 0.5 and self.decide()):
            return
        for _ in range(2 if chance.random() < 0.3 else 1):
            node = chance.choice(free)
            if not self._is_free(node):  # it has died in the step of the proposal before
                return
            epoch = self._drawn(chance, node)
            if epoch is None or not self._can_go_on(epoch, self._world.dead):
                return
            if chance.random() < 0.5:
                self._ask(node, epoch)
            else:
                self._propose_at(node, epoch)

    def _is_free(self, node: NodeId) -> bool:
        """Whether a node can be asked now, outside the steps of its own loop."""
        machine = self._world.machines[node]
        awake = machine.replica is not None and machine.writing is None and not machine.paused
        return awake and machine.replica is not None and machine.replica.node.takes_part

    def _drawn(self, chance: random.Random, node: NodeId) -> Epoch | None:
        """The epoch after the one that a node knows."""
        world = self._world
        known = world.replica(node).node.epoch
        ready = [name for name in world.pool if name in world.disks]
        fresh = [name for name in ready if name not in known.nodes]
        size = chance.choice([size for size in (1, 3, 3, 3, 5) if size <= len(ready)])
        before = world.replica(node).node.before
        if self._mood == "changing" and before is not None and chance.random() < 0.3:
            names = [name for name in before.nodes if name in ready]
            size = len(names)
        elif self._mood == "full replacement" and fresh:
            names = chance.sample(fresh, min(len(fresh), size))
            size = len(names)
        else:
            names = chance.sample(ready, size)
        if size % 2 == 0:
            return None
        prepare, accept = self._sizes(chance, size)
        return world.epoch(known.number + 1, names, prepare, accept)

    def _sizes(self, chance: random.Random, size: int) -> tuple[int, int]:
        if self._mood != "flexible" and chance.random() < 0.8:
            return 0, 0
        prepare = chance.randint(1, size)
        return prepare, chance.randint(size - prepare + 1, size)

    def _can_go_on(self, epoch: Epoch, dead: set[bytes]) -> bool:
        """Whether an epoch could go on, and be sealed, without these disks."""
        alive = [disk for disk in self._world.disks_of(epoch).values() if disk not in dead]
        return len(alive) >= max(epoch.quorums.prepare, epoch.quorums.accept, epoch.seal)

    def _note(self, epoch: Epoch) -> None:
        self._proposed.setdefault(epoch.number, []).append(epoch)

    def _ask(self, node: NodeId, epoch: Epoch) -> None:
        """Ask a node for a change, as `decreed member` does."""
        world, number = self._world, self._world.new_id()
        self._note(epoch)
        voters = tuple(map(Voter, epoch.nodes, epoch.disks, (ADDRESS,) * len(epoch.nodes)))  # type: ignore[arg-type]
        sizes = (epoch.quorums.prepare, epoch.quorums.accept)
        claim_id = b"asked %d" % number
        base = epoch.number - 1
        request = ChangeRequest(
            number, TIMEOUT_MS, base, voters, *sizes, "operator", claim_id, "", True
        )
        before = world.replica(node).node.epoch
        change = MembersChange(epoch, before, (ADDRESS,) * len(epoch.nodes))
        world.changes[claim_id] = claim_of(change, "operator", claim_id)
        self._asked.add((node, number))
        world.post(node, FromClient(OPERATOR, (request,), world.speaker))

    def _propose_at(self, node: NodeId, epoch: Epoch) -> None:
        """Let a node propose a change without judging it."""
        world, number = self._world, self._world.new_id()
        self._note(epoch)
        before = world.replica(node).node.epoch
        claim_id = b"proposed %d" % number
        change = MembersChange(epoch, before, (ADDRESS,) * len(epoch.nodes))
        claim = world.changes[claim_id] = claim_of(change, "operator", claim_id)
        request = ClaimRequest(number, TIMEOUT_MS, True, claim)
        self._asked.add((node, number))
        moment = world.moment_of(node)
        step = StepBuilder(moment, moment.now_ms, {})
        world.replica(node).parts.requests.open(step, OPERATOR, request)
        step.again(ChangeMembers(OPERATOR, number, claim))
        world.event_counts.saw("a change was proposed that nobody had judged")
        world.carry_out(node, step.finish())

    # -- the trouble of a mood

    def _start_joiners(self, tick: int) -> None:
        """Start the joiners that have not started yet; in one mood that is late."""
        if self._mood != "lagging joiner" or tick >= LATE_TICK:
            for node in self._world.pool:
                if node not in self._world.disks:
                    self._fault_rates.rolled_back_disks.boot(node)

    def _sleep(self, chance: random.Random) -> None:
        """Let a voter sleep until the members have changed some times."""
        world, number = self._world, self._world.epoch_check.last.number
        if self._sleeper is None:
            if chance.random() < 0.5 and len(world.epoch_check.last.nodes) > 1:
                self._sleeper, self._slept = chance.choice(world.epoch_check.last.nodes), number
                self.asleep.add(self._sleeper)
                if self._sleeper in world.up():
                    world.crash(self._sleeper, silent=chance.random() < 0.5)
        elif number >= self._slept + 3:
            self._wake_up()

    def _wake_up(self) -> None:
        number = self._world.epoch_check.last.number
        if self._sleeper is not None and number > self._slept + 1:
            self._world.event_counts.saw("a voter slept through several changes")
        self.asleep.clear()
        self._sleeper = None

    def _leave_one_source(self, chance: random.Random) -> None:
        """Cut all links except those of one node that is ready."""
        world, number = self._world, self._world.epoch_check.last.number
        ready = [n for n in world.up() if world.replica(n).node.seat.ready == number]
        if number and ready:
            left = chance.choice(ready)
            others = [node for node in world.pool if node != left]
            pairs = [pair for pair in between(others, others) if pair[0] != pair[1]]
            world.network.cut(pairs, chance.random() < 0.5)
            world.event_counts.saw("one node alone could be reached")

    def _kill_a_disk(self, chance: random.Random) -> None:
        """A disk dies that the others can do without, and an empty one takes its place."""
        world, last = self._world, self._world.epoch_check.last
        victims = [node for node in last.nodes if self._may_die(node)]
        if victims:
            node = chance.choice(victims)
            world.replace_disk(node)
            world.event_counts.saw("a disk died")
            free = [other for other in last.nodes if other != node and self._is_free(other)]
            if free and world.replica(free[0]).node.epoch == last:
                sizes = (last.quorums.prepare, last.quorums.accept)
                epoch = world.epoch(last.number + 1, list(last.nodes), *sizes)
                if self._can_go_on(epoch, world.dead):
                    self._propose_at(free[0], epoch)

    def _may_die(self, node: NodeId) -> bool:
        """Whether nothing is lost with the disk of a voter, whichever change is chosen next."""
        world, last = self._world, self._world.epoch_check.last
        if node not in world.disks:
            return False
        dead = world.dead | {world.disks[node]}
        disks = world.disks_of(last)
        others = [n for n in last.nodes if n != node and disks[n] == world.disks.get(n)]
        ready = [n for n in others if self._is_ready(n, last.number)]
        enough = max(last.quorums.prepare, last.quorums.accept, last.seal)
        next_ones = self._proposed.get(last.number + 1, [])
        return (
            disks[node] == world.disks.get(node)
            and len(ready) >= enough
            and all(self._can_go_on(epoch, dead) for epoch in next_ones)
        )

    def _is_ready(self, node: NodeId, number: int) -> bool:
        machine = self._world.machines[node]
        if machine.replica is None or machine.writing is not None or machine.unsynced:
            return False
        return machine.replica.node.seat.ready == number

    def _restart_between(self, chance: random.Random) -> None:
        """All nodes die when one has sealed an epoch and is not ready for the next one."""
        world = self._world
        seats = [world.replica(node).node.seat for node in world.up()]
        if any(seat.known and seat.ready != seat.known for seat in seats):
            world.event_counts.saw("all nodes died between a seal and readiness")
            for node in world.up():
                world.crash(node, silent=chance.random() < 0.3)
            for node in world.pool:
                if node in world.disks and node not in self.asleep:
                    self._fault_rates.rolled_back_disks.boot(node)
