"""What a node demands of a connection before it listens to it: TLS, and a certificate that fits.

One port serves all. The first byte tells whether the other side speaks TLS; who does not do as this
node does is told so, in its own way. Whose certificate it is counts only once the greeting says who
it wants to be (S04):

* A peer has the certificate of the very node that its hello names, in both directions.
* A client has a client's certificate, or none. A node's certificate is taken for a client's only over
  loopback at that very node, where its key opens its disk too (S24).
* A client that shows a token is whom the token names, whatever its certificate says (S33). Tokens come
  over TLS alone. One that is not accepted ends the connection: nobody falls back to less.

While a cluster moves over to TLS, `accept_plain` lets connections without TLS in as well (S13). Peers
prove the cluster's secret on them. A node that has TLS dials with it first, and without it only where
it was just answered so.
"""

from contextlib import suppress

from ..errors import ProtocolError, Refused, TokenRefused
from ..identity import ANONYMOUS, Identity
from ..tls.records import begins_tls
from ..tls.session import Session
from ..tls.subject import Subject, subject_of
from ..wire.handshake import ClientHello, PeerHello, PeerOpening, Refusal, TokenHello
from ..wire.status import CertificatePart
from .admitted import Admitted
from .connections import Connection, NothingSaid
from .credentials import Credentials
from .handshakes import Handshakes
from .secured import HandshakeCut, NoTls
from .tokens import TokenCheck

_ONLY_TLS = "this node speaks TLS alone: give its CA (--ca FILE, or tls=…)"
_TOKEN_SEEN = (
    "a token came without TLS, where others can read it, and is not accepted: revoke it, and connect"
    " with TLS (--ca FILE, or tls=…)"
)
_NO_TLS = "this node speaks no TLS: leave out --ca, --cert and --key"


class WrongCertificate(Refused):
    """The certificate is not of whom the greeting says. It does not help to come again with it."""


