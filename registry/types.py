"""The vocabulary: ballots, proposals, claims and decrees, as immutable values.

All other parts use these types. They know nothing of messages, disks, clocks or sockets. All values are
frozen and hashable, so that the model checker can keep sets of states. They are encoded as plain CBOR
arrays (``array_like``), so that wire and disk hold the value itself.

Invariants kept here:

* R05, R06: a `Ballot` is (round, process) and a `Process` is (node, incarnation); both are totally
  ordered, and no wall clock takes part.
* M02: a ballot belongs to one epoch, the upper half of its round. So ballots are ordered by epoch
  first, and a ballot of epoch 0 is the number that it was before there were epochs.
* A `Decree` is what Paxos chooses. The ballot and the time in it are those of its first proposer;
  a node that finishes it later does not change them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from hashlib import blake2b
from typing import Annotated, Any, NewType, Self, TypeVar, overload

from msgspec import DecodeError, Meta, Struct
from msgspec.msgpack import Encoder

from .documents import Documented, bytes_field, read_as, shown, time_of, time_text

MAX_KEY_BYTES = 512
MAX_NOTE_CHARS = 1024
MAX_CLAIMANT_CHARS = 256
MAX_CONTENT_TYPE_CHARS = 128
MAX_CLAIM_ID_BYTES = 64
MAX_NODE_CHARS = 63
MAX_IDENTITY_CHARS = 192
MAX_COUNTER = 2**63 - 1
EPOCH_BITS = 32
"""The bits of a round below its epoch: ``round = epoch * 2**32 + r``."""
_WITHIN_EPOCH = 2**EPOCH_BITS - 1

T = TypeVar("T")

Key = NewType("Key", str)
"""The name of one Paxos instance, in the form that `decreed.registry.keys.parse_key` returns."""

NodeId = NewType("NodeId", str)
"""The name of a member of the cluster, as in ``cluster.toml``."""

Counter = Annotated[int, Meta(ge=0, le=MAX_COUNTER)]
"""A number that only grows: a round, an incarnation, a position in a feed."""

KeyText = Annotated[Key, Meta(min_length=1, max_length=MAX_KEY_BYTES)]
NodeText = Annotated[NodeId, Meta(min_length=1, max_length=MAX_NODE_CHARS)]
ClaimIdBytes = Annotated[bytes, Meta(min_length=1, max_length=MAX_CLAIM_ID_BYTES)]


class Value(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all values: frozen, hashable, encoded as an array of its fields in order.

    A value consists of other values, so it is never part of a cycle, and the garbage collector may
    skip it. A node keeps hundreds of thousands of them.
    """


class Process(Value, frozen=True, order=True):
    """One incarnation of one node. A restart makes a new process (R05), so no ballot is used twice.

    Args:
        node: the member's name.
        incarnation: how often the node's directory has been opened; durable, and grows at each start.
    """

    node: NodeText
    incarnation: Counter


class Ballot(Value, frozen=True, order=True):
    """A proposal number: unique, increasing, totally ordered (R05, R06).

    Args:
        round: ``epoch * 2**32 + r``. r counts a proposer's attempts at one key, above every r it has
            heard of in that epoch. r = 0 is reserved for class promises, which are for all keys of a
            home (``paxos/class_promise.py``).
        process: the process that made it; breaks ties, so that no two processes ever make the same
            ballot.
    """

    round: Counter
    process: Process

    @classmethod
    def of_home(cls, process: Process, epoch: int = 0) -> "Ballot":
        """The one ballot of `process` in `epoch` below every ballot of an attempt at one key."""
        return cls(epoch << EPOCH_BITS, process)

    @classmethod
    def first(cls, process: Process, epoch: int = 0) -> "Ballot":
        """The lowest ballot of `process` for an attempt at one key in `epoch`."""
        return cls((epoch << EPOCH_BITS) + 1, process)

    @property
    def epoch(self) -> int:
        """The epoch whose voters promise, accept and are counted in this ballot (M02)."""
        return self.round >> EPOCH_BITS

    @property
    def is_of_home(self) -> bool:
        """Whether a proposal in it relies on class promises."""
        return not self.round & _WITHIN_EPOCH

    def above(self, process: Process) -> "Ballot":
        """The lowest ballot of `process` in the round after this one, in the same epoch."""
        assert self.round & _WITHIN_EPOCH != _WITHIN_EPOCH, "the next round is of the next epoch"
        return Ballot(self.round + 1, process)

    def __str__(self) -> str:
        epoch = f"{self.epoch}/" if self.epoch else ""
        return f"{epoch}{self.round & _WITHIN_EPOCH}.{self.process.node}#{self.process.incarnation}"


