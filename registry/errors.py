"""All errors, in one hierarchy; each is definite or indefinite.

*Definite*: nothing was or will be chosen by this request. *Indefinite*: something may be chosen, so
repeat the request with the same claim id. Losing a race is a result, not an error.

An error is indefinite unless its class says otherwise. So `DecreedError` itself, whose cause is
unknown, is indefinite, and so is a code from a peer of a later version.

One table, `ERRORS`, has the exceptions with their codes on the wire and exit codes of the CLI.
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
    DENIED = 10
    OVER_QUOTA = 11


class DecreedError(Exception):
    """Base of all errors of decreed. Raised as itself, it is an unforeseen error.

    Attributes:
        code: the error's number on the wire.
        definite: whether nothing was or will be chosen by the failed request.
        exit_code: the exit code of the CLI.
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
    """The key is frozen by this claim id, but with another value, claimant or note."""

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
    """Time ran out after a proposal was sent: it may be chosen. Repeat it with the same claim id."""

    code = 6
    exit_code = Exit.UNKNOWN


class Refused(DecreedError):
    """The node will not do this, now or later; the message says why, and what to do."""

    code = 7
    definite = True
    exit_code = Exit.REFUSED


class StorageFailed(Refused):
    """A write of the node failed: until a restart it takes no claims and serves what it learned."""

    code = 8


class Damaged(Refused):
    """A record on the node's disk is damaged; the message names the key and the file."""

    code = 9


class Disputed(Refused):
    """Two nodes have different decrees for this key: corruption or a bug. The key is not served."""

    code = 10


class Busy(Refused):
    """A bound was reached (connections, requests in flight, keys a second): try again later.

    Args:
        message: which bound, and of whom.
        wait_ms: when it is worth another try at that node; 0 if it did not say. The library waits
            that long by itself, as far as its caller gives it time.
    """

    code = 11

    def __init__(self, message: str = "", wait_ms: int = 0) -> None:
        super().__init__(message)
        self.wait_ms = wait_ms


class IdentityRefused(Refused):
    """A data directory that must not take part: wiped, copied, rolled back, or of another cluster."""

    code = 12


class ProtocolError(Refused):
    """The other side does not speak this protocol, or none of its versions that we speak."""

    code = 13


class ConfigError(BadRequest):
    """``cluster.toml`` or another setting is wrong; the message names the setting."""

    code = 14


class Closed(Refused):
    """The client was closed, or belongs to another process (it was inherited by a fork)."""

    code = 15


class MissingExtra(Refused):
    """A part of decreed that is needed is not installed; the message names the extra."""

    code = 16


class StillUndecided(DecreedError):
    """Time ran out while waiting for a key that nobody has frozen yet."""

    code = 17
    definite = True
    exit_code = Exit.UNDECIDED


class LockHeld(DecreedError):
    """Somebody else has the lock, and this request holds nothing, now or later.

    Either no term was or will be decreed by it, or a quorum has taken its give-up.

    Args:
        message: who has the lock, since when, and when it can be free at the earliest.
        holder: the whole text about the holder.
        host: the host of the holder; empty if the text names no host.
        pid: the process of the holder; None if the text names no process.
        since_ms: when the term was first proposed, in milliseconds since 1970 (information only).
        note: the holder's note.
        remaining: seconds until another can take over, if the holder sends no more keep-alives.
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
    """The caller does not hold the lock, or no longer; the message says why."""

    code = 19
    definite = True
    exit_code = Exit.LOCK_LOST


class Reentrant(BadRequest):
    """A task or thread asked for a lock that it holds already: it would wait for itself."""

    code = 20


class StaleToken(Refused):
    """A fencing token is older than one that the resource has seen: its sender lost the lock."""

    code = 21


class Forgotten(Refused):
    """The term is older than those that are kept of its lock: it was decided, and is forgotten."""

    code = 22


class NotMember(Unreachable):
    """The node has no vote: it was removed, or never was a voter. Ask one of those that it names."""

    code = 23


class Denied(DecreedError):
    """The policy does not grant this to the caller; the message names the right and the prefix.

    It says nothing of what is stored: a key that is frozen, one that is not, and one that is damaged
    are denied with the same words.
    """

    code = 24
    definite = True
    exit_code = Exit.DENIED


class OverQuota(DecreedError):
    """The caller has frozen as much below a prefix as its quota by the policy allows.

    It concerns new keys alone: a claim that has won is answered as ever. The message names the quota,
    what is used of it, and the way out.
    """

    code = 25
    definite = True
    exit_code = Exit.OVER_QUOTA


class TokenRefused(Refused):
    """The token is not accepted: it is wrong, has expired, or was revoked. Which of these is not told.

    To come again with the same token does not help.
    """

    code = 26


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
        NotMember,
        Denied,
        OverQuota,
        TokenRefused,
    )
}


def error_from_wire(code: int, message: str, wait_ms: int = 0) -> DecreedError:
    """The exception that a node described; an unknown code is indefinite.

    Args:
        code, message: as the node said.
        wait_ms: how long it said to wait, if it is busy.
    """
    kind = error_kind(code)
    return Busy(message, wait_ms) if kind is Busy else kind(message)


def error_kind(code: int) -> type[DecreedError]:
    """The class of the error that has this number on the wire.

    An unknown number comes from a later version, and is indefinite.
    """
    return ERRORS.get(code, OutcomeUnknown)
