"""A cluster in which eve may read little, and what she and alice ask it."""

from collections.abc import Iterable, Sequence
from typing import Any

from decreed.registry.identity import Identity
from decreed.registry.locks.terms import TermClaim
from decreed.registry.types import Key
from decreed.registry.wire.packed import PackedPage
from decreed.registry.wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Failed,
    GetRequest,
    HolderRequest,
    LatestRequest,
    ListPage,
    ListRequest,
    LockRequest,
    Position,
    WaitRequest,
    WatchPage,
    WatchRequest,
)

from ...policy.samples import ALICE, changed
from ...support.changed import N1
from ...support.governed import GovernedWorld
from ...support.proven import wish
from ...support.world import claim

EVE = Identity("client", "eve")
ROLES: dict[str, Any] = {
    "ops": [
        {"on": "", "may": ["admin", "read", "claim", "lock", "break"]},
        {"on": "$locks", "may": ["read"]},
        {"on": "$status", "may": ["read"]},
    ],
    "eve": [
        {"on": "open", "may": ["read", "claim", "lock"]},
        {"on": "more/open", "may": ["read"]},
        {"on": "blind", "may": ["claim", "lock"]},
    ],
}


def document(*grants: dict[str, Any], refused: Iterable[str] = ()) -> dict[str, Any]:
    """A policy in which alice may do everything, and eve what she may, or these grants instead."""
    return changed(
        roles={**ROLES, "eve": list(grants) or ROLES["eve"]},
        members={"client/alice": ["ops"], "client/eve": ["eve"]},
        tokens={},
        refused=list(refused),
    )


class EveWorld(GovernedWorld):
    """A cluster with that policy.

    Args:
        grants: what eve may do, if it is something else.
        joiners: machines that join, and have no vote.
    """

    def __init__(self, *grants: dict[str, Any], joiners: Sequence[str] = ()) -> None:
        super().__init__(joiners)
        self._numbers = 1_000_000
        self.decide(N1, 1, document(*grants))

    def number(self) -> int:
        """A number for a request, which depends on the requests before alone."""
        self._numbers += 1
        return self._numbers

    def freezes(self, *keys: str, value: bytes = b"v") -> None:
        """Alice freezes these keys."""
        for key in keys:
            answer = self.ask_as(ALICE, N1, claims(self, key, value))
            assert isinstance(answer, Decreed), answer

    def eve(self, request: Any, node: str = N1) -> Answer:
        """Eve asks."""
        return self.ask_as(EVE, node, request)

    def all_pages(self, prefix: str = "", limit: int = 10, node: str = N1) -> list[ListPage]:
        """All pages that eve gets of a prefix."""
        pages: list[ListPage] = []
        after: str | None = ""
        while after is not None:
            page = self.eve(lists(self, prefix, after, limit), node)
            assert isinstance(page, ListPage), page
            pages.append(page)
            after = page.next_after
        return pages


def keys(*pages: ListPage | PackedPage | WatchPage) -> list[str]:
    """The keys on these pages."""
    return [decree.key for page in pages for decree in page.decrees]


def code(answer: Answer) -> int:
    """The code of a failure."""
    assert isinstance(answer, Failed), answer
    return answer.code


def claims(world: EveWorld, key: str, value: bytes = b"v", claim_id: bytes = b"") -> ClaimRequest:
    """A request to freeze a key."""
    number = world.number()
    return ClaimRequest(number, 5_000, False, claim(key, value, claim_id or b"c%d" % number))


def nexts(world: EveWorld, series: str, value: bytes = b"v") -> ClaimNextRequest:
    """A request to freeze the next slot of a series."""
    number = world.number()
    wanted = claim(f"{series}@1", value, b"n%d" % number)
    return ClaimNextRequest(number, 5_000, False, wanted)


def gets(world: EveWorld, key: str) -> GetRequest:
    """A request for a key."""
    return GetRequest(world.number(), 1_000, Key(key))


def waits(world: EveWorld, key: str, ms: int = 60_000) -> WaitRequest:
    """A request to wait for a key."""
    return WaitRequest(world.number(), ms, Key(key))


def latest(world: EveWorld, series: str) -> LatestRequest:
    """A request for the last slot of a series."""
    return LatestRequest(world.number(), 1_000, series)


def lists(
    world: EveWorld, prefix: str, after: str = "", limit: int = 10, *, whole: bool = False
) -> ListRequest:
    """A request for a page."""
    return ListRequest(world.number(), 5_000, prefix, after, limit, whole)


def watches(
    world: EveWorld, prefix: str, since: Position | None, ms: int = 60_000, limit: int = 10
) -> WatchRequest:
    """A request to watch a prefix."""
    return WatchRequest(world.number(), ms, prefix, since, limit)


def locks(world: EveWorld, lock: str, who: str, *, queue: bool = False) -> LockRequest:
    """A request for a lock."""
    return LockRequest(world.number(), 5_000, lock, queue, held_by(who))


def held_by(who: str) -> TermClaim:
    """The claim of a holder, who has the secret that belongs to it."""
    return wish(who, b"lock of " + who.encode(), 10_000)


def holder(world: EveWorld, lock: str) -> HolderRequest:
    """A request for the holder of a lock."""
    return HolderRequest(world.number(), 1_000, lock)
