"""`PolicyClient`: who may do what in the cluster, read and changed. For administrators.

Rules kept here:

* A policy is applied as compare-and-set on the number of the one before, with one claim id. If an
  answer is lost, or leaves the outcome open, the next node is asked with the same id.
* The node that has said that a policy is decided counts who has learned it, so it is asked again, until
  the policy is in force or that node is gone. The next node counts from the beginning.
* An error is definite only if no node may have proposed the policy.
"""

import secrets
from collections.abc import Callable
from math import inf
from typing import ClassVar

from msgspec import Struct

from ...registry.errors import BadRequest, DecreedError, Denied, OutcomeUnknown, Unreachable
from ...registry.keys import POLICY
from ...registry.policy.document import MAX_POLICY_BYTES, Policy
from ...registry.policy.encoding import encode
from ...registry.policy.parsing import parse
from ...registry.policy.series import claim_of, policy_key, policy_number, policy_of
from ...registry.types import Claim, Decree, NodeId
from ...registry.wire.requests import Decreed, PolicyApplied, PolicyRequest
from ..runtime.copying import NotCopied
from ..transport.link import Link
from ..transport.wakeup import Wakeup
from . import arguments
from .arguments import Seconds
from .claims import checked_words
from .operations import Operation
from .results import shown_id
from .sender import RequestSender

FIRST_SECONDS = 1.0
"""How long the first node may try, so that it is known soon that the policy is decided."""
TRY_SECONDS = 2.0
"""How long one node may try, or wait, until it is asked again; so often progress is told."""
PAUSE_SECONDS = 0.2


class PolicyVersion(Struct, frozen=True):
    """One policy of the cluster, which stays as it is.

    Args:
        number: its number; the first policy has 1.
        decree: with the document as its value, who applied it, when, and the note.
    """

    number: int
    decree: Decree

    @property
    def document(self) -> bytes:
        """The policy as JSON, in its canonical form."""
        return self.decree.value

    @property
    def policy(self) -> Policy:
        """The policy as a value.

        Raises:
            ProtocolError: if this version of decreed cannot read it.
        """
        return policy_of(self.decree)


class PolicyOutcome(Struct, frozen=True):
    """How applying a policy ended. That another one came first is a result, not an error.

    Args:
        number: of the policy that follows the base.
        decree: that policy.
        won: whether it is the one that was applied; else another one follows that base.
        in_force: whether nobody begins a claim or a lock under an older one any more. It is false if
            the time was up before, and for another's policy, since nobody has waited for it.
        missing: the voters that are not known to know it.
        claim_id: the id of the wish; applying the same again with it goes on waiting.
    """

    number: int
    decree: Decree
    won: bool
    in_force: bool
    missing: tuple[NodeId, ...]
    claim_id: bytes


Progress = Callable[[PolicyOutcome], object]


class PolicyWish(Struct, frozen=True):
    """A policy that somebody wants.

    Args:
        base: the number of the policy that he saw; 0: there was none.
        document: the policy in its canonical form.
        claimant: who wants it.
        claim_id: names this wish.
        note: free text, kept in the decree.
    """

    base: int
    document: bytes
    claimant: str
    claim_id: bytes
    note: str = ""

    @property
    def claim(self) -> Claim:
        """What names the wish where claims are told apart."""
        return claim_of(self.base, self.document, self.claimant, self.claim_id, self.note)


def to_apply(wish: PolicyWish, link: Link) -> Operation:
    """Have the node of `link` propose a policy, and wait until it is in force."""
    key = policy_key(wish.base + 1)
    words = (wish.base, wish.document, wish.claimant, wish.claim_id, wish.note)
    return Operation(
        lambda id, timeout_ms, here: PolicyRequest(id, timeout_ms, *words),
        (Decreed, PolicyApplied),
        fits=lambda decree: decree.key == key,
        claim=wish.claim,
        again=lambda: f"the claim id {shown_id(wish.claim_id)} and base={wish.base}",
        only=link,
        rounds=1,
        hedge=TRY_SECONDS,
        longest=TRY_SECONDS,
    )


