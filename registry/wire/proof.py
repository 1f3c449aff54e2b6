"""The proof of a peer: codes over what both sides said, computed with the cluster's secret. S05.

The side that dials opens with 32 fresh bytes. The side that answers sends 32 fresh bytes of its own,
and proves that it has the secret by a code over the whole opening, its own name, and both nonces. Only
then does the side that dials say its hello, under a code of its own.

* Each label names one role, so a code can never be sent back to the side that made it.
* The key of the link comes from both nonces, the cluster's id and both names. So no code is worth
  anything on another connection, or to another node.
* Each message of the greeting is numbered in its code. So none can be left out, repeated or moved.

Nothing here draws a nonce: they are given. All codes are compared in constant time.
"""

import hmac
from typing import Any

from ..cluster_secret import ClusterSecret, SecretKey
from ..errors import ProtocolError
from ..types import NodeId
from .codec import decode, encode
from .handshake import PeerOpened, PeerOpening, Sealed

ANSWERS, LINK = b"decreed: I answer an opening", b"decreed: the key of a link"
DIALS_SAYS, ANSWERS_SAYS = b"decreed: the dialling side says", b"decreed: the answering side says"
"""The labels of the codes: one for each role."""


class Unproven(ProtocolError):
    """The other side has not shown that it has the secret of this cluster."""


def answered(
    secret: ClusterSecret, opening: PeerOpening, node: NodeId, nonce: bytes
) -> tuple[PeerOpened, "Seals"]:
    """The answer to an opening, and the codes of what follows, for the side that answers.

    Args:
        secret: what this node proves.
        opening: what the other side has said.
        node: this node.
        nonce: 32 fresh bytes.
    """
    said = _said(opening, node, nonce)
    opened = PeerOpened(node, nonce, secret.used.code(ANSWERS, said))
    return opened, Seals(secret.used.derived(LINK, said), says=ANSWERS_SAYS, hears=DIALS_SAYS)


def checked(secret: ClusterSecret, opening: PeerOpening, opened: PeerOpened) -> "Seals":
    """The codes of what follows, for the side that dials, once the answer has proven its secret.

    Args:
        secret: what this node accepts.
        opening: what it has said.
        opened: what it was answered.

    Raises:
        Unproven: if the other side does not have it.
    """
    said = _said(opening, opened.node, opened.nonce)
    for key in secret.keys:
        if hmac.compare_digest(opened.proof, key.code(ANSWERS, said)):
            return Seals(key.derived(LINK, said), says=DIALS_SAYS, hears=ANSWERS_SAYS)
    raise Unproven(
        f"what calls itself node {opened.node} does not have the secret of this cluster: give every"
        " node the same cluster.secret, and check the address"
    )


class Seals:
    """The codes of one greeting's messages, as one side makes and checks them.

    Args:
        key: of this link alone.
        says, hears: the labels of this side and of the other one.
    """

    def __init__(self, key: SecretKey, *, says: bytes, hears: bytes) -> None:
        self._key = key
        self._says, self._hears = says, hears
        self._said = self._heard = 0

    def seal(self, message: object) -> Sealed:
        """The next message of this side, under its code."""
        data = encode(message)
        proof = self._key.code(self._says, _numbered(self._said, data))
        self._said += 1
        return Sealed(data, proof)

    def open(self, sealed: Sealed, kind: Any) -> Any:
        """The next message of the other side, which is not looked into before its code is right.

        Raises:
            Unproven: if the code is wrong.
            ProtocolError: if it is not of `kind`.
        """
        due = self._key.code(self._hears, _numbered(self._heard, sealed.message))
        if not hmac.compare_digest(sealed.proof, due):
            raise Unproven(
                "a message of the greeting does not prove the secret of this cluster: a stranger, or a"
                " node with another cluster.secret"
            )
        self._heard += 1
        return decode(sealed.message, kind)


def _said(opening: PeerOpening, node: NodeId, nonce: bytes) -> bytes:
    """All that both sides have said before the first code, in one form."""
    return encode((opening, node, nonce))


def _numbered(number: int, data: bytes) -> bytes:
    return number.to_bytes(8, "big") + data
