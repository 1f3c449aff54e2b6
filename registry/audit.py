"""The audit log: who asked for what, and what became of it; one line of JSON for each (S22).

What is told here is security: denials, changes of members, policies and tokens, breaks of locks, new
formations; claims too if the settings ask. `decreed.registry.server.audit_log` writes the lines, before
the answer that they are about leaves.

A record has fixed fields, and each is a name, a number, or one of a few words. No record is made of an
error's text, since that may quote what was sent. So values, notes, infos, reasons, claim ids, tokens,
secrets and keys of TLS are never in a line, whatever happens.

A new kind of request that is to be told gets a line in `told_kinds`, `is_told` and `told_of`; what no
request asks for is told by a function of its own, as `denial` is.
"""

import json
from contextlib import suppress
from enum import Enum
from typing import Any, assert_never

from .documents import time_text
from .errors import ProtocolError, error_kind
from .locks.terms import How
from .members import change_of, epoch_of
from .policy.tokens import TokenChanges
from .types import Decree, Value
from .wire.members import ChangePlan, ChangeRequest
from .wire.requests import (
    Answer,
    ClaimNextRequest,
    ClaimRequest,
    Decreed,
    Ended,
    EndRequest,
    Failed,
    PolicyApplied,
    PolicyRequest,
)

Asked = ChangeRequest | EndRequest | PolicyRequest | ClaimRequest | ClaimNextRequest
"""The requests of which something is told."""


class AuditEvent(Enum):
    """What a line is about."""

    STARTED = "started"
    RESTORED = "restored"
    RECOVERED = "recovered"
    DENIED = "denied"
    MEMBERS = "members"
    EPOCH = "epoch"
    """A node has learned who votes from now on."""
    BREAK = "break"
    CLAIM = "claim"
    POLICY = "policy"
    TOKEN = "token"
    """A token was shown that is not accepted."""
    TOKEN_MADE = "token-made"
    TOKEN_REVOKED = "token-revoked"
    CERTIFICATE = "certificate"
    AS_NODE = "as-node"