class PolicyClient(NotCopied):
    """The policies of a cluster; `Registry.policy` of a client is one.

    All of it takes the right `admin`, once there is a policy.

    Args:
        sender: sends requests to the cluster.
        claimant: the name in policies that do not set one.
    """

    instead: ClassVar[str] = "it belongs to one client. Let the other process connect itself"

    def __init__(self, sender: RequestSender, claimant: str) -> None:
        self._sender = sender
        self._claimant = claimant

    async def latest(self, *, timeout: Seconds | None = None) -> PolicyVersion | None:
        """The newest policy that is decided; None while there is none.

        Args:
            timeout: seconds; None for the time given to `connect`.

        Raises:
            Denied: without the right `admin`.
        """
        deadline = self._sender.deadline(timeout)
        return _version(await self._sender.latest(POLICY, deadline))

    async def version(self, number: int, *, timeout: Seconds | None = None) -> PolicyVersion | None:
        """The policy of this number; None if it is not decided yet.

        Args:
            number: from 1 on.
            timeout: seconds; None for the time given to `connect`.

        Raises:
            Denied: without the right `admin`.
            BadRequest: if no policy can have this number.
        """
        deadline = self._sender.deadline(timeout)
        _check_number(number, least=1)
        return _version(await self._sender.get(policy_key(number), deadline))

    async def history(
        self, *, limit: int | None = None, timeout: Seconds | None = None
    ) -> list[PolicyVersion]:
        """All policies, the oldest first.

        Args:
            limit: at most so many, the newest ones; None for all.
            timeout: seconds for all together; None for the time given to `connect`.

        Raises:
            Denied: without the right `admin`.
        """
        deadline = self._sender.deadline(timeout)
        last = _version(await self._sender.latest(POLICY, deadline))
        if last is None or (limit is not None and limit < 1):
            return []
        first = 1 if limit is None else max(1, last.number - limit + 1)
        found = [await self._sender.get(policy_key(n), deadline) for n in range(first, last.number)]
        return [*(PolicyVersion(policy_number(d), d) for d in found if d is not None), last]

    async def apply(
        self,
        document: bytes | str | Policy,
        *,
        base: int,
        note: str = "",
        claim_id: bytes | str | None = None,
        claimant: str | None = None,
        timeout: Seconds | None = None,
        progress: Progress = lambda _: None,
    ) -> PolicyOutcome:
        """Have the policy `base` followed by this one, and wait until it is in force.

        It is in force when nobody begins a claim or a lock under an older one any more: at once if all
        voters have learned it, else after their ``policy.max_age_ms``.

        Args:
            document: the policy, as JSON or as a value. It is checked before anything is sent.
            base: the number of the policy that this one was written for; 0 if there was none.
            note: free text, kept in the decree.
            claim_id: 1 to 64 bytes, or text, that name this wish; random by default. Repeating it with
                the same content is safe, and goes on waiting.
            claimant: who applies it; by default as given to `connect`.
            timeout: seconds for all together; None for the time given to `connect`.
            progress: is called while it is decided and not in force yet, every few seconds.

        Returns:
            What follows the base, which may be another's policy, and whether it is in force.

        Raises:
            BadRequest: the document is wrong, leaves nobody with `admin`, or `base` is not the newest.
            Denied: without the right `admin`.
            OutcomeUnknown: it may be decided: ask again with the claim id that the message names.
            Unreachable: no quorum answered in time, and nothing was or will be decided by this.
        """
        deadline = self._sender.deadline(timeout)
        wish = self._wish(document, base, note, claim_id, claimant)
        return await self._settle(wish, progress, deadline)

    def _wish(
        self,
        document: bytes | str | Policy,
        base: int,
        note: str,
        claim_id: bytes | str | None,
        claimant: str | None,
    ) -> PolicyWish:
        _check_number(base, least=0)
        _, name, words = checked_words(None, self._claimant if claimant is None else claimant, note)
        id = secrets.token_bytes(16) if claim_id is None else arguments.claim_id(claim_id)
        return PolicyWish(base, canonical(document), name, id, words)

    async def _settle(self, wish: PolicyWish, progress: Progress, deadline: float) -> PolicyOutcome:
        await self._sender.meet(deadline)
        trying = _Trying(self._sender, wish, deadline)
        while True:
            for link in self._sender.pool.route(None):
                while (outcome := await trying.ask(link)) is not None:
                    if outcome.in_force or not outcome.won or trying.is_over:
                        return outcome
                    progress(outcome)
            if trying.is_over:
                return trying.end()
            await self._pause(deadline)

    async def _pause(self, deadline: float) -> None:
        pool = self._sender.pool
        await pool.runtime.listen(Wakeup(), min(deadline, pool.now() + PAUSE_SECONDS))


