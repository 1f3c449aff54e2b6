"""The first contact of a client with little time: no node may use all of it. On a simulated clock."""

from decreed.client.requests.attempt import RequestAttempt
from decreed.client.requests.operations import to_meet
from decreed.client.requests.pool import Pool
from decreed.client.runtime.last_words import Tasks
from decreed.client.runtime.runtime import Admit
from decreed.client.transport.endpoints import Endpoint, parse_endpoints
from decreed.client.transport.link import Link
from decreed.client.transport.wakeup import Wakeup


class Mute(Link):
    """A link to a stopped node: connecting never ends."""

    def _start(self) -> None:
        pass

    def _wake_writer(self) -> None:
        pass

    def wake_watcher(self) -> None:
        pass


class Still:
    """A runtime whose time the test sets."""

    time = 0.0

    @property
    def tasks(self) -> Tasks:
        raise RuntimeError

    def now(self) -> float:
        return self.time

    def lock(self) -> object:
        raise RuntimeError

    async def listen(self, wakeup: Wakeup, until: float) -> None:
        raise RuntimeError

    def link(self, endpoint: Endpoint, admit: Admit) -> Mute:
        return Mute(endpoint, admit, self.now)

    def close(self) -> None:
        pass


def test_a_node_that_does_not_greet_leaves_time_for_another() -> None:
    still = Still()
    pool = Pool(parse_endpoints(["h:1", "h:2"]), still, lambda welcome: None)  # type: ignore[arg-type]
    attempt = RequestAttempt(to_meet(), pool, lambda attempt: None, deadline=0.3)
    attempt.advance(still.now())
    assert [pool.link(seed).running for seed in pool.seeds] == [True, False]
    still.time = attempt.wake_at
    assert still.time < 0.15
    attempt.advance(still.now())
    assert all(pool.link(seed).running for seed in pool.seeds)
