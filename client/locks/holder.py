"""Who holds a term, and the state of a lock, for callers to read.

The name in a term's decree is ``user@host pid 123``. It is for people; nothing depends on it except
what is shown.
"""

import os
import re
import socket

from msgspec import Struct, ValidationError, convert, to_builtins

from ...registry.documents import shown, time_text
from ...registry.errors import BadRequest, LockHeld
from ...registry.keys import series_and_slot
from ...registry.locks.terms import Ending, LeaseId, lease_id, lock_and_term, term_of
from ...registry.types import MAX_CLAIMANT_CHARS, Decree
from ...registry.wire.requests import HeldBy
from ..requests.arguments import wrong

# compiled at its first use: a client that only reads keys does not need it
_PARTS = r"(?P<name>.+)@(?P<host>[^@\s]+) pid (?P<pid>[1-9][0-9]{0,9})"


def holder_text(claimant: str) -> str:
    """The name of this process as a holder: ``user@host pid 123``."""
    host = socket.gethostname()
    known = claimant.endswith(f"@{host}")
    tail = f" pid {os.getpid()}" if known else f"@{host} pid {os.getpid()}"
    return claimant[: max(1, MAX_CLAIMANT_CHARS - len(tail))] + tail


class Holder(Struct, frozen=True):
    """Whose a term of a lock is, or was.

    Args:
        lock: the lock's name.
        term: the number of the term, which is its fencing token.
        name: who holds it, as a whole text.
        host: where the holder runs; empty if the text names none.
        pid: its process; None if the text names none.
        since_ms: when the term was first proposed, in milliseconds since 1970 (information only).
        ttl: seconds that its leases run.
        note: free text of the holder.
        info: what the holder publishes.
        claim_id: the id of the claim that won the term.
        identity: whose it is, as a node had proven it, such as ``client/alice``; empty if none had.
    """

    lock: str
    term: int
    name: str
    host: str
    pid: int | None
    since_ms: int
    ttl: float
    note: str
    info: bytes
    claim_id: bytes
    identity: str = ""

    @property
    def lease_id(self) -> LeaseId:
        """The lease id of this hold."""
        return LeaseId(self.lock, self.term, self.claim_id)

    def __repr__(self) -> str:
        return f"<Holder of {shown(self.lock)}, term {self.term}: {shown(self.name)}>"

    def __str__(self) -> str:
        note = f", note: {self.note}" if self.note else ""
        return f"{self.name} since {time_text(self.since_ms, 'seconds')} (term {self.term}{note})"


class LockState(Struct, frozen=True):
    """The state of a lock, as a quorum answered.

    Args:
        holder: the holder of the latest term.
        remaining: seconds until the next term can begin if the holder sends no more keep-alives; 0 if
            the lock is free.
        ending: how the latest term ended, if it was released or broken.
        waiters: how many clients wait at the node that was asked.
    """

    holder: Holder
    remaining: float
    ending: Ending | None
    waiters: int

    @property
    def held(self) -> bool:
        """Whether the next term has to wait."""
        return self.remaining > 0


class PastTerm(Struct, frozen=True):
    """One term in the history of a lock.

    Args:
        holder: whose it was.
        ending: how it ended, as the term after it says; None for the latest.
    """

    holder: Holder
    ending: Ending | None


def holder_of(decree: Decree) -> Holder:
    """The holder of the term that `decree` decides.

    Raises:
        ProtocolError: if it decides no term.
    """
    lock, number = lock_and_term(decree.key)
    term = term_of(decree)
    found = re.fullmatch(_PARTS, decree.claimant, re.DOTALL)
    return Holder(
        lock,
        number,
        decree.claimant,
        found["host"] if found else "",
        int(found["pid"]) if found else None,
        decree.time_ms,
        term.ttl_ms / 1000,
        decree.note,
        term.info,
        lease_id(decree).claim_id,
        decree.identity,
    )


def checked_lease_id(holder: object) -> LeaseId:
    """The lease id of the holder that a caller names.

    Raises:
        BadRequest: if it is not a `Holder`, or not one that the client returned.
    """
    if not isinstance(holder, Holder):
        raise wrong("holder", "a Holder, as `lock_state` tells it", holder)
    try:
        found = holder.lease_id
        return convert(to_builtins(found, builtin_types=(bytes,)), LeaseId, builtin_types=(bytes,))
    except (ValidationError, TypeError) as error:
        raise BadRequest(f"holder is none that anything told: {error}") from error


def lock_state_of(answer: HeldBy) -> LockState:
    """The state of a lock, from a node's answer."""
    return LockState(
        holder_of(answer.decree), answer.remaining_ms / 1000, answer.ending, answer.waiters
    )


def held_error(answer: HeldBy) -> LockHeld:
    """The error for a caller that did not get the lock."""
    lock_state = lock_state_of(answer)
    holder = lock_state.holder
    return LockHeld(
        f"{holder.lock!r} is held by {holder}; free in {lock_state.remaining:.1f} s at the earliest",
        holder=holder.name,
        host=holder.host,
        pid=holder.pid,
        since_ms=holder.since_ms,
        note=holder.note,
        remaining=lock_state.remaining,
    )


def past_terms(decrees: list[Decree]) -> list[PastTerm]:
    """The history of a lock, from the decrees of its terms, in order of the terms."""
    ordered = sorted(decrees, key=lambda decree: series_and_slot(decree.key)[1] or 0)
    endings: dict[int, Ending] = {}
    for decree in ordered:
        previous = term_of(decree).previous
        if previous is not None:
            endings[lock_and_term(decree.key)[1] - 1] = previous.ending
    holders = map(holder_of, ordered)
    return [PastTerm(holder, endings.get(holder.term)) for holder in holders]
