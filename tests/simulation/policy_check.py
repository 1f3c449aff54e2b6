"""The judge of policies in a storm: who is told what, and what is proposed for whom.

It looks at the effects of each step before they leave, knows which policies the node had learned by
then from what it wrote, and reads the documents by rules of its own (`policy_rules`). What it checks:

* S18: data go to an identity with the right under a policy that the node obeyed in that step: the
  newest one that it had learned before, or one that it learned in it;
* S17: a value is first proposed for an identity that asked for it and has the right, by the same
  measure; a batch leaves at the end of a step, so there the newest policy alone counts;
* S14, S15: and only by a node that may count its policy as confirmed (`ConfirmationCheck`); neither
  does another node answer a read whose grant says that it is to be refused then;
* S13: nor does a node that joins under policies count as one without any, before it has learned one;
* S16: once a policy is said to be in force, no value is first proposed by a node that does not know it;
* S09: the identity in a decree is one that had asked for that claim;
* S11: a policy follows the one that its administrator named, and has what he wrote;
* a right is not denied to somebody who has it under all policies that may count.

A decree that is seen for the first time is a first proposal: it names the ballot that it left in.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from decreed.registry.disk import InstanceRecord
from decreed.registry.errors import (
    ERRORS,
    Damaged,
    Denied,
    Disputed,
    Forgotten,
    LockHeld,
    SeriesGap,
)
from decreed.registry.keys import series_and_slot
from decreed.registry.paxos.epochs import Epoch
from decreed.registry.paxos.messages import Accept, AcceptMany
from decreed.registry.replica.step.effects import Effects, Reply, Send
from decreed.registry.types import Ballot, Decree, Key, NodeId
from decreed.registry.wire.packed import PackedPage
from decreed.registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    HeldBy,
    HolderRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    PolicyApplied,
    PolicyRequest,
    Request,
    WaitRequest,
    WatchPage,
    WatchRequest,
)
from decreed.registry.wire.status import StatusReport

from ..support.unfolded import unfolded
from .confirmation_check import ConfirmationCheck
from .policy_rules import Need, Rules, need_of, to_look, to_propose, to_read

POLICY = "$policy"
_TELLING = (Damaged, Disputed, Forgotten, LockHeld, SeriesGap)
"""Errors that say something of what is stored."""
_READS = GetRequest | WaitRequest | LatestRequest | HolderRequest


@dataclass(frozen=True)
class Asked:
    """A request on its way.

    Attributes:
        who: the identity of its connection, as a decree records it.
        request: the request.
        newest: the newest policy that its node had learned when it came.
    """

    who: str
    request: Request
    newest: int


@dataclass(frozen=True)
class Step:
    """What a step of a node is judged by.

    Attributes:
        node: the node.
        numbers: the policies that it obeyed in the step, in order.
        epochs: the epochs that it knew in the step.
        now_ms: the true time.
        wall_ms: what its wall clock shows.
    """

    node: NodeId
    numbers: tuple[int, ...]
    epochs: tuple[Epoch, ...]
    now_ms: float
    wall_ms: int


class PolicyCheck:
    """All that was asked, learned and told.

    Args:
        max_age_ms: for how long a policy stays confirmed.
        seen: counts what happened.

    Attributes:
        confirmations: what the nodes have heard.
        newest: the newest policy that each node has learned.
        in_force: the newest one that was said to be in force.
        requested: the requests for policies, by claim id.
    """

    def __init__(self, max_age_ms: float, seen: Counter[str]) -> None:
        self.confirmations = ConfirmationCheck(max_age_ms)
        self.newest: dict[NodeId, int] = {}
        self.in_force = 0
        self.requested: dict[bytes, PolicyRequest] = {}
        self._seen = seen
        self._joined_under: dict[NodeId, int] = {}
        self._rules = {0: Rules(None)}
        self._asked: dict[tuple[NodeId, int], Asked] = {}
        self._claimants: dict[bytes, set[str]] = {}
        self._known: set[tuple[Key, Ballot]] = set()

    # -- what happens

    def joins(self, node: NodeId) -> None:
        """A node begins on an empty disk; if policies are in force by then, it may not obey none."""
        self._joined_under[node] = self.in_force

    def began(self, node: NodeId, learned: int) -> None:
        """An incarnation of a node begins, with this policy as the newest one on its disk."""
        self.newest[node] = learned
        self.confirmations.began(node)

    def comes(self, node: NodeId, who: str, request: Request) -> None:
        """A request comes to a node."""
        self._asked[node, request.id] = Asked(who, request, self.newest.get(node, 0))
        claim_id = _claim_id(request)
        if claim_id is not None:
            self._claimants.setdefault(claim_id, set()).add(who)
        if isinstance(request, PolicyRequest):
            self.requested[request.claim_id] = request

    def learns(self, node: NodeId, effects: Effects) -> tuple[int, ...]:
        """The policies that a node obeys in a step, with those that it learns in it."""
        numbers = [self.newest[node]]
        for decree in _decrees(effects, learned=True):
            path, number = series_and_slot(Key(decree.key))
            if path == POLICY and number is not None:
                self._rules.setdefault(number, Rules(decree.value))
                numbers += [number] if number > numbers[-1] else []
        self.newest[node] = numbers[-1]
        return tuple(numbers)

    # -- what is proposed

    def check(self, step: Step, effects: Effects) -> None:
        """Judge a step."""
        self.confirmations.sits(step.node, step.epochs, step.now_ms)
        for decree in _decrees(effects, learned=False):
            at = (Key(decree.key), decree.ballot)
            if at not in self._known:
                self._known.add(at)
                self._check_proposed(step, decree)
        for item in (*effects.at_once, *effects.after):
            asked = (
                self._asked.get((step.node, item.answer.id)) if isinstance(item, Reply) else None
            )
            if isinstance(item, Reply) and asked is not None:  # else a storm opened it by itself
                self._check_answer(step, asked, item.answer)

    def is_known(self, decree: Decree) -> bool:
        """Whether a decree was judged when it was first proposed."""
        return (Key(decree.key), decree.ballot) in self._known

    def _check_proposed(self, step: Step, decree: Decree) -> None:
        assert decree.ballot.process.node == step.node, f"{step.node} proposes for another node"
        need = to_propose(decree.key)
        if need is None:
            return
        who = decree.identity
        assert who in self._claimants[decree.claim_id], f"S09: {who!r} never asked for {decree.key}"
        numbers = step.numbers[-1:] if decree.ballot.is_of_home else step.numbers
        assert self._may(step, numbers, who, need), (
            f"S17: {decree.key} is proposed for {who!r}, without {need} under {numbers}"
        )
        assert step.numbers[-1] >= self.in_force, (
            f"S16: policy {self.in_force} is in force, and {step.node} obeys {step.numbers[-1]}"
        )
        assert self._is_confirmed(step), f"S14: {step.node} proposes unconfirmed"
        path, number = series_and_slot(Key(decree.key))
        if path == POLICY and number is not None:
            assert step.numbers[-1] + 1 >= number, (
                f"S11: {step.node} has not learned what it follows"
            )
        self._seen["a value was first proposed under a policy"] += bool(step.numbers[-1])

    def check_policy(self, decree: Decree) -> None:
        """S11: a policy has what its administrator wrote, and follows the one that he named."""
        request = self.requested[decree.claim_id]
        _, number = series_and_slot(Key(decree.key))
        assert number == request.base + 1, "S11: it follows another policy than was named"
        said = (decree.claimant, decree.note)
        assert said == (request.claimant, request.note)
        _same(json.loads(decree.value), json.loads(request.document))

    # -- what is told

    def _check_answer(self, step: Step, asked: Asked, answer: Answer) -> None:
        for need in _told(asked.request, answer):
            assert self._may(step, step.numbers, asked.who, need), (
                f"S18: {asked.who!r} is told {type(answer).__name__} of"
                f" {type(asked.request).__name__}, without {need} under {step.numbers}"
            )
        match answer:
            case Failed(_, Denied.code, _):
                self._check_denied(step, asked)
            case PolicyApplied():
                self._check_applied(asked, answer)
            case Decreed() | HeldBy() if isinstance(asked.request, _READS):
                self._check_cut_off(step, asked)
            case _:
                pass

    def _check_denied(self, step: Step, asked: Asked) -> None:
        """Nobody is denied what he had under every policy that may have counted since he asked."""
        request, who = asked.request, asked.who
        self._seen[f"denied: {type(request).__name__}"] += 1
        numbers = [number for number in self._rules if number >= asked.newest]
        needs = [need] if (need := need_of(request)) else []
        if isinstance(request, ClaimRequest):
            needs.append(to_read(request.claim.key))
        nameless = not who and isinstance(
            request, PolicyRequest
        )  # S37: before the first policy too
        unjust = needs and not nameless and not who.startswith("token/")
        if unjust and not isinstance(request, ListRequest | WatchRequest):
            has = [all(self._allows(step, n, who, need) for n in numbers) for need in needs]
            assert not all(has), f"{who!r} is denied {needs}, and has it under {numbers}"

    def _check_applied(self, asked: Asked, answer: PolicyApplied) -> None:
        assert isinstance(asked.request, PolicyRequest)
        assert answer.decree.claim_id == asked.request.claim_id, "another's policy was applied"
        self._seen["a policy was applied"] += 1
        if answer.in_force:
            self.in_force = max(self.in_force, asked.request.base + 1)
            self._seen["a policy is in force"] += 1
            self._seen["a policy is in force before all voters know it"] += bool(answer.missing)

    def _check_cut_off(self, step: Step, asked: Asked) -> None:
        """S15: a grant may say that a node answers no read while its policy is not confirmed."""
        need = need_of(asked.request)
        if need is None or self._is_confirmed(step):
            return
        self._seen["an unconfirmed node answered a read"] += 1
        rules = [self._rules[number] for number in step.numbers]
        assert not all(each.waits(asked.who, need, step.wall_ms) for each in rules), (
            f"S15: {step.node} answers {need} to {asked.who!r}, and is not confirmed"
        )

    def _is_confirmed(self, step: Step) -> bool:
        return self.confirmations.is_confirmed(step.node, step.now_ms)

    def _may(self, step: Step, numbers: Iterable[int], who: str, need: Need) -> bool:
        some = [number for number in numbers if number or not self._joined_under.get(step.node)]
        return any(self._allows(step, number, who, need) for number in some)

    def _allows(self, step: Step, number: int, who: str, need: Need) -> bool:
        return self._rules[number].allows(who, need, step.wall_ms)


def _told(request: Request, answer: Answer) -> list[Need]:
    """What it takes to be told this answer to that request."""
    need = need_of(request)
    first = [need] if need is not None else []
    match answer:
        case ListPage() | PackedPage() | WatchPage():
            assert isinstance(request, ListRequest | WatchRequest)
            return [to_look(request.prefix), *(to_read(decree.key) for decree in answer.decrees)]
        case Decreed(_, decree) if isinstance(request, ClaimRequest | ClaimNextRequest):
            lost = decree.claim_id != request.claim.claim_id
            return [*first, to_read(decree.key)] if lost else first
        case Decreed(_, decree) if not isinstance(request, PolicyRequest):
            return [to_read(decree.key)]
        case HeldBy() if isinstance(request, LockRequest):
            return [*first, ("read", request.lock)]
        case StatusReport():  # one that has learned nothing says what keeps it from that
            return first if answer.decrees and (answer.peers or answer.address) else []
        case Failed() if not issubclass(ERRORS[answer.code], _TELLING):
            return []
        case Failed() if isinstance(request, ListRequest | WatchRequest):
            return [to_look(request.prefix), *_named(answer.message)]
        case PolicyApplied():  # it is his own, and was decided when he had the right
            return []
        case _:
            return first


def _named(message: str) -> list[Need]:
    """What it takes to be told the keys, and the places between keys, that a message quotes."""
    return [to_read(quoted.rstrip("/")) for quoted in re.findall("'([^']*)'", message)]


def _claim_id(request: Request) -> bytes | None:
    match request:
        case ClaimRequest() | ClaimNextRequest() | LockRequest():
            return request.claim.claim_id
        case PolicyRequest():
            return request.claim_id
        case _:
            return None


def _decrees(effects: Effects, *, learned: bool) -> Iterable[Decree]:
    """The decrees that a step learned; or all that it writes and proposes."""
    for record in unfolded(effects.records):
        if isinstance(record, InstanceRecord):
            instance = record.instance
            if instance.learned is not None:
                yield instance.learned
            if instance.accepted is not None and not learned:
                yield instance.accepted.decree
    for item in effects.at_once if not learned else ():
        match item:  # what it accepted first in this step may be written over in the same one
            case Send(_, Accept(_, _, decree)):
                yield decree
            case Send(_, AcceptMany(_, _, decrees)):
                yield from decrees
            case _:
                pass


def _same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two documents give the same people the same roles, whatever the order in which they say it."""
    assert one["roles"].keys() == other["roles"].keys()
    roles = [{who: set(has) for who, has in each["members"].items()} for each in (one, other)]
    assert roles[0] == roles[1]
