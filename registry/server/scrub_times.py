"""When a node scrubs its disk by itself: at intervals, the first time at a random moment of one.

So the nodes of a cluster, which start together, do not all scrub at the same time; nor does a node that
is restarted often never scrub, in the long run. The replica draws no random numbers.
"""

import random
from collections.abc import Callable

import trio

from ..replica.step.events import Event, ScrubDue

SECONDS_OF_AN_HOUR = 3_600


async def scrub_at_times(
    every_hours: float, chance: random.Random, post: Callable[[Event], None]
) -> None:
    """Post a `ScrubDue` every so many hours, until cancelled; never, if it is 0."""
    every_s = every_hours * SECONDS_OF_AN_HOUR
    if every_s:
        await trio.sleep(chance.random() * every_s)
        while True:
            post(ScrubDue())
            await trio.sleep(every_s)
