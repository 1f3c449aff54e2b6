"""Giving up a claim of a lock: the nodes are told, even if the caller is cancelled.

A deadline may pass while a term is on its way to the caller. Only the caller can say that it no longer
wants the term: a broken connection tells the nodes nothing. So the client sends a give-up, with the
secret of the claim as its proof.

Invariants kept here:

* a task of the client, which a cancelled caller does not stop, sends it until a prepare quorum has
  accepted it or one ttl has passed, after which no term of the claim can last. When more than `MANY`
  are under way, as when no quorum has answered for long, further ones are sent only while their callers
  wait;
* the caller waits for `GIVE_UP_SECONDS` at most;
* it is sent to each node that was asked, so that waiters leave their queues immediately, and to others
  too until a quorum has accepted it.
"""

from collections.abc import Sequence

import anyio

from ...registry.locks.secret import Secret
from ...registry.locks.terms import TermClaim
from ..requests.attempt import NodeReply
from ..requests.operations import HEDGE_SECONDS
from ..requests.sender import RequestSender
from ..transport.link import Link
from .operations import to_give_up

GIVE_UP_SECONDS = 2.0
# how long the client itself tries to tell a node that was asked; the other nodes tell it too
TELL_SECONDS = 10.0
MANY = 1_000


class GivingUp:
    """One claim, which is given up at most once.

    Args:
        sender: sends requests to the cluster.
        lock: the lock's name.
        claim: what is given up.
        secret: proves that it is ours.
    """

    def __init__(self, sender: RequestSender, lock: str, claim: TermClaim, secret: Secret) -> None:
        self._sender = sender
        self._lock, self._claim, self._secret = lock, claim, secret
        self._begun = False
        self._taken = False
        self._untold = 0
        self._told = anyio.Event()
        self._over = anyio.Event()
        """Set when a quorum has accepted it, and at the end."""

    def begin(self, asked: Sequence[Link]) -> None:
        """Start to send it, to the nodes of `asked` first."""
        if not self._begun and not self._sender.pool.closed:
            self._begun = True
            self._sender.pool.tasks.spawn(lambda: self._say(asked))
            self._sender.pool.tasks.say(self._until_over)

    async def wait(self) -> bool:
        """Whether a prepare quorum has accepted it; waits a bounded time, even if cancelled."""
        if self._begun:
            with anyio.move_on_after(GIVE_UP_SECONDS, shield=True):
                await self._over.wait()
        return self._taken

    async def _until_over(self) -> None:
        await self._over.wait()

    async def _say(self, asked: Sequence[Link]) -> None:
        try:
            crowded = self._sender.pool.tasks.unsaid > MANY
            longest = 0.0 if crowded else self._claim.ttl_ms / 1000
            until = anyio.current_time() + max(GIVE_UP_SECONDS, longest)
            async with anyio.create_task_group() as tasks:
                self._untold = len(asked)
                for link in asked:
                    tasks.start_soon(self._tell, link, until)
                if asked:
                    with anyio.move_on_after(HEDGE_SECONDS):
                        await self._told.wait()
                if not self._taken:
                    await self._settle(None, until)
        finally:
            self._over.set()

    async def _tell(self, link: Link, until: float) -> None:
        """Tell a node that was asked."""
        await self._settle(link, min(until, anyio.current_time() + TELL_SECONDS))
        self._untold -= 1
        if not self._untold:
            self._told.set()

    async def _settle(self, link: Link | None, until: float) -> None:
        """Send it to one node, or to one after another, until a quorum has accepted it."""
        operation = to_give_up(self._lock, self._claim, self._secret, link)
        [result] = await self._sender.settle([operation], until)
        if isinstance(result, NodeReply):
            self._taken = True
            self._told.set()
            self._over.set()
