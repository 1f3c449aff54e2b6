"""Who asks the admin listener, whether he may, and what the audit log hears of it (S07, S22, S36).

Invariants kept here:

* beyond this machine only `OPEN` is told to somebody who has shown nothing;
* who asks is judged again at each request: by the policy that is obeyed then, and by the time. So a
  connection that was let in tells no more to somebody who is refused, revoked or expired since;
* who is refused is in the audit log, as he would be at the node's other port.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import h11

from ...addresses import is_loopback, split_address
from ...audit import AuditRecord, Speaker, certificate_refused, denial, token_refused
from ...errors import ConfigError, Denied, Refused, TokenRefused
from ...identity import ANONYMOUS, Identity
from ...policy.document import Right
from ...policy.rights import CLUSTER
from ...tls.subject import Certificate, marks_of, subject_of
from .. import log
from ..securing import Securing, WrongCertificate
from ..tokens import TokenCheck
from .sources import NodeSources

OPEN = "/livez"
"""What everybody is told who can connect: that the process answers. It says nothing of the cluster."""
Tell = Callable[[AuditRecord, Speaker], None]


class NotShown(Denied):
    """Nobody has shown who he is, and the policy does not grant `admin` to everybody."""


class Presented(NamedTuple):
    """What a connection has shown.

    Args:
        address: where it comes from.
        identity: whom its certificate names.
        marks: of the certificate.
        ends_s: when that expires, in seconds since 1970.
        fault: why the certificate counts for nothing; empty if it does not.
    """

    address: str = ""
    identity: Identity = ANONYMOUS
    marks: tuple[str, ...] = ()
    ends_s: float = float("inf")
    fault: str = ""


class Askers:
    """Judges who asks.

    Args:
        sources: the node; its policy grants the right.
        securing: whom that refuses.
        tokens: finds the bearers of tokens.
        tell: writes to the audit log.
        now_s: the wall clock, in seconds since 1970.
    """

    def __init__(
        self,
        sources: NodeSources,
        securing: Securing,
        tokens: TokenCheck,
        tell: Tell,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._sources, self._securing, self._tokens = sources, securing, tokens
        self._tell, self._now_s = tell, now_s

    def shown(self, certificate: Certificate | None, der: bytes | None, address: str) -> Presented:
        """What a connection has shown; none of it is judged by the policy yet.

        Args:
            certificate: as `ssl` returns it, verified.
            der: its bytes.
            address: where the connection comes from.
        """
        if not certificate:
            return Presented(address)
        marks = marks_of(certificate, der or b"")
        ends_s = float(ssl.cert_time_to_seconds(certificate["notAfter"]))
        try:
            subject = subject_of(certificate, self._sources.parts.node.identity.cluster_id)
        except Refused as error:
            return Presented(address, ANONYMOUS, marks, ends_s, str(error))
        fault = f"the certificate is of {subject.identity}; a client's is needed here"
        is_client = subject.kind == "client"
        return Presented(address, subject.identity, marks, ends_s, "" if is_client else fault)

    def check(self, request: h11.Request, shown: Presented) -> Identity:
        """Who asks.

        Raises:
            TokenRefused: if his token is not accepted.
            WrongCertificate: if his certificate is not, or not any more.
            Denied: if he has not the right `admin`; `NotShown` if he has shown nothing.
            Unreachable: if this node cannot say whose the token is.
            Refused: if the audit log is required and cannot be written.
        """
        who = shown.identity
        try:
            self._check_certificate(shown)
            bearer = _headers(request).get(b"authorization", b"")
            if bearer:
                who = self._bearer(bearer)
            self._sources.check_administers(who)
        except TokenRefused:
            self._turned_away(token_refused(), Speaker(address=shown.address))
            raise
        except WrongCertificate:
            named = str(shown.identity) if shown.identity != ANONYMOUS else ""
            self._turned_away(certificate_refused(named), Speaker(address=shown.address))
            raise
        except Denied as error:
            policy = self._sources.parts.policies.obeyed
            told = denial(None, str(Right.ADMIN), CLUSTER, policy)
            self._turned_away(told, Speaker(str(who), shown.address))
            if who == ANONYMOUS:
                raise NotShown(
                    f"{error}: show a client's certificate, or a bearer token"
                ) from error
            raise
        return who

    def _check_certificate(self, shown: Presented) -> None:
        reason = shown.fault or self._securing.admitted.refused(shown.identity, shown.marks)
        if not reason and self._now_s() >= shown.ends_s:
            reason = "the certificate has expired since the connection was opened"
        if reason:
            raise WrongCertificate(reason)

    def _bearer(self, header: bytes) -> Identity:
        """S33: whose the token is. No certificate makes up for one that is not accepted."""
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer":
            raise TokenRefused("the header Authorization has no bearer token")
        who = self._tokens.bearer(token.strip()).identity
        reason = self._securing.admitted.refused(who, ())
        if reason:
            raise TokenRefused(reason)
        return who

    def _turned_away(self, record: AuditRecord, speaker: Speaker) -> None:
        event = "the admin listener has refused somebody"
        log.unproven(event, speaker.address, reason=record.event.value, identity=speaker.identity)
        self._tell(record, speaker)


def check_near(request: h11.Request) -> None:
    """Check a request at loopback, where everybody on the machine may ask.

    Only names of this machine are answered: another one is a page's that a browser was led to.

    Raises:
        TokenRefused: if it has a token, which others may have read.
        Denied: if it has another name.
    """
    headers = _headers(request)
    if headers.get(b"authorization"):
        raise TokenRefused("a token came without TLS, and is not looked at: revoke it")
    if not _is_of_this_machine(headers.get(b"host", b"").decode("ascii", "replace")):
        raise Denied("this listener answers to 127.0.0.1, [::1] and localhost alone")


def _is_of_this_machine(host: str) -> bool:
    try:
        name = split_address(host)[0] if ":" in host.rpartition("]")[2] else host.strip("[]")
        return name == "localhost" or is_loopback(name)
    except (ConfigError, ValueError):
        return False


def _headers(request: h11.Request) -> Mapping[bytes, bytes]:
    return {bytes(name): bytes(value) for name, value in request.headers}
