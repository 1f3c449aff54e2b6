"""All errors, in one hierarchy; each is definite or indefinite.

*Definite*: nothing was or will be chosen by this request. *Indefinite*: it may be, so ask again
with the same claim id. Losing a race is a result, not an error.

An error is indefinite unless its class says otherwise. So `DecreedError` itself, which has no cause
that we know of, promises nothing, and neither does a code that a peer of a later version sends.

The same table, `ERRORS`, gives the exception, its code on the wire and the CLI's exit code.
"""

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """The CLI's exit codes."""

    DONE = 0
    UNEXPECTED = 1
    BAD_REQUEST = 2
    LOST = 3
    UNDECIDED = 4
    UNREACHABLE = 5
    UNKNOWN = 6
    REFUSED = 7
    HELD = 8
    LOCK_LOST = 9


class DecreedError(Exception):
    """Base of all errors of decreed. Raised as itself, it is an error that nobody foresaw.

    Attributes:
        code: the error's number on the wire.
        definite: whether nothing was or will be chosen by the request that met it.
        exit_code: what the CLI exits with.
    """

    code: ClassVar[int] = 0
    definite: ClassVar[bool] = False
    exit_code: ClassVar[Exit] = Exit.UNEXPECTED


class BadRequest(DecreedError):
    """The request itself is wrong: a malformed key, a value over the limit, an unknown option."""

    code = 1
    definite = True
    exit_code = Exit.BAD_REQUEST


class ClaimIdReused(BadRequest):
    """The key is frozen by this very claim id, but with another value, claimant or note."""

    code = 2


class SeriesGap(BadRequest):
    """A slot of a series was claimed whose predecessor is not decided."""

    code = 3


class Unreachable(DecreedError):
    """No quorum answered in time, and nothing was or will be chosen by this request."""

    code = 4
    definite = True
    exit_code = Exit.UNREACHABLE


class NotFormed(Unreachable):
    """The node does not take part yet: the cluster has not formed."""

    code = 5


class OutcomeUnknown(DecreedError):
    """Time ran out after a proposal had left: it may be chosen. Ask again with the same claim id."""

    code = 6
    exit_code = Exit.UNKNOWN


class Refused(DecreedError):
    """The node will not do this, now or ever; the message says why and what the way out is."""

    code = 7
    definite = True
    exit_code = Exit.REFUSED


class StorageFailed(Refused):
    """A write of the node failed: it takes no claims until restarted, and serves what it learned."""

    code = 8


class Damaged(Refused):
    """A record on the node's disk is damaged; the message names the key and the file."""

    code = 9


class Disputed(Refused):
    """Two nodes know different decrees for this key: corruption or a bug. Nobody serves the key."""

    code = 10


class Busy(Refused):
    """A bound was met (connections, requests in flight): try again later."""

    code = 11


class IdentityRefused(Refused):
    """A data directory that must not take part: wiped, copied, rolled back, or of another cluster."""

    code = 12


class ProtocolError(Refused):
    """The other side does not speak our protocol, or no version of it that we speak."""

    code = 13


class ConfigError(BadRequest):
    """``cluster.toml`` or another setting is wrong; the message names the setting."""

    code = 14


class Closed(Refused):
    """The client was closed, or belongs to another process (it was carried across a fork)."""

    code = 15


class MissingExtra(Refused):
    """A part of decreed that is not installed is needed; the message names the extra."""

    code = 16


class StillUndecided(DecreedError):
    """Time ran out while waiting for a key that nobody has frozen yet."""

    code = 17
    definite = True
    exit_code = Exit.UNDECIDED


class LockHeld(DecreedError):
    """Somebody else has the lock, and this request holds nothing, now or later.

    No term was or will be decreed by it, or a quorum has taken its give-up.

    Args:
        message: who has it, since when, and when it can be had at the earliest.
        holder: the holder's whole text.
        host: where it runs; empty if its text names none.
        pid: its process; None if its text names none.
        since_ms: when the term was first proposed, in milliseconds since 1970 (information only).
        note: what the holder gave as a note.
        remaining: seconds until another can take over, if the holder renews no more.
    """

    code = 18
    definite = True
    exit_code = Exit.HELD

    def __init__(
        self,
        message: str = "",
        *,
        holder: str = "",
        host: str = "",
        pid: int | None = None,
        since_ms: int = 0,
        note: str = "",
        remaining: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.holder = holder
        self.host = host
        self.pid = pid
        self.since_ms = since_ms
        self.note = note
        self.remaining = remaining


class LockLost(DecreedError):
    """The lock is not, or not any more, the caller's; the message says why."""

    code = 19
    definite = True
    exit_code = Exit.LOCK_LOST


class Reentrant(BadRequest):
    """A task or thread asked for a lock that it has already: it would wait for itself."""

    code = 20


class StaleToken(Refused):
    """A fencing token is older than one that the resource has seen: whoever sent it holds no more."""

    code = 21


class Forgotten(Refused):
    """The term is older than what is kept of its lock: it was decided, and nobody says what."""

    code = 22


ERRORS: dict[int, type[DecreedError]] = {
    error.code: error
    for error in (
        DecreedError,
        BadRequest,
        ClaimIdReused,
        SeriesGap,
        Unreachable,
        NotFormed,
        OutcomeUnknown,
        Refused,
        StorageFailed,
        Damaged,
        Disputed,
        Busy,
        IdentityRefused,
        ProtocolError,
        ConfigError,
        Closed,
        MissingExtra,
        StillUndecided,
        LockHeld,
        LockLost,
        Reentrant,
        StaleToken,
        Forgotten,
    )
}


def error_from_wire(code: int, message: str) -> DecreedError:
    """The exception that a peer of ours described; an unknown code is taken as indefinite."""
    return error_kind(code)(message)


def error_kind(code: int) -> type[DecreedError]:
    """The class of the error that has this number on the wire.

    A number that we do not know was given by a later version: it is taken as indefinite.
    """
    return ERRORS.get(code, OutcomeUnknown)