class _Trying:
    """One wish on its way from node to node.

    Args:
        sender: sends requests to the cluster.
        wish: what is wanted.
        deadline: of all tries.
    """

    def __init__(self, sender: RequestSender, wish: PolicyWish, deadline: float) -> None:
        self._sender, self._wish, self._deadline = sender, wish, deadline
        self._in_doubt, self._first = False, True
        self._decided: PolicyOutcome | None = None
        self._error: DecreedError = Unreachable("no member answers")

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._sender.pool.now() >= self._deadline

    async def ask(self, link: Link) -> PolicyOutcome | None:
        """Ask one node for a while; None if it says nothing that helps.

        Raises:
            DecreedError: that all nodes would say, while no node may have proposed the policy.
        """
        if self.is_over:
            return None
        seconds = FIRST_SECONDS if self._first else TRY_SECONDS
        self._first = False
        soon = min(self._deadline, self._sender.pool.now() + seconds)
        before, self._in_doubt = self._in_doubt, True
        try:
            reply = await self._sender.ask(to_apply(self._wish, link), soon)
        except DecreedError as error:
            self._in_doubt = before or not error.definite
            if isinstance(error, BadRequest | Denied) and not self._in_doubt:
                raise
            if isinstance(error, Denied) and self._decided is not None:
                # it takes admin from us, so nobody tells us more, and each question would be a denial
                self._deadline = -inf
            self._error = error
            return None
        answer = reply.answer
        assert isinstance(answer, Decreed | PolicyApplied), "nothing else settles the operation"
        return self._outcome(answer)

    def _outcome(self, answer: Decreed | PolicyApplied) -> PolicyOutcome:
        applied = answer if isinstance(answer, PolicyApplied) else None
        won = answer.decree.claim_id == self._wish.claim_id
        in_force = applied is not None and applied.in_force
        missing = tuple(map(NodeId, applied.missing)) if applied is not None else ()
        decree, id = answer.decree, self._wish.claim_id
        self._decided = PolicyOutcome(policy_number(decree), decree, won, in_force, missing, id)
        return self._decided

    def end(self) -> PolicyOutcome:
        """What to say when the time is up.

        Raises:
            OutcomeUnknown: if it may be decided, and no node has said so.
            Unreachable: if it is not, and will not be.
        """
        if self._decided is not None:
            return self._decided
        if not self._in_doubt:
            raise self._error if self._error.definite else Unreachable(str(self._error))
        words = f"the claim id {shown_id(self._wish.claim_id)} and base={self._wish.base}"
        unknown = OutcomeUnknown(
            f"whether policy {self._wish.base} is followed by this one is unknown; ask again with"
            f" {words} ({self._error})"
        )
        unknown.__cause__ = self._error
        raise unknown


def canonical(document: object) -> bytes:
    """The canonical form of a policy that may be applied.

    Raises:
        BadRequest: if it is none, or is too large.
    """
    if isinstance(document, str):
        document = document.encode(errors="surrogatepass")
    if not isinstance(document, bytes | Policy):
        raise arguments.wrong("document", "bytes, text or a Policy", document)
    data = document if isinstance(document, bytes) else encode(document)
    if len(data) > MAX_POLICY_BYTES:
        raise BadRequest(f"a policy has {MAX_POLICY_BYTES} bytes at most, not {len(data)}")
    return encode(parse(data))


def _check_number(number: object, *, least: int) -> None:
    if type(number) is not int or number < least:
        raise BadRequest(f"a policy has a number from {least} on, not {number!r}")
    policy_key(number or 1)


def _version(decree: Decree | None) -> PolicyVersion | None:
    return None if decree is None else PolicyVersion(policy_number(decree), decree)