class Securing:
    """The demands of one node.

    Args:
        cluster_id, node: whose they are.
        credentials: for TLS; None for connections without.
        tokens: finds the bearers of tokens; None: there are none.
        accepts_plain: whether connections without TLS are let in as well, while the cluster moves over.

    Attributes:
        admitted: who was let in.
        credentials, accepts_plain: as given.
    """

    def __init__(
        self,
        cluster_id: str,
        node: str,
        credentials: Credentials | None,
        tokens: TokenCheck | None = None,
        *,
        accepts_plain: bool = False,
    ) -> None:
        self._cluster_id, self._node = cluster_id, node
        self._tokens = tokens or TokenCheck(cluster_id, lambda: None, lambda: True)
        self.credentials = credentials
        self.accepts_plain = accepts_plain and credentials is not None
        self.admitted = Admitted(self._tokens.is_gone)
        self._handshakes = Handshakes()
        self._plain_at: set[str] = set()

    @property
    def own_fault(self) -> str:
        """Why the other nodes let this one in no more; empty if they do."""
        marks = self.credentials.contexts.marks if self.credentials is not None else ()
        reason = self.admitted.refused(Identity("node", self._node), marks)
        return f"{reason}: other nodes have no link with this one" if reason else ""

    def distrusts(self, errors: BaseExceptionGroup[BaseException]) -> bool:
        """Whether the errors of a dial speak against who is there.

        Without TLS they say nothing. A node that stops closes connections that it has just taken, and
        while the cluster moves over, some nodes have no TLS yet.
        """
        harmless = (NothingSaid, HandshakeCut, *((NoTls,) if self.accepts_plain else ()))
        return self.credentials is not None and errors.subgroup(harmless) is None

    async def pace(self) -> None:
        """Let handshakes that wait begin at their rate, until cancelled."""
        await self._handshakes.keep_pace()

    async def accept(self, connection: Connection) -> None:
        """Shake hands with the side that connected, if this node has TLS.

        Raises:
            ProtocolError: if that fails, or if one side speaks TLS and the other does not.
        """
        with connection.greets_in_time():
            first = await connection.first_bytes()
            if not begins_tls(first):
                await self._accept_plain(connection, first)
                return
            if self.credentials is None:
                await connection.send(Refusal(ProtocolError.code, _NO_TLS))
                raise ProtocolError("it speaks TLS, and this node does not")
            await self._handshakes.turn(connection.host)
            with self._handshakes.one(connection.host):
                session = Session(self.credentials.contexts.accepting, "accepts")
                await connection.secure(session, first)
            with suppress(Refused):  # said by `identify`, when the other side listens
                self._shown(connection)

    async def _accept_plain(self, connection: Connection, first: bytes) -> None:
        if self.credentials is not None and not self.accepts_plain:
            await connection.send(Refusal(ProtocolError.code, _ONLY_TLS))
            raise ProtocolError("it speaks without TLS, and this node does not")
        connection.begin(first)

    async def dial(self, connection: Connection, peer: str | None) -> None:
        """Shake hands with the node that was dialled, if this node has TLS.

        Args:
            connection: to it.
            peer: which node it must be; None for any of the cluster.

        Raises:
            NoTls: if it answers without TLS. If that is allowed, the next dial to there has none.
            ProtocolError: if that fails, or if it is another one.
        """
        there = connection.peer_name
        if self.credentials is None or there in self._plain_at:
            self._plain_at.discard(there)
            return
        try:
            await connection.secure(Session(self.credentials.contexts.dialling, "dials"))
        except NoTls:
            if self.accepts_plain:
                self._plain_at.add(there)
            raise
        try:
            subject = self._shown(connection)
        except Refused as error:
            raise ProtocolError(str(error)) from error
        if subject is None or subject.kind != "node" or peer not in (None, subject.name):
            shown = subject.identity if subject is not None else "nobody"
            raise ProtocolError(f"the certificate of {peer or 'a member'} is of {shown}")

    def identify(
        self, connection: Connection, greeting: ClientHello | TokenHello | PeerHello | PeerOpening
    ) -> None:
        """Check a certificate against what its owner wants to be, and a token.

        That fixes whose a client's connection is. A peer's is fixed once the peer is proven.

        Raises:
            WrongCertificate: if certificate and greeting do not go together.
            TokenRefused: if a token is not accepted.
            RefusedByPolicy: if the policy refuses this client.
            Unreachable: if this node cannot say whose a token is.
        """
        try:
            subject = self._shown(connection)
            match greeting:
                case ClientHello() | TokenHello():
                    client = self._client(connection, subject)
                case PeerHello():
                    return self._check_peer(connection, subject, greeting.identity.node)
                case PeerOpening():
                    return self._check_peer(connection, subject, greeting.node)
        except Refused as error:
            raise WrongCertificate(str(error)) from error
        if isinstance(greeting, TokenHello):
            client = self._bearer(connection, greeting)
        self.admitted.admit(connection, client, CertificatePart.CLIENT)

    def _bearer(self, connection: Connection, greeting: TokenHello) -> Identity:
        """S33: whose the token is. No certificate makes up for one that is not accepted."""
        if not connection.has_tls:
            raise TokenRefused(_TOKEN_SEEN)
        bearer = self._tokens.bearer(greeting.token)
        connection.expire_at(bearer.expires_s)
        return bearer.identity

    def _shown(self, connection: Connection) -> Subject | None:
        certificate = connection.certificate
        if not certificate:
            return None
        connection.go_by(certificate)
        subject = subject_of(certificate, self._cluster_id)
        connection.certified = subject.identity
        return subject

    def _check_peer(self, connection: Connection, subject: Subject | None, node: str) -> None:
        if not connection.has_tls:  # the secret is proven next
            return
        said = Identity("node", node)
        if subject is None:
            raise Refused(f"{said} has no certificate, and a node needs one of its own")
        if subject.identity != said:
            raise Refused(f"the certificate is of {subject.identity}, and the greeting of {said}")

    def _client(self, connection: Connection, subject: Subject | None) -> Identity:
        if subject is None:
            return ANONYMOUS
        own = subject.name == self._node and connection.is_of_this_machine
        if subject.kind == "node" and not own:
            raise Refused(
                f"the certificate is of {subject.identity}: a client needs one of its own, except on"
                " the machine of that very node"
            )
        return subject.identity
