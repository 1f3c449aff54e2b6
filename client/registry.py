"""`Registry`: everything that a cluster offers, keys and locks; and how the client is closed."""

from types import TracebackType
from typing import Self

from .keys import Keys
from .locks.locking import Locking
from .requests.sender import RequestSender


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

    def __repr__(self) -> str:
        return f"<decreed.client.Registry {self._sender}>"

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
