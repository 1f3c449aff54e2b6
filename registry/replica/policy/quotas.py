"""Quotas: how much each identity has frozen below the prefixes that the policy names.

What counts is what this node has learned: every key and slot below the prefix whose decree records the
identity, and the bytes of its value. All whom nothing vouches for count together, since their decrees
record no name. Terms of locks do not count: nobody can have a quota on what begins with ``$``, and they
are forgotten again.

Nothing of this is on the disk. A prefix is counted when a policy names it, and at each start: the node
reads what it has below the prefix, a thousand keys at a time with pauses, and adds what it learns
meanwhile. With quotas on prefixes of a million keys that goes on for about ten seconds.

Invariants kept here:

* a key is counted once. What was learned at or before the place that was read is added when it is
  learned; what is behind that place is read later; and what is learned while a page is read is added
  when the page has come, if the page reaches so far and has not shown it;
* a count is never too high, so no claim is refused that the quota allows. Until all is read it may be
  too low; and what is under way, or is not learned here yet, is not counted. So a quota may be passed
  by that much, and by no more.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from msgspec import Struct

from ...identity import ANONYMOUS, Identity
from ...keys import RESERVED, prefixes, sort_key
from ...paxos.instance import Instance
from ...policy.document import ANYONE, Quota
from ...policy.names import parse_identity
from ...types import Claim, Decree, Key
from ...wire.status import MAX_QUOTAS, QuotaUse
from ..step.disk_reads import ScanDone
from ..step.effects import ReadScan
from ..step.events import ResendRead
from ..step.node import Node
from ..step.step_builder import StepBuilder
from ..step.tokens import ReadDone

PAGE_KEYS = 1_024
"""Each page costs a turn and a thread some of their time, so a page of a few keys is slow."""
PAGE_BYTES = 1 << 20
MIN_PAUSE_MS = 1.0
"""Between two pages. The pause is as long as the last page took, so that counting takes half of an idle
node's time, and less of a busy one's, where pages take longer."""
DAMAGED_PAUSE_MS = 60_000
"""Before what could not be read is read again; a scrub may have mended it."""


class Used(Struct, eq=False):
    """What one identity has frozen below one prefix."""

    keys: int = 0
    bytes: int = 0


class PrefixCount(Struct, eq=False):
    """The count of one prefix.

    Attributes:
        prefix: the prefix.
        used: by identity, as decrees record it.
        reached: the place that was read, in the order of keys; what is behind it is not counted yet.
        complete: whether all was read.
        is_read: whether a page is being read, and shows what is behind `reached`.
        meanwhile: what was learned behind `reached` since that page was asked for.
    """

    prefix: str
    used: dict[str, Used] = {}
    after: str = ""
    reached: bytes = b""
    complete: bool = False
    is_read: bool = False
    meanwhile: list[Decree] = []

    def learned(self, decree: Decree) -> None:
        """Count a decree that is learned, unless it will be read."""
        if self.complete or sort_key(decree.key) <= self.reached:
            self.add(decree)
        elif self.is_read:
            self.meanwhile.append(decree)

    def add(self, decree: Decree) -> None:
        """Count a decree."""
        used = self.used.get(decree.identity)
        if used is None:
            used = self.used[decree.identity] = Used()
        used.keys += 1
        used.bytes += len(decree.value)

    def read(self, found: Iterable[tuple[Key, Instance]], *, complete: bool) -> None:
        """Count what a page shows, and what was learned meanwhile as far as the page reaches."""
        shown: set[Key] = set()
        for key, instance in found:
            self.after = key
            if instance.learned is not None:
                shown.add(key)
                self.add(instance.learned)
        self.reached, self.complete, self.is_read = sort_key(self.after), complete, False
        learned, self.meanwhile = self.meanwhile, []
        for decree in learned:
            if decree.key not in shown:
                self.learned(decree)


class Quotas:
    """The quotas of the policy that is obeyed.

    Args:
        node: who we are.

    Attributes:
        named: those that the policy names, by prefix and by identity. While there are none, nothing
            needs to be asked here.
        counts: the counts, by prefix. While there are none, nothing needs to be counted.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.named: dict[str, dict[str, Quota]] = {}
        self.counts: dict[str, PrefixCount] = {}
        self._to_read: deque[str] = deque()
        self._reads: str | None = None
        self._pausing: int | None = None
        self._asked_ms = 0.0
        self._policy = 0

    def obey(self, step: StepBuilder, quotas: Sequence[Quota], policy: int) -> None:
        """Obey the quotas of a policy from now on; what it names first is counted from now on."""
        self._policy = policy
        self.named.clear()  # the coordinator looks at it
        for quota in quotas:
            self.named.setdefault(quota.on, {})[quota.of] = quota
        kept = {on: count for on, count in self.counts.items() if on in self.named}
        fresh = [on for on in self.named if on not in kept]
        self.counts = kept | {on: PrefixCount(on) for on in fresh}
        self._to_read.extend(fresh)
        self._read_on(step)

    def on_new(self, decrees: Sequence[Decree]) -> None:
        """Count decrees that this node learns now, each for the first time."""
        for decree in decrees:
            if decree.key[0] != RESERVED:
                for prefix in prefixes(decree.key):
                    count = self.counts.get(prefix)
                    if count is not None:
                        count.learned(decree)

    def over(self, identity: Identity, claim: Claim) -> str:
        """Why a claim that is new would be over a quota; empty if it would not.

        Of the quotas on one prefix that of the identity counts, or else that of anyone; quotas on
        several prefixes count all.
        """
        for prefix in prefixes(claim.key):
            quota = self._quota(prefix, identity)
            if quota is not None:
                used = self.counts[prefix].used.get(identity.recorded) or Used()
                why = _exceeded(quota, used, len(claim.value))
                if why:
                    return self._refusal(identity, prefix, why)
        return ""

    def _quota(self, prefix: str, identity: Identity) -> Quota | None:
        named = self.named.get(prefix, {})
        return named.get(str(identity)) or named.get(ANYONE)

    def _refusal(self, identity: Identity, prefix: str, why: str) -> str:
        who = "all anonymous callers together" if identity == ANONYMOUS else str(identity)
        where = f"below {prefix!r}" if prefix else "in all"
        return (
            f"{who} {where}: {why} (policy {self._policy}). What is frozen stays: use what is there,"
            " freeze elsewhere, or have an administrator apply a policy with a larger quota"
        )

    # -- counting

    def _read_on(self, step: StepBuilder) -> None:
        """Read the next page, unless one is being read."""
        if self._reads is not None or self._pausing is not None:
            return
        while self._to_read and self._is_over(self._to_read[0]):
            self._to_read.popleft()
        if self._to_read:
            count = self.counts[self._to_read[0]]
            self._reads, count.is_read = count.prefix, True
            self._asked_ms = step.now_ms
            token = self._node.tokens.read(self)
            step.read(ReadScan(token, count.prefix, count.after, PAGE_KEYS, PAGE_BYTES))

    def _is_over(self, prefix: str) -> bool:
        """Whether a prefix is counted, or no quota needs it any more."""
        count = self.counts.get(prefix)
        return count is None or count.complete

    def on_read(self, step: StepBuilder, done: ReadDone) -> None:
        """Count what a page shows, and read on after a pause."""
        assert isinstance(done, ScanDone), "nothing else was asked for"
        count = self._take()
        if count is not None:
            count.read(done.page.instances, complete=done.page.complete)
        self._pause(step, max(MIN_PAUSE_MS, step.now_ms - self._asked_ms))

    def on_read_failed(self, step: StepBuilder, token: int, message: str) -> None:
        """Read the others first, and this prefix again later; until then its count is too low."""
        count = self._take()
        if count is not None:
            count.is_read = False
            count.meanwhile.clear()
            self._to_read.rotate(-1)
        self._pause(step, DAMAGED_PAUSE_MS)

    def _take(self) -> PrefixCount | None:
        """The count for which a page was read; None if no quota needs it any more."""
        prefix, self._reads = self._reads, None
        count = self.counts.get(prefix) if prefix is not None else None
        # a policy may have dropped the prefix meanwhile, and another one may have named it again
        return count if count is not None and count.is_read else None

    def _pause(self, step: StepBuilder, pause_ms: float) -> None:
        if self._to_read:
            self._pausing = self._node.tokens.ask(self)
            step.ask_again(self._pausing, pause_ms)

    def on_resend(self, step: StepBuilder, timer: ResendRead) -> None:
        """The pause is over."""
        if timer.token == self._pausing:
            self._node.tokens.close(timer.token)
            self._pausing = None
            self._read_on(step)

    # -- what is told

    def uses(self, identity: Identity | None) -> tuple[QuotaUse, ...]:
        """What is used of the quotas, the fullest first.

        Args:
            identity: of whom; None for everybody.
        """
        found = [
            _use(quota, who, count)
            for prefix, count in sorted(self.counts.items())
            for who in self._whose(prefix, count, identity)
            if (quota := self._quota(prefix, who)) is not None
        ]
        return tuple(sorted(found, key=_fullness, reverse=True)[:MAX_QUOTAS])

    def _whose(self, prefix: str, count: PrefixCount, identity: Identity | None) -> list[Identity]:
        if identity is not None:
            return [identity]
        named = [parse_identity(name) for name in self.named[prefix] if name != ANYONE]
        return list(dict.fromkeys([*named, *filter(None, map(_recorded, count.used))]))


def _recorded(text: str) -> Identity | None:
    """The identity in a decree; None of a text that is none, which no node of this version records."""
    with suppress(ValueError):
        return Identity.of_recorded(text)
    return None


def _exceeded(quota: Quota, used: Used, size: int) -> str:
    """Which part of a quota a further value of this size would exceed, in words; empty if none."""
    if quota.keys is not None and used.keys >= quota.keys:
        return f"{used.keys} keys are frozen, and the quota is {quota.keys}"
    if quota.bytes is not None and used.bytes + size > quota.bytes:
        return (
            f"values of {used.bytes} bytes are frozen, this one has {size}, and the quota is"
            f" {quota.bytes}"
        )
    return ""


def _use(quota: Quota, identity: Identity, count: PrefixCount) -> QuotaUse:
    used = count.used.get(identity.recorded) or Used()
    numbers = (used.keys, quota.keys, used.bytes, quota.bytes)
    return QuotaUse(quota.on, str(identity), *numbers, not count.complete)


def _fullness(use: QuotaUse) -> float:
    parts = ((use.keys, use.max_keys), (use.bytes, use.max_bytes))
    return max(used / max(most, 1) for used, most in parts if most is not None)
