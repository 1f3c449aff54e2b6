"""Which answers a request may get, given what was chosen by then."""

from decreed.registry.errors import (
    ERRORS,
    Damaged,
    DecreedError,
    NotFormed,
    NotMember,
    OutcomeUnknown,
    SeriesGap,
    StorageFailed,
    Unreachable,
)
from decreed.registry.keys import matches, series_and_slot, slot_before, sort_key
from decreed.registry.types import Decree, Key, NodeId, outcome
from decreed.registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    Undecided,
    WaitRequest,
)

from .invariants import CheckedWorld
from .wanted import Asked, Wish

ALLOWED: set[type[DecreedError]] = {Unreachable, OutcomeUnknown, StorageFailed}


class Examiner:
    """Checks answers against what the witness knows.

    Args:
        world: the witness.
    """

    def __init__(self, world: CheckedWorld) -> None:
        self._world = world
        self._saw = world.event_counts.saw

    def check(self, node: NodeId, asked: Asked, answer: Answer) -> None:
        """Fail if `node` must not give this answer."""
        match asked.request, answer:
            case ((ClaimRequest() | ClaimNextRequest()), Decreed(_, decree)):
                self._check_claim(asked, decree)
            case GetRequest() | WaitRequest(), Decreed(_, decree):
                assert decree.key == asked.request.key
            case LatestRequest(), Decreed(_, decree):
                series, slot = series_and_slot(decree.key)
                assert series == asked.request.series and slot is not None
                assert slot >= self._last_slot(series, asked), f"{slot} is not the latest"
            case ((GetRequest() | WaitRequest()), Undecided()):
                self._saw("an undecided key was read")
                known = self._is_known(asked, asked.request.key)
                assert not known, "undecided, but it was chosen"
            case LatestRequest(), Undecided():
                assert not self._last_slot(asked.request.series, asked)
            case ListRequest(), ListPage():
                self._check_list(asked, asked.request, answer)
            case _, Failed():
                self._check_failure(node, asked, answer)
            case _:
                raise AssertionError(f"{answer} is no answer to {asked.request}")
        if isinstance(answer, Decreed):
            self._world.agree(answer.decree)

    def _check_claim(self, asked: Asked, decree: Decree) -> None:
        assert isinstance(asked.request, ClaimRequest | ClaimNextRequest)
        claim = asked.request.claim
        if isinstance(asked.request, ClaimNextRequest):
            assert decree.claim_id == claim.claim_id
            if decree.key != claim.key:
                self._saw("a claim took a later slot")
        else:
            assert decree.key == claim.key
            self._saw(f"a claim was {'won' if outcome(claim, decree).value == 'won' else 'lost'}")

    def _is_known(self, asked: Asked, key: Key) -> bool:
        """Whether `key` was decided before the request was made."""
        return self._world.place.get(key, asked.known) < asked.known

    def _last_slot(self, series: str, asked: Asked) -> int:
        return self._world.last_slot(series, asked.known)

    def _check_list(self, asked: Asked, request: ListRequest, page: ListPage) -> None:
        keys = [decree.key for decree in page.decrees]
        after = sort_key(request.after)
        end = sort_key(page.next_after) if page.next_after is not None else None
        assert keys == sorted(set(keys), key=sort_key)
        assert len(keys) <= request.limit
        for decree in page.decrees:
            self._world.agree(decree)
            assert matches(request.prefix, decree.key)
            assert sort_key(decree.key) > after
        for key in set(self._world.order[: asked.known]).difference(keys):
            if matches(request.prefix, key) and sort_key(key) > after:
                due = end is None or sort_key(key) <= end
                assert not due, f"{key} was chosen before the list, and is not in it"

    def _check_failure(self, node: NodeId, asked: Asked, answer: Failed) -> None:
        error = ERRORS[answer.code]
        allowed = ALLOWED | ({NotFormed} if node in self._world.rolled_back_disks else set())
        allowed |= self._world.may_answer
        if error is Damaged:
            assert self._world.corrupted, "every record is sound"
            self._saw("a node said that its record is damaged")
            allowed = {*allowed, Damaged}
        if asked.wish is None:
            assert error in allowed, answer
            self._saw("a read was unreachable")
            return
        assert error in allowed | {SeriesGap}, answer
        self._count(error)
        if error is SeriesGap:
            before = slot_before(asked.wish.claim.key)
            assert before is not None and not self._is_known(asked, before), "there is no gap"
        if error.definite:
            self._refuse(asked.wish, answer)
        assert not (asked.wish.over and asked.wish.claim.claim_id in self._world.proposed)

    def _refuse(self, wish: Wish, answer: Failed) -> None:
        wish.refusals += 1
        if wish.tries == 1:
            proposed = wish.claim.claim_id in self._world.proposed
            assert not proposed, f"{answer} was answered, but the claim was proposed"

    def _count(self, error: type[DecreedError]) -> None:
        words = {
            Unreachable: "a claim was unreachable",
            NotFormed: "a claim was unreachable",
            NotMember: "a claim was unreachable",
            OutcomeUnknown: "an outcome was unknown",
            SeriesGap: "a slot was refused for a gap",
            StorageFailed: "a node refused for its disk",
            Damaged: "a claim was unreachable",
        }
        self._saw(words[error])
