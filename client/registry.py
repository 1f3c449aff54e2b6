"""The keys of a cluster as callers see them: claims, reads, lists and watches.

Every method is short: it checks, asks, and says what came. `cluster.Registry` is this and the locks.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from ..registry.errors import BadRequest, DecreedError, OutcomeUnknown, StillUndecided
from ..registry.keys import parse_key, parse_prefix, parse_series, series_and_slot, slot_key
from ..registry.types import Claim, Decree
from ..registry.wire.requests import StatusReport
from .asker import Asker
from .claims import Claimable, make_claim
from .listing import Listing
from .results import Claimed, NodeDown

if TYPE_CHECKING:
    from .watching import Watching

# `list` is a method below
Settled = list[Claimed | DecreedError]
Reports = list[StatusReport | NodeDown]


class Keys:
    """The keys of a cluster; `Registry` has all of this.

    Any number of tasks may use it at once. Every call has a timeout in seconds, which covers
    connecting and trying other nodes; None means the one given to `connect`. A cancelled call
    leaves the registry usable; whether a cancelled claim is chosen is unknown.

    Any call may raise these, besides what it names:
        Closed: the registry was closed, or belongs to the process that this one was forked from.
        BadRequest: a key or another argument is malformed.
        Unreachable: no node answered in time, and nothing was or will be chosen by this call.
        Disputed, Damaged: the stored data are not trustworthy.

    Args:
        asker: asks the cluster.
        claimant: the name that claims carry when they name none.
    """

    def __init__(self, asker: Asker, claimant: str) -> None:
        self._asker = asker
        self._claimant = claimant

    async def claim(
        self,
        key: str,
        value: Claimable,
        *,
        content_type: str | None = None,
        note: str = "",
        claim_id: bytes | str | None = None,
        claimant: str | None = None,
        timeout: float | None = None,
    ) -> Claimed:
        """Freeze `key` to `value`, unless it is frozen already.

        Args:
            key: the key.
            value: bytes, text, or `Json`.
            content_type: how to read the bytes; by default what fits the type of `value`.
            note: free text, kept in the decree.
            claim_id: 1 to 64 bytes, or text, that name this wish; random by default. Repeating a
                claim with the same id, value, claimant and note is safe.
            claimant: who asks; by default as given to `connect`.
            timeout: seconds.

        Returns:
            What the key is frozen to, and whether this claim won. Losing is no error.

        Raises:
            ClaimIdReused: the key is frozen by this claim id, but with other content.
            SeriesGap: the slot before this one is undecided.
            OutcomeUnknown: time ran out, and the claim may be chosen: ask again with the claim id
                that the message names.
        """
        deadline = self._asker.deadline(timeout)
        claim = self._make(key, value, content_type, note, claim_id, claimant)
        held = self._asker.held(claim)
        if held is not None:
            return held
        [result] = await self._asker.claim_all([claim], deadline)
        if isinstance(result, DecreedError):
            raise result
        return result

    async def claim_many(
        self,
        items: Mapping[str, Claimable] | Iterable[tuple[str, Claimable]],
        *,
        content_type: str | None = None,
        note: str = "",
        claimant: str | None = None,
        timeout: float | None = None,
    ) -> Settled:
        """Claim many keys at once; each is settled by itself.

        Args:
            items: keys and values.
            content_type, note, claimant: as for `claim`, for all of them.
            timeout: seconds for all together.

        Returns:
            For each item, in order, how its claim ended: `Claimed`, or the error that `claim` would
            have raised.
        """
        deadline = self._asker.deadline(timeout)
        results: dict[int, Claimed | DecreedError] = {}
        claims: dict[int, Claim] = {}
        for place, (key, value) in enumerate(_pairs(items)):
            try:
                claims[place] = self._make(key, value, content_type, note, None, claimant)
            except BadRequest as error:
                results[place] = error
        settled = await self._asker.claim_all([*claims.values()], deadline)
        results.update(zip(claims, settled, strict=True))
        return [results[place] for place in sorted(results)]

    async def claim_next(
        self,
        series: str,
        value: Claimable,
        *,
        content_type: str | None = None,
        note: str = "",
        claim_id: bytes | str | None = None,
        claimant: str | None = None,
        first_slot: int | None = None,
        timeout: float | None = None,
    ) -> Claimed:
        """Freeze the next free slot of `series` to `value`.

        Args:
            series: the series; its slots are the keys ``series@1``, ``series@2``, …
            value, content_type, note, claim_id, claimant: as for `claim`.
            first_slot: the slot from which this was first tried. Repeating a claim takes the same
                `claim_id` and the same `first_slot`; by default it is the slot after the latest.
            timeout: seconds.

        Returns:
            The slot that was won, as `Claimed.slot`.

        Raises:
            ClaimIdReused, OutcomeUnknown: as for `claim`.
        """
        deadline = self._asker.deadline(timeout)
        first_key = slot_key(parse_series(series), 1 if first_slot is None else first_slot)
        claim = self._make(first_key, value, content_type, note, claim_id, claimant)
        if first_slot is None:
            latest = await self._asker.latest(series, deadline)
            claim = replace(claim, key=parse_key(slot_key(series, _slot_after(latest))))
        return await self._asker.claim_next(claim, deadline)

    async def once(
        self,
        key: str,
        *,
        note: str = "",
        claim_id: bytes | str | None = None,
        timeout: float | None = None,
    ) -> Claimed:
        """Find out whether this caller is the one, of all there ever are, to do something.

        ``if (await registry.once("jobs/migrate-12")).won: …`` runs its block at most once, ever. It
        does not promise that the block is run to its end: if the winner dies in the middle of it,
        nobody runs it again, unless with the winner's own `claim_id`. Nor does it tell anybody when
        it is done; let the winner claim another key for that.

        Args:
            key: names what is to be done once.
            note: free text, kept in the decree.
            claim_id: what names this caller; one that dies and comes back with the same id, on the
                same machine, finds that it has won. Random by default.
            timeout: seconds; an unknown outcome is asked for again until then.

        Returns:
            Whether it was won, and the decree that says by whom.

        Raises:
            OutcomeUnknown: it may be won. Only a call with the same `claim_id` can find out.
        """
        deadline = self._asker.deadline(timeout)
        claim = self._make(key, self._claimant, None, note, claim_id, None)
        while True:
            [result] = await self._asker.claim_all([claim], deadline)
            if isinstance(result, Claimed):
                return result
            if not isinstance(result, OutcomeUnknown) or self._asker.pool.now() >= deadline:
                raise result

    async def get(self, key: str, *, timeout: float | None = None) -> Decree | None:
        """The decree of `key`; None when a quorum said that it is undecided.

        A decree that was read before is answered from the cache, even when the cluster is down. One
        that is in memory is answered at once, and that is no checkpoint: no other task runs, and a
        cancellation is not looked at. A loop of nothing but such reads must make its own.
        """
        decree = self._asker.at_hand(key, timeout)
        if decree is not None:
            return decree
        deadline = self._asker.deadline(timeout)
        return await self._asker.get(parse_key(key), deadline)

    async def get_many(
        self, keys: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, Decree | None]:
        """Read many keys at once, each as `get` does; raises the first error met."""
        deadline = self._asker.deadline(timeout)
        checked = [parse_key(key) for key in keys]
        found = await self._asker.get_all(checked, deadline)
        return {str(key): decree for key, decree in found.items()}

    async def wait(self, key: str, *, timeout: float | None = 60.0) -> Decree:
        """Wait until `key` is decided.

        Args:
            key: the key.
            timeout: seconds; None to wait for ever, also while no node can be reached.

        Raises:
            StillUndecided: time ran out, and nobody has frozen the key yet.
        """
        deadline = self._asker.deadline(inf if timeout is None else timeout)
        decree = await self._asker.wait(parse_key(key), deadline)
        if decree is None:
            raise StillUndecided(f"{key!r} is still undecided")
        return decree

    def list(
        self, prefix: str = "", *, after: str = "", timeout: float | None = None
    ) -> AsyncIterator[Decree]:
        """All decrees under `prefix`, in key order, asked for page by page.

        It contains every decree whose claim was answered before the list began. It is not a
        snapshot of one instant: decrees made meanwhile may or may not be in it.

        Args:
            prefix: whole path segments; empty for all keys.
            after: only the keys behind this text, in key order; empty for all.
            timeout: seconds for each page.
        """
        self._asker.guard()
        return Listing(self._asker, parse_prefix(prefix), timeout, after)

    def watch(self, prefix: str = "", *, since: str | None = None) -> "Watching":
        """The decrees under `prefix` as they are learned, for ever, also across failures of nodes.

        Each comes at least once: after a change of node some may come again, and some from before
        the watch began; so may some when a `since` is older than a crash of its node.

        Args:
            prefix: whole path segments; empty for all keys.
            since: a `Watched.position`, to go on behind it. None begins at the first step of the
                iteration, or when `Watching.begin` is awaited.
        """
        from .watching import Watching, parse_position

        self._asker.guard()
        position = None if since is None else parse_position(since)
        return Watching(self._asker, parse_prefix(prefix), position)

    async def latest(self, series: str, *, timeout: float | None = None) -> Decree | None:
        """The last decided slot of `series`; None when no slot is decided."""
        deadline = self._asker.deadline(timeout)
        return await self._asker.latest(parse_series(series), deadline)

    async def status(self, *, timeout: float | None = None) -> Reports:
        """What each member says of itself, or why it says nothing: one entry for each member."""
        return await self._asker.status(self._asker.deadline(timeout))

    def cached(self, key: str) -> Decree | None:
        """The decree of `key` if it is in memory. Asks nobody, waits for nothing."""
        decree = self._asker.at_hand(key, None)
        if decree is None:
            self._asker.guard()
        return decree

    def _make(
        self,
        key: str,
        value: Claimable,
        content_type: str | None,
        note: str,
        claim_id: bytes | str | None,
        claimant: str | None,
    ) -> Claim:
        claim = make_claim(
            parse_key(key),
            value,
            self._claimant if claimant is None else claimant,
            content_type=content_type,
            note=note,
            claim_id=claim_id,
        )
        self._asker.check_size(claim)
        return claim


def _slot_after(latest: Decree | None) -> int:
    slot = series_and_slot(latest.key)[1] if latest else 0
    return (slot or 0) + 1


def _pairs(
    items: Mapping[str, Claimable] | Iterable[tuple[str, Claimable]],
) -> Iterable[tuple[str, Claimable]]:
    if isinstance(items, Mapping):
        return cast("Mapping[str, Claimable]", items).items()
    return items