class AuditOutcome(Enum):
    """What became of it."""

    DONE = "done"
    LOST = "lost"
    """Somebody else's was chosen."""
    NOT_PROPOSED = "not proposed"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It may have been done, or may be done yet."""
    GONE = "gone"
    """The client left before it was answered; it may be done, or not."""


class AuditRecord(Value, frozen=True):
    """One thing to tell. A field that says nothing is left out of the line.

    Args:
        event: what it is about.
        outcome: what became of it.
        path: the key, the lock or the name that it is about.
        right: the right that it needs.
        error: the kind of the error that it ended with.
        connection: of the client; the server adds its address and its identity.
        acting_for: the identity that a gateway named, if the one of the connection may do that.
        policy: the number of the policy by which it was judged; None before there are any.
        number: of the epoch, term, incarnation or policy.
        before: the number of the one that it follows.
        names: of members, or of a token or certificate.
        formation: as hexadecimal digits.
        count: how many more there were of this kind since the last line of it; see `server.denials`.
    """

    event: AuditEvent
    outcome: AuditOutcome
    path: str = ""
    right: str = ""
    error: str = ""
    connection: int | None = None
    acting_for: str = ""
    policy: int | None = None
    number: int | None = None
    before: int | None = None
    names: tuple[str, ...] = ()
    formation: str = ""
    count: int | None = None


class Speaker(Value, frozen=True):
    """Who has asked, as the server knows.

    Args:
        identity: as the connection proved it: ``node/n1``, ``client/alice``, ``token/ci``, anonymous.
        address: where it is connected from; empty if nobody is.
    """

    identity: str = ""
    address: str = ""


NOBODY = Speaker()


# -- what requests are told of


def told_kinds(claims: bool) -> frozenset[type]:
    """The kinds of requests of which something may be told.

    Args:
        claims: whether claims are told.
    """
    always = (ChangeRequest, EndRequest, PolicyRequest)
    return frozenset((*always, *((ClaimRequest, ClaimNextRequest) if claims else ())))


def is_told(request: Asked) -> bool:
    """Whether an answer to this request is told: to a change that is proposed, and to a break."""
    match request:
        case ChangeRequest():
            return request.propose
        case EndRequest():
            return request.ending.how is not How.RELEASED
        case ClaimRequest() | ClaimNextRequest() | PolicyRequest():
            return True
        case _:
            assert_never(request)


def told_of(
    request: Asked, answer: Answer | None, connection: int, acting_for: str = ""
) -> AuditRecord:
    """The record of a request that ends.

    Args:
        request: the request.
        answer: its answer; None if the client has gone.
        connection: of the client.
        acting_for: the identity that it has named, if it is a gateway.
    """
    outcome, error = _outcome(request, answer)
    number: int | None = None
    before: int | None = None
    names: tuple[str, ...] = ()
    match request:
        case ChangeRequest():
            number = request.base + 1
            names = tuple(voter.node for voter in request.voters)
            event, path, right = AuditEvent.MEMBERS, "", "admin"
        case EndRequest():
            number = request.lease_id.term
            event, path, right = AuditEvent.BREAK, request.lease_id.lock, "break"
        case PolicyRequest():
            before, number = request.base, request.base + 1
            event, path, right = AuditEvent.POLICY, "", "admin"
        case ClaimRequest() | ClaimNextRequest():
            event, path, right = AuditEvent.CLAIM, _claimed(request, answer), "claim"
        case _:
            assert_never(request)
    what = (event, outcome, path, right, error, connection)
    return AuditRecord(*what, acting_for, number=number, before=before, names=names)


def _claimed(request: ClaimRequest | ClaimNextRequest, answer: Answer | None) -> str:
    """The key of a claim; the slot that it has got, if that is known."""
    return answer.decree.key if isinstance(answer, Decreed) else request.claim.key


def _outcome(request: Asked, answer: Answer | None) -> tuple[AuditOutcome, str]:
    match answer:
        case None:
            return AuditOutcome.GONE, ""
        case Failed():
            kind = error_kind(answer.code)
            return (AuditOutcome.FAILED if kind.definite else AuditOutcome.UNKNOWN), kind.__name__
        case ChangePlan():
            return AuditOutcome.NOT_PROPOSED, ""
        case Decreed(_, decree):
            return (AuditOutcome.DONE if _is_own(request, decree) else AuditOutcome.LOST), ""
        case Ended() | PolicyApplied():
            return AuditOutcome.DONE, ""
        case _:
            raise AssertionError(f"{type(answer).__name__} answers nothing that is told")


def _is_own(request: Asked, decree: Decree) -> bool:
    match request:
        case ChangeRequest() | PolicyRequest():
            return decree.claim_id == request.claim_id
        case ClaimRequest() | ClaimNextRequest():
            return decree.claim_id == request.claim.claim_id
        case EndRequest():
            raise AssertionError("the end of a term is answered by no decree")
        case _:
            assert_never(request)


# -- what nobody asks for, and what is refused before it is a request


def denial(
    connection: int | None, right: str, path: str, policy: int | None, acting_for: str = ""
) -> AuditRecord:
    """A request was refused for lack of a right."""
    return AuditRecord(
        AuditEvent.DENIED,
        AuditOutcome.DENIED,
        path,
        right,
        connection=connection,
        acting_for=acting_for,
        policy=policy,
    )


def tokens_changed(
    connection: int, number: int, changes: TokenChanges, acting_for: str = ""
) -> list[AuditRecord]:
    """A policy that was decided for a client makes tokens, or revokes them; a line for each.

    Args:
        connection: of the client.
        number: of the policy.
        changes: in the tokens.
        acting_for: whom the client has named, if it is a gateway.
    """
    each = [(AuditEvent.TOKEN_REVOKED, name) for name in changes.revoked]
    each += [(AuditEvent.TOKEN_MADE, name) for name in changes.made]
    who = ("", "admin", "", connection, acting_for)
    return [
        AuditRecord(event, AuditOutcome.DONE, *who, number=number, names=(name,))
        for event, name in each
    ]


def certificate_refused(name: str, policy: int | None = None) -> AuditRecord:
    """A connection was refused or cut: its certificate is of another, or the policy refuses it.

    Args:
        name: whom the certificate names; empty if nobody.
        policy: the number of the policy that has cut a connection which was let in before.
    """
    return AuditRecord(AuditEvent.CERTIFICATE, AuditOutcome.DENIED, name, policy=policy)


def token_refused(policy: int | None = None) -> AuditRecord:
    """A connection was refused or cut, since its token is not accepted; nobody is told why (S33).

    Args:
        policy: the number of the policy that has cut a connection which was let in before.
    """
    return AuditRecord(AuditEvent.TOKEN, AuditOutcome.DENIED, policy=policy)


def came_as_node(connection: int, node: str) -> AuditRecord:
    """An operator has come in with the certificate of this very node (S24)."""
    return AuditRecord(AuditEvent.AS_NODE, AuditOutcome.DONE, node, "admin", connection=connection)


def members_learned(decree: Decree) -> AuditRecord:
    """This node has learned who votes from now on."""
    names: tuple[str, ...] = ()
    with suppress(ProtocolError):  # the replica says so, and does not vote
        names = tuple(change_of(decree).places)
    number = epoch_of(decree.key)
    return AuditRecord(AuditEvent.EPOCH, AuditOutcome.DONE, number=number, names=names)


def started(incarnation: int, formation: bytes | None) -> AuditRecord:
    """The node has started, and the log goes on."""
    formed = formation.hex() if formation is not None else ""
    return AuditRecord(AuditEvent.STARTED, AuditOutcome.DONE, number=incarnation, formation=formed)


def formation_made(event: AuditEvent, formation: bytes, nodes: tuple[str, ...]) -> AuditRecord:
    """Directories of a new formation were made, from a snapshot or from old directories."""
    return AuditRecord(event, AuditOutcome.DONE, names=nodes, formation=formation.hex())


# -- lines


def line(record: AuditRecord, speaker: Speaker, node: str, time_ms: int) -> str:
    """The line of a record, without its end: one JSON object, in ASCII.

    Args:
        record: what to tell.
        speaker: who has asked.
        node: the node that tells it; empty for a command.
        time_ms: when, in milliseconds since 1970.
    """
    fields: dict[str, Any] = {
        "time": time_text(time_ms),
        "event": record.event.value,
        "outcome": record.outcome.value,
        "node": node,
        "identity": speaker.identity,
        "address": speaker.address,
        "connection": record.connection,
        "acting_for": record.acting_for,
        "right": record.right,
        "path": record.path,
        "error": record.error,
        "policy": record.policy,
        "number": record.number,
        "before": record.before,
        "names": list(record.names),
        "formation": record.formation,
        "count": record.count,
    }
    kept = {name: value for name, value in fields.items() if value not in ("", None, [])}
    return json.dumps(kept)


def lost_line(count: int, node: str, time_ms: int) -> str:
    """The line that says how many could not be written before it."""
    facts = {"time": time_text(time_ms), "event": "lost", "node": node, "lines": count}
    return json.dumps(facts)
