"""`Registry`: everything that a cluster offers, keys and locks; and how the client is closed."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from .keys import Keys
from .locks.locking import Locking
from .requests import arguments
from .requests.sender import RequestSender

if TYPE_CHECKING:
    from .requests.policies import PolicyClient


class Registry(Keys, Locking):
    """A cluster of decreed servers; made by `decreed.client.connect`, or by `open_registry`.

    Any number of tasks may use it at once. Every call that asks the cluster takes a `timeout`: seconds
    as a number, or a ``datetime.timedelta``. It covers connecting and trying other nodes; None is the
    time given to `connect`. A cancelled call leaves the registry usable; whether a cancelled claim is
    chosen is unknown.

    Besides what each call names, any call may raise `errors.Closed` (the registry was closed, or
    belongs to another event loop or to the process that this one was forked from), `errors.BadRequest`
    (an argument is malformed or of the wrong type, and nothing was sent), `errors.Unreachable` (no
    quorum answered in time, and nothing was or will be chosen by this call), and `errors.Disputed` or
    `errors.Damaged` (what the nodes have stored cannot be trusted).

    Args:
        sender: sends requests to the cluster.
        claimant: the name in claims that do not set one.
    """

    def __init__(self, sender: RequestSender, claimant: str) -> None:
        Keys.__init__(self, sender, claimant)
        Locking.__init__(self, sender, claimant)

    @property
    def policy(self) -> "PolicyClient":
        """Reads and applies the policies of the cluster, which say who may do what."""
        from .requests.policies import PolicyClient

        return PolicyClient(self._sender, self._claimant)

    def __repr__(self) -> str:
        return f"<decreed.client.Registry {self._sender}>"

    def acting_for(self, identity: str) -> "Registry":
        """The same cluster for somebody else, as a gateway asks it.

        The policy must grant ``act-for`` to this client, and what is asked to both. What is claimed is
        claimed by the one who is named: the decree has his identity, and the audit log both.

        The view holds no decrees: what this client has read may be what the other one may not. So
        each read asks a node.

        Args:
            identity: for whom, such as ``client/bob`` or ``token/ci``; never a node.

        Returns:
            A view of this client: it has the same calls, and ends with this client.

        Raises:
            BadRequest: if the text is no such identity.
        """
        sender = self._sender.acting_for(arguments.identity(identity))
        return Registry(sender, self._claimant)

    async def aclose(self) -> None:
        """Close the client: calls that are under way end with `Closed`, or `OutcomeUnknown`.

        Any task of the client's event loop may do so, once or several times. A lock that is still
        held gets no more keep-alives; it is free again after its ttl. If this is cancelled, the
        client is still closed.
        """
        await self._sender.lifetime.end()

    async def __aenter__(self) -> Self:
        self._sender.check_open_here()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
