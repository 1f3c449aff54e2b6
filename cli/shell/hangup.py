"""SIGHUP: a node reads or opens again what somebody else has replaced.

There is one receiver for all that does so, since a second one for the same signal would take its place.
Without anything to do the signal keeps its usual meaning.
"""

import signal
from collections.abc import Callable, Sequence

import trio

from ...registry.server import log


async def renew_on_hangup(
    renewals: Sequence[Callable[[], None]],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call each of `renewals` at every SIGHUP, until cancelled.

    A process that was started by ``nohup`` does so too: it heeds the signal, and survives it.

    Args:
        renewals: what to do; an error of one ends the node.
        task_status: is told when the signal is heeded.
    """
    if not renewals:
        task_status.started()
        return
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            log.info("renewing what may have been replaced", signal="SIGHUP")
            for renew in renewals:
                renew()
