"""Who is let in, and whom the policy refuses (S36).

Invariants kept here:

* who is refused by the policy that this node obeys is not let in, as a client or a peer, on connections
  that come and on those that it makes, by identity or by certificate;
* a connection of somebody who is refused, or whose token the policy has no more, ends in the step in
  which the policy is learned: nothing that has come on it is taken any more, and nothing is sent on it.
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio

from ..errors import Denied
from ..identity import Identity
from ..policy.document import Policy
from ..policy.refusals import NOBODY, Refusals
from ..wire.status import CertificatePart, CertificateStatus
from . import log
from .connections import Connection

MAX_PEERS, MAX_CLIENTS = 64, 32
"""How many certificates of each are told: those that expire first."""


class RefusedByPolicy(Denied):
    """The policy refuses who is at the other end, or the certificate that was shown."""


class Admitted:
    """The connections that are let in, each until it ends.

    Args:
        is_gone: whether the token by which somebody is known is none any more.

    Attributes:
        peers_came: is set when a peer is let in, for those who tell of certificates.
    """

    def __init__(self, is_gone: Callable[[Identity], bool] = lambda _: False) -> None:
        self._is_gone = is_gone
        self.peers_came = trio.Event()
        self._refusals = NOBODY
        self._open: dict[Connection, CertificatePart] = {}

    def admit(self, connection: Connection, identity: Identity, part: CertificatePart) -> None:
        """Let somebody in; this fixes whose the connection is.

        Args:
            connection: the connection.
            identity: who it is, as he has proven.
            part: whether it is a peer's or a client's.

        Raises:
            RefusedByPolicy: if the policy refuses him, or the certificate that he has shown.
            ProtocolError: if the connection is another one's already.
        """
        reason = self._refusals.reason((identity, connection.certified), connection.marks)
        if reason:
            raise RefusedByPolicy(reason)
        connection.greeted_as(identity)
        self._open[connection] = part
        connection.at_end = partial(self._open.pop, connection, None)
        if part is CertificatePart.PEER:
            self.peers_came.set()

    def obey(self, policy: Policy, number: int) -> list[Connection]:
        """Refuse whom this policy refuses, and cut the connections of those who may stay no longer.

        Returns:
            These connections.
        """
        self._refusals = Refusals(policy.refused, number)
        cut: list[Connection] = []
        for connection in self._open:
            reason = self._why_cut(connection)
            if reason:
                log.warning("a connection is cut", address=connection.peer_name, reason=reason)
                connection.cut()
                cut.append(connection)
        return cut

    def _why_cut(self, connection: Connection) -> str:
        """Why a connection ends; empty if it goes on."""
        whose = connection.identity, connection.certified
        reason = self._refusals.reason(whose, connection.marks)
        if not reason and self._is_gone(connection.identity):
            return f"{connection.identity} is known by a token that is revoked or has expired"
        return reason

    def refused(self, identity: Identity, marks: Sequence[str]) -> str:
        """Why somebody with this certificate would not be let in; empty if he would."""
        return self._refusals.reason((identity,), marks)

    # -- who is there

    def certificates(self) -> list[CertificateStatus]:
        """The certificates of those that are let in now: of peers and then of clients."""
        peers, clients = self._shown(CertificatePart.PEER), self._shown(CertificatePart.CLIENT)
        return [*peers[:MAX_PEERS], *clients[:MAX_CLIENTS]]

    def _shown(self, part: CertificatePart) -> list[CertificateStatus]:
        """Each certificate once, with the number of its connections; the first to expire first."""
        found: dict[tuple[str, ...], CertificateStatus] = {}
        for connection, of in self._open.items():
            if of != part or not connection.marks:
                continue
            before = found.get(connection.marks)
            found[connection.marks] = CertificateStatus(
                part,
                str(connection.certified),
                connection.expires_ms,
                connection.marks,
                1 if before is None else before.connections + 1,
            )
        return sorted(found.values(), key=lambda each: (each.expires_ms, each.whose, each.marks))

    def without_tls(self) -> tuple[list[str], int]:
        """Whose connections have no TLS: the names of peers, and how many clients."""
        plain = [(one, part) for one, part in self._open.items() if not one.has_tls]
        peers = {one.identity.name for one, part in plain if part is CertificatePart.PEER}
        return sorted(peers), sum(part is CertificatePart.CLIENT for _, part in plain)
