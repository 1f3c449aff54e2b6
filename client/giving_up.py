"""Giving up a claim of a lock: the nodes are told, whatever becomes of the caller.

A deadline may strike while a term is on its way to the caller. Only he can say that he does not want it
any more: to the nodes, a connection that broke says nothing. So he says it, and shows his secret.

Invariants kept here:

* it is said by a task of the client, which a cancelled caller does not stop, until a prepare quorum
  has taken it or one ttl is over, after which no term of the claim can last. With `MANY` of them at
  work, as when no quorum has answered for long, a further one is said while its caller waits;
* the caller waits for `GIVE_UP_SECONDS` at most;
* it is said to each node that was asked, so that waiters leave their queues at once, and until a
  quorum has taken it to others too.
"""

from collections.abc import Sequence

import anyio

from ..registry.locks.secret import Secret
from ..registry.locks.terms import TermClaim
from .asker import Asker
from .attempt import Reply
from .errands import HEDGE_SECONDS
from .link import Link
from .lock_errands import to_give_up
from .settle import settle

GIVE_UP_SECONDS = 2.0
# for so long a node that was asked is told by ourselves; the others tell it too
TELL_SECONDS = 10.0
MANY = 1_000


class GivingUp:
    """One claim, which is given up at most once.

    Args:
        asker: asks the cluster.
        lock: the lock's name.
        claim: what is given up.
        secret: proves that it is ours.
    """

    def __init__(self, asker: Asker, lock: str, claim: TermClaim, secret: Secret) -> None:
        self._asker = asker
        self._lock, self._claim, self._secret = lock, claim, secret
        self._begun = False
        self._taken = False
        self._untold = 0
        self._told = anyio.Event()
        self._over = anyio.Event()
        """Set when a quorum has taken it, and at the end."""

    def begin(self, asked: Sequence[Link]) -> None:
        """Say it from now on, to the nodes behind `asked` first."""
        if not self._begun and not self._asker.pool.closed:
            self._begun = True
            self._asker.pool.tasks.spawn(lambda: self._say(asked))
            self._asker.pool.tasks.say(self._until_over)

    async def wait(self) -> bool:
        """Whether a prepare quorum has taken it; waits a bounded time, even if cancelled."""
        if self._begun:
            with anyio.move_on_after(GIVE_UP_SECONDS, shield=True):
                await self._over.wait()
        return self._taken

    async def _until_over(self) -> None:
        await self._over.wait()

    async def _say(self, asked: Sequence[Link]) -> None:
        try:
            crowded = self._asker.pool.tasks.unsaid > MANY
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
        """Say it to one node, or to one after the other, until a quorum has taken it."""
        errand = to_give_up(self._lock, self._claim, self._secret, link)
        [result] = await settle(self._asker.pool, [errand], until)
        if isinstance(result, Reply):
            self._taken = True
            self._told.set()
            self._over.set()
