"""Terms, which a lock consists of.

A lock is a series of terms, ``$locks/NAME@N``: reserved keys, which no claim can name. The decree of
term N names its holder, and N is the fencing token. Nothing is ever unlocked in place: a new term
supersedes the previous one, and its decree records how that one ended.
"""

from enum import IntEnum
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from ..errors import BadRequest, ProtocolError
from ..keys import LOCKS, MAX_SLOT, parse_series, series_and_slot, slot_key
from ..types import (
    MAX_CLAIMANT_CHARS,
    MAX_NOTE_CHARS,
    Claim,
    ClaimIdBytes,
    Decree,
    Key,
    Value,
)
from ..veiled import veiled
from ..wire.codec import decode, encode
from .secret import SecretHash, hash_of

CONTENT_TYPE = "application/vnd.decreed.term+cbor"
TERMS = LOCKS + "/"
"""What the key of every term begins with."""
MIN_TTL_MS = 100
MAX_TTL_MS = 3_600_000
MAX_INFO_BYTES = 16_384
MAX_LOCK_BYTES = 480
"""Short enough that the key of the last possible term is a valid key."""

_KNOWN_NAMES, _KNOWN_TERMS = 4_096, 256
"""How many keys and values of terms are remembered in parts: a hand-over asks for each many times."""

TtlMs = Annotated[int, Meta(ge=MIN_TTL_MS, le=MAX_TTL_MS)]
Holder = Annotated[str, Meta(min_length=1, max_length=MAX_CLAIMANT_CHARS)]
Reason = Annotated[str, Meta(max_length=MAX_NOTE_CHARS)]


class How(IntEnum):
    """How a term ended, as far as the proposer of the next one knew.

    `RELEASED` and `FORCED` do not wait for the lease; after `FORCED` two holders may overlap.
    """

    RELEASED = 1
    EXPIRED = 2
    BROKEN = 3
    FORCED = 4


class Ending(Value, frozen=True):
    """The end of a term.

    Args:
        how: what ended it.
        by: who broke it; empty if it was not broken.
        reason: why it was broken.
    """

    how: How
    by: Annotated[str, Meta(max_length=MAX_CLAIMANT_CHARS)] = ""
    reason: Reason = ""

    def __repr__(self) -> str:
        return veiled(self, "reason")


class LeaseId(Value, frozen=True):
    """The lease id: one holder's hold of one term. Leases and releases refer to it.

    Args:
        lock: the lock's name.
        term: its number, which is the fencing token.
        claim_id: of the claim for the term; a term for which two claims compete has two lease ids
            until it is decided which of them holds it.
    """

    lock: Annotated[str, Meta(min_length=1, max_length=MAX_LOCK_BYTES)]
    term: Annotated[int, Meta(ge=1, le=MAX_SLOT)]
    claim_id: ClaimIdBytes

    @property
    def key(self) -> Key:
        """The key of the term."""
        return term_key(self.lock, self.term)

    @property
    def next_key(self) -> Key:
        """The key of the term after it."""
        return term_key(self.lock, self.term + 1)


class Previous(Value, frozen=True):
    """The previous term, as the next one's decree records it.

    Args:
        claim_id: of its holder.
        ttl_ms: how long its leases run.
        ending: how it ended.
    """

    claim_id: ClaimIdBytes
    ttl_ms: TtlMs
    ending: Ending

    def is_released_by(self, claim_id: bytes) -> bool:
        """Whether it says that the holder with this claim id released the term."""
        return self.ending.how is How.RELEASED and self.claim_id == claim_id