class Claim(Value, frozen=True):
    """A request to freeze a key to a value.

    Args:
        key: the key to freeze.
        value: the exact bytes.
        content_type: how to read the bytes, as a media type.
        claimant: the name of the caller, for people to read.
        claim_id: chosen by the caller, and unique to this claim; repeating the claim with it is safe.
        note: free text, kept in the decree.
    """

    key: KeyText
    value: bytes
    content_type: Annotated[str, Meta(max_length=MAX_CONTENT_TYPE_CHARS)]
    claimant: Annotated[str, Meta(max_length=MAX_CLAIMANT_CHARS)]
    claim_id: ClaimIdBytes
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARS)] = ""

    def __repr__(self) -> str:
        return f"<Claim of {shown(self.key)} by {shown(self.claimant)}: {_size(self)}>"


class Decree(Value, Documented, frozen=True):
    """What was chosen for a key, permanently, and where it came from.

    Its `repr` shows neither value nor note, since they may be long or secret.

    Args:
        key: the frozen key.
        value: the exact bytes.
        content_type: how to read the bytes, as a media type.
        claimant: who claimed it.
        claim_id: the id of the claim that won.
        note: free text from the claimant.
        time_ms: wall clock of the first proposer, in milliseconds since 1970 (information only).
        ballot: the ballot of the first proposer.
        identity: of the claimant, as the node that took the claim had proven it (S09), such as
            ``client/alice``; empty if it had not. The claimant cannot choose it, as it can `claimant`.
    """

    key: KeyText
    value: bytes
    content_type: Annotated[str, Meta(max_length=MAX_CONTENT_TYPE_CHARS)]
    claimant: Annotated[str, Meta(max_length=MAX_CLAIMANT_CHARS)]
    claim_id: ClaimIdBytes
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARS)]
    time_ms: Annotated[int, Meta(ge=-MAX_COUNTER, le=MAX_COUNTER)]
    ballot: Ballot
    identity: Annotated[str, Meta(max_length=MAX_IDENTITY_CHARS)] = ""

    @property
    def text(self) -> str:
        """The value as UTF-8 text.

        Raises:
            UnicodeDecodeError: if the value is not UTF-8; the error names the key.
        """
        try:
            return self.value.decode()
        except UnicodeDecodeError as error:
            error.reason += f", in the value of {self.key!r}"
            raise

    @property
    def time(self) -> datetime:
        """`time_ms` as a time in UTC.

        Raises:
            ValueError: if it is outside the calendar; the error names the key.
        """
        try:
            return time_of(self.time_ms)
        except OverflowError as error:
            raise ValueError(f"the time of {self.key!r} is in no calendar") from error

    def json(self) -> Any:
        """The value as JSON.

        Raises:
            ValueError: if the value is not JSON, usually a ``json.JSONDecodeError``; it names the key.
        """
        what = f"the value of {self.key!r} is no JSON"
        try:
            return json.loads(self.value)
        except json.JSONDecodeError as error:
            raise json.JSONDecodeError(f"{what}: {error.msg}", error.doc, error.pos) from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{what}: {error}") from error

    @overload
    def as_(self, kind: type[T]) -> T: ...

    @overload
    def as_(self, kind: Any) -> Any: ...

    def as_(self, kind: Any) -> Any:
        """The value as one of the type `kind`: ``decree.as_(int)``, ``decree.as_(list[str])``.

        Args:
            kind: a type that msgspec knows: numbers, `bool`, `str`, `bytes` (the value itself), dates,
                enums, containers, dataclasses, attrs classes, ``msgspec.Struct``.

        JSON (by the content type) must be of exactly that type. Any other value is text: numbers,
        booleans and dates are read from it as from an environment variable, and other types, such as
        lists, as JSON.

        Raises:
            ValueError: if the value is not of that type; the error names the key.
        """
        try:
            return read_as(self.value, self.content_type, kind)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            name = getattr(kind, "__name__", str(kind))
            raise ValueError(f"the value of {self.key!r} is no {name}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The decree as plain data, which can be written as JSON; ``decreed get --json`` prints it.

        Returns:
            The texts ``key``, ``value``, ``content_type``, ``claimant``, ``identity`` (empty if the
            claimant was not authenticated), ``claim_id``, ``note``, ``time`` (ISO 8601, in UTC) and
            ``ballot``. If the value is not UTF-8, there is
            ``value_base64`` instead of ``value``, and likewise for ``claim_id``. The slot of a series
            also has ``series`` and the number ``slot``.
        """
        path, at, slot = self.key.partition("@")
        return {
            "key": self.key,
            **({"series": path, "slot": int(slot)} if at else {}),
            **bytes_field("value", self.value),
            "content_type": self.content_type,
            "claimant": self.claimant,
            "identity": self.identity,
            **bytes_field("claim_id", self.claim_id),
            "note": self.note,
            "time": time_text(self.time_ms),
            "ballot": str(self.ballot),
        }

    @classmethod
    def document_fields(cls) -> Mapping[str, Any]:
        """The fields in the document of every decree."""
        names = ("key", "content_type", "claimant", "identity", "note", "time", "ballot")
        return {name: {"type": "str"} for name in names}

    def __repr__(self) -> str:
        when = time_text(self.time_ms, "seconds")
        claimant = shown(self.claimant)
        return f"<Decree of {shown(self.key)}: {_size(self)}, claimed by {claimant} at {when}>"

    @classmethod
    def of(cls, claim: Claim, ballot: Ballot, time_ms: int, identity: str = "") -> Self:
        """The decree that `claim` of `identity` would be, first proposed in `ballot` at `time_ms`."""
        return cls(
            claim.key,
            claim.value,
            claim.content_type,
            claim.claimant,
            claim.claim_id,
            claim.note,
            time_ms,
            ballot,
            identity,
        )


def _size(what: Claim | Decree) -> str:
    """The size and the content type of a value, which is all that a repr may show of it."""
    return f"{len(what.value)} bytes of {shown(what.content_type)}"


class Proposal(Value, frozen=True):
    """A ballot and the decree proposed in it.

    The ballot is that of the attempt that proposes the decree now; `decree.ballot` stays that of the
    attempt that proposed it first.
    """

    ballot: Ballot
    decree: Decree


class Outcome(Enum):
    """How a claim ended. Losing is a result, not an error (R03)."""

    WON = "won"
    SAME = "same"
    LOST = "lost"
    ID_REUSED = "id reused"


def outcome(claim: Claim, decree: Decree) -> Outcome:
    """What `decree` means for `claim` (design 5: a claim is won if id and content are its own).

    Returns:
        `WON` if the decree has the claim's id and its value, content type, claimant and note;
        `ID_REUSED` if it has the id and anything else of these differs; `SAME` if another claim froze
        the same value and content type; `LOST` otherwise. The identity is no part of it (S09): who
        repeats a claim may have another certificate or token by then.
    """
    same_value = (decree.value, decree.content_type) == (claim.value, claim.content_type)
    if decree.claim_id == claim.claim_id:
        same_words = (decree.claimant, decree.note) == (claim.claimant, claim.note)
        return Outcome.WON if same_value and same_words else Outcome.ID_REUSED
    return Outcome.SAME if same_value else Outcome.LOST


DIGEST_BYTES = 16
"""The length of the digest of a decree."""

body_of: "Callable[[Decree], bytes]" = Encoder().encode
"""The MessagePack of a decree, its *body*: the one form in which it is stored and hashed."""
_WITHOUT_IDENTITY = b"\x98"
"""The head of a MessagePack array of the eight fields before the identity."""


def decree_digest(decree: Decree) -> bytes:
    """16 bytes of BLAKE2b over the decree's MessagePack, which has one form for each decree.

    Nodes compare with it what they have learned. It is part of the protocol and of the stored feed:
    see `docs/protocol.md`. An identity that is empty is left out, so that decrees from before there
    were identities keep their digests.
    """
    return digests_of((decree,), (body_of(decree),))[decree.key]


def digests_of(decrees: Iterable[Decree], bodies: Iterable[bytes]) -> dict[Key, bytes]:
    """The digest of each decree, by key, from the MessagePack of each."""
    return {
        decree.key: blake2b(
            body if decree.identity else _WITHOUT_IDENTITY + body[1:-1], digest_size=DIGEST_BYTES
        ).digest()
        for decree, body in zip(decrees, bodies, strict=True)
    }
