"""The keys of a cluster as callers see them: claims, reads, lists and watches.

Every method is short: it checks, asks, and returns the answer. `cluster.Registry` adds the locks.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..registry.errors import BadRequest, DecreedError, OutcomeUnknown, StillUndecided
from ..registry.keys import parse_key, series_and_slot, slot_key
from ..registry.types import Claim, Decree
from ..registry.wire.status import StatusReport
from .requests import arguments
from .requests.arguments import Seconds
from .requests.claims import Claimable, checked_words, make_claim
from .requests.listing import Listing
from .requests.results import Claimed, NodeDown
from .requests.sender import RequestSender
from .runtime.copying import NotCopied
from .transport.wakeup import Wakeup

if TYPE_CHECKING:
    from .requests.watching import Watching

# defined here since `list` is a method below
Settled = list[Claimed | DecreedError]
Reports = list[StatusReport | NodeDown]
ONCE_PAUSE_SECONDS = 0.1


class Keys(NotCopied):
    """The keys of a cluster. `Registry` has all of this, and says what holds for every call.

    Args:
        sender: asks the cluster.
        claimant: the name that claims carry when they name none.
    """

    def __init__(self, sender: RequestSender, claimant: str) -> None:
        self._sender = sender
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
        timeout: Seconds | None = None,
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
            timeout: seconds for connecting, trying other nodes and the claim together.

        Returns:
            What the key is frozen to, and whether this claim won. Losing is no error.

        Raises:
            ClaimIdReused: the key is frozen by this claim id, but with other content.
            SeriesGap: the slot before this one is undecided.
            OutcomeUnknown: time ran out, and the claim may be chosen: ask again with the claim id
                that the message names.
        """
        deadline = self._sender.deadline(timeout)
        claim = self._make(key, value, content_type, note, claim_id, claimant)
        held = self._sender.held(claim)
        if held is not None:
            return held
        [result] = await self._sender.claim_all([claim], deadline)
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
        timeout: Seconds | None = None,
    ) -> Settled:
        """Claim many keys at once; each is settled by itself.

        Args:
            items: keys and values.
            content_type, note, claimant: as for `claim`, for all of them.
            timeout: seconds for all together.

        Returns:
            How each claim ended, in the order of the items; `Claimed`, or the error that `claim`
            would have raised.

        Raises:
            BadRequest: if `items` are no such collection, or what is for all of them is wrong.
        """
        deadline = self._sender.deadline(timeout)
        checked_words(content_type, self._claimant if claimant is None else claimant, note)
        results: dict[int, Claimed | DecreedError] = {}
        claims: dict[int, Claim] = {}
        for place, (key, value) in enumerate(arguments.pairs(items)):
            try:
                claims[place] = self._make(key, value, content_type, note, None, claimant)
            except BadRequest as error:
                results[place] = error
        settled = await self._sender.claim_all([*claims.values()], deadline)
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
        timeout: Seconds | None = None,
    ) -> Claimed:
        """Freeze the next free slot of `series` to `value`.

        Args:
            series: the series; its slots are the keys ``series@1``, ``series@2``, …
            value, content_type, note, claim_id, claimant: as for `claim`.
            first_slot: the slot from which this was first tried. Repeating a claim takes the same
                `claim_id` and the same `first_slot`; by default it is the slot after the latest, or
                where this client first tried, if that is how a call with this id ended in doubt.
            timeout: seconds.

        Returns:
            The slot that was won, as `Claimed.slot`.

        Raises:
            ClaimIdReused, OutcomeUnknown: as for `claim`.
        """
        deadline = self._sender.deadline(timeout)
        series = arguments.series(series)
        tried = 1 if first_slot is None else arguments.slot("first_slot", first_slot)
        first_key = slot_key(series, tried)
        claim = self._make(first_key, value, content_type, note, claim_id, claimant)
        if first_slot is None:
            first = self._sender.first_slot(series, claim.claim_id)
            if first is None:
                latest = await self._sender.latest(series, deadline)
                first = parse_key(slot_key(series, _slot_after(latest)))
            claim = replace(claim, key=first)
        return await self._sender.claim_next(claim, deadline)

    async def once(
        self,
        key: str,
        *,
        note: str = "",
        claim_id: bytes | str | None = None,
        timeout: Seconds | None = None,
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
        deadline = self._sender.deadline(timeout)
        claim = self._make(key, self._claimant, None, note, claim_id, None)
        pool = self._sender.pool
        while True:
            [result] = await self._sender.claim_all([claim], deadline)
            if isinstance(result, Claimed):
                return result
            left = deadline - pool.now()
            if not isinstance(result, OutcomeUnknown) or left <= 0:
                raise result
            await pool.runtime.listen(Wakeup(), pool.now() + min(left, ONCE_PAUSE_SECONDS))

    async def get(self, key: str, *, timeout: Seconds | None = None) -> Decree | None:
        """The decree of `key`; None when a quorum said that it is undecided.

        A decree that was read before is answered from the cache, even when the cluster is down. One
        that is in memory is answered at once, and that is no checkpoint: no other task runs, and a
        cancellation is not looked at. A loop of nothing but such reads must make its own.

        Args:
            key: the key.
            timeout: seconds; None for the time given to `connect`.

        Returns:
            The decree, or None when nobody has frozen the key yet.

        Raises:
            Unreachable: no quorum answered in time. That the key is undecided is never answered
                without a quorum.
        """
        seconds = arguments.seconds_or_none("timeout", timeout)
        decree = self._sender.at_hand(key)
        if decree is not None:
            return decree
        deadline = self._sender.deadline(seconds)
        return await self._sender.get(arguments.key(key), deadline)

    async def get_many(
        self, keys: Iterable[str], *, timeout: Seconds | None = None
    ) -> dict[str, Decree | None]:
        """Read many keys at once, each as `get` does.

        Args:
            keys: the keys.
            timeout: seconds for all together; None for the time given to `connect`.

        Returns:
            The decree of each key, or None for a key that is undecided.

        Raises:
            DecreedError: as `get` does; the first error met.
        """
        deadline = self._sender.deadline(timeout)
        found = await self._sender.get_all(arguments.keys(keys), deadline)
        return {str(key): decree for key, decree in found.items()}

    async def wait(self, key: str, *, timeout: Seconds | None = 60.0) -> Decree:
        """Wait until `key` is decided.

        Args:
            key: the key.
            timeout: seconds; None to wait forever, also while no node can be reached.

        Returns:
            The decree, as soon as there is one.

        Raises:
            StillUndecided: time ran out, and nobody has frozen the key yet.
        """
        deadline = self._sender.deadline(inf if timeout is None else timeout)
        decree = await self._sender.wait(arguments.key(key), deadline)
        if decree is None:
            raise StillUndecided(f"{key!r} is still undecided")
        return decree

    def list(
        self, prefix: str = "", *, after: str = "", timeout: Seconds | None = None
    ) -> AsyncIterator[Decree]:
        """All decrees under `prefix`, in key order, asked for page by page.

        It contains every decree whose claim was answered before the list began. It is not a
        snapshot of one instant: decrees made meanwhile may or may not be in it. Where the cluster
        obeys a policy, what the caller may not read is left out.

        Args:
            prefix: whole path segments; empty for all keys.
            after: only the keys after this text, in key order; empty for all.
            timeout: seconds for each page; None for the time given to `connect`.

        Returns:
            An asynchronous iterator. It asks for a page when the one before is used up, and raises
            what a read raises.
        """
        self._sender.check_open()
        seconds = arguments.seconds_or_none("timeout", timeout)
        return Listing(
            self._sender, arguments.prefix(prefix), seconds, arguments.text("after", after)
        )

    def watch(self, prefix: str = "", *, since: str | None = None) -> "Watching":
        """The decrees under `prefix` as they are learned; never ends, also across failures of nodes.

        Each comes at least once: after a change of node some may come again, and some from before
        the watch began; so may some when a `since` is older than a crash of its node. Where the cluster
        obeys a policy, what the caller may not read is left out.

        Args:
            prefix: whole path segments; empty for all keys.
            since: a `Watched.position`, to continue after it. With None the watch begins at the first
                step of the iteration, or when `Watching.begin` is awaited.

        Returns:
            An asynchronous iterator of `Watched`. While no node answers it waits.

        Raises:
            BadRequest: `since` is no position of a watch, or the prefix is malformed.
        """
        from .requests.watching import Watching, parse_position

        self._sender.check_open()
        position = None if since is None else parse_position(since)
        return Watching(self._sender, arguments.prefix(prefix), position)

    async def latest(self, series: str, *, timeout: Seconds | None = None) -> Decree | None:
        """The last decided slot of a series.

        Args:
            series: the series, without a slot.
            timeout: seconds; None for the time given to `connect`.

        Returns:
            The decree of the slot, or None when no slot is decided.
        """
        deadline = self._sender.deadline(timeout)
        return await self._sender.latest(arguments.series(series), deadline)

    async def status(self, *, timeout: Seconds | None = None) -> Reports:
        """What each member says of itself.

        Args:
            timeout: seconds; None for the time given to `connect`.

        Returns:
            One entry for each member: its report, or a `NodeDown` that says why there is none.
        """
        return await self._sender.status(self._sender.deadline(timeout))

    async def max_value_bytes(self, *, timeout: Seconds | None = None) -> int:
        """The size of the largest value that may be claimed, as the connected node is set.

        Args:
            timeout: seconds; None for the time given to `connect`.

        Returns:
            A number of bytes.
        """
        return await self._sender.max_value_bytes(self._sender.deadline(timeout))

    def cached(self, key: str) -> Decree | None:
        """The decree of `key` if it is in memory. Asks nobody, waits for nothing.

        Args:
            key: the key.

        Returns:
            The decree, or None if it is not in memory; the key may still be frozen.
        """
        decree = self._sender.at_hand(key)
        if decree is None:
            self._sender.check_open()
            arguments.key(key)
        return decree

    def _make(
        self,
        key: object,
        value: object,
        content_type: str | None,
        note: str,
        claim_id: bytes | str | None,
        claimant: str | None,
    ) -> Claim:
        claim = make_claim(
            arguments.key(key),
            value,
            self._claimant if claimant is None else claimant,
            content_type=content_type,
            note=note,
            claim_id=claim_id,
        )
        self._sender.check_size(claim)
        return claim


def _slot_after(latest: Decree | None) -> int:
    slot = series_and_slot(latest.key)[1] if latest else 0
    return (slot or 0) + 1