class Term(Value, frozen=True):
    """The value of a term's decree; holder, claim id and note are fields of the decree itself.

    Args:
        ttl_ms: how long a lease on the term runs.
        info: bytes that the holder publishes, such as the address of a leader.
        previous: the previous term; None for the first.
        secret_hash: of the holder's secret; None in terms of versions without secrets, which nobody
            can renew or release: they expire, or are broken.
    """

    ttl_ms: TtlMs
    info: Annotated[bytes, Meta(max_length=MAX_INFO_BYTES)] = b""
    previous: Previous | None = None
    secret_hash: SecretHash | None = None

    def __repr__(self) -> str:
        return veiled(self, "info")

    def is_opened_by(self, secret: bytes | None) -> bool:
        """Whether this is the holder's secret."""
        return secret is not None and self.secret_hash == hash_of(secret)


class TermClaim(Value, frozen=True):
    """A claim for a term of a lock.

    Args:
        holder: the claimer, as text for people.
        claim_id: chosen by the claimer, never used for another acquire.
        ttl_ms: how long its leases are to run.
        secret_hash: of the secret that the claimer shows to keep, to release and to give up.
        note: free text, kept in the decree.
        info: bytes that the claimer publishes while it holds the lock.
    """

    holder: Holder
    claim_id: ClaimIdBytes
    ttl_ms: TtlMs
    secret_hash: SecretHash
    note: Reason = ""
    info: Annotated[bytes, Meta(max_length=MAX_INFO_BYTES)] = b""

    def __repr__(self) -> str:
        return veiled(self, "note", "info")

    def claim(self, key: Key, previous: Previous | None) -> Claim:
        """The claim of the term at `key`, which records how the previous term ended."""
        value = encode(Term(self.ttl_ms, self.info, previous, self.secret_hash))
        return Claim(key, value, CONTENT_TYPE, self.holder, self.claim_id, self.note)


def is_term(key: Key) -> bool:
    """Whether `key` is a term of a lock, rather than a key that users claim."""
    return key.startswith(TERMS)


def is_whole(key: Key) -> bool:
    """Whether a key that begins like a term's has the number of a term; a peer may send any text."""
    return series_and_slot(key)[1] is not None


def parse_lock(text: str) -> str:
    """Check that `text` can name a lock, by the rules for names of series.

    Raises:
        BadRequest: if it cannot; the message says why; definite.
    """
    if text.startswith("$"):
        raise BadRequest(f"{text[:60]!a} is no name of a lock: the character '$' is not allowed")
    name = parse_series(text, "name of a lock")
    if len(name.encode()) > MAX_LOCK_BYTES:
        raise BadRequest(
            f"{text[:60]!a} is no name of a lock: it is longer than {MAX_LOCK_BYTES} bytes"
        )
    return name


def lock_path(lock: str) -> str:
    """The path of the series of a lock's terms."""
    return f"{LOCKS}/{lock}"


def lock_of(path: str) -> str:
    """The lock whose terms are the series at `path`."""
    assert path.startswith(LOCKS + "/"), f"{path!r} is no lock's"
    return path.removeprefix(LOCKS + "/")


@lru_cache(_KNOWN_NAMES)
def term_key(lock: str, term: int) -> Key:
    """The key of term `term` of `lock`."""
    return slot_key(lock_path(lock), term)


@lru_cache(_KNOWN_NAMES)
def lock_and_term(key: Key) -> tuple[str, int]:
    """The lock and the term number in the key of a term."""
    path, term = series_and_slot(key)
    assert term is not None, f"{key!r} is no term"
    return lock_of(path), term


def lease_id(decree: Decree) -> LeaseId:
    """The lease id of the hold that a term's decree decides."""
    return LeaseId(*lock_and_term(decree.key), decree.claim_id)


def term_of(decree: Decree) -> Term:
    """The value of a term's decree.

    Raises:
        ProtocolError: if it is not the decree of a term.
    """
    if decree.content_type != CONTENT_TYPE:
        raise ProtocolError(f"the decree of {decree.key!r} is no term of a lock")
    return _term_in(decree.value)


@lru_cache(_KNOWN_TERMS)
def _term_in(value: bytes) -> Term:
    return decode(value, Term)
