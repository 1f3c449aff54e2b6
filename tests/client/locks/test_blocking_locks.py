"""Locks of blocking callers: threads, forks, interrupts, and losses that are always reported."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from decreed.client import sync
from decreed.registry.errors import BadRequest, LockHeld, LockLost, Reentrant

from ...support.background import Servers, servers
from ...support.processes import eventually

TTL = 1.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Servers]:
    with servers() as running:
        yield running


@pytest.fixture
def registry(cluster: Servers) -> Iterator[sync.Registry]:
    with sync.connect(*cluster.endpoints) as registry:
        yield registry


def test_a_block_holds_the_lock_and_releases_it(registry: sync.Registry) -> None:
    for term in (1, 2):
        with registry.lock("plain", ttl=TTL) as lock:
            lock.ensure_held()
            assert (lock.token, lock.term, lock.holder.term) == (term, term, term)
            assert 0 < lock.remaining < TTL
        with pytest.raises(LockLost, match="not held"):
            lock.ensure_held()


def test_a_lock_is_kept_although_the_block_does_nothing(registry: sync.Registry) -> None:
    with registry.lock("kept", ttl=1.2) as lock:
        assert not lock.lost.wait(2.6)
        lock.ensure_held()


def test_only_one_of_many_threads_is_inside(registry: sync.Registry) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> int:
        with registry.lock("threads", ttl=10) as lock:
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)
            return lock.token

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(work, range(24)))
    assert max(most) == 1
    assert sorted(tokens) == list(range(1, 25))


def test_a_thread_that_has_the_lock_is_refused(registry: sync.Registry) -> None:
    with registry.lock("mine"):
        with pytest.raises(Reentrant, match="this thread"), registry.lock("mine"):
            pytest.fail("entered twice")
        with pytest.raises(LockHeld), sync_lock_elsewhere(registry, "mine"):
            pytest.fail("both have it")


def sync_lock_elsewhere(registry: sync.Registry, name: str) -> ThreadPoolExecutor:
    """Ask for the lock in another thread, without waiting; its errors are raised here."""

    def ask() -> None:
        with registry.lock(name, wait=0):
            pass

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result(20)
    return pool


def test_errors_of_the_block_are_raised_and_the_lock_is_free(registry: sync.Registry) -> None:
    with pytest.raises(KeyError, match="mine"), registry.lock("raises", ttl=30):
        raise KeyError("mine")
    with registry.lock("raises", wait=5) as lock:
        assert lock.term == 2


def test_a_loss_is_reported_and_raised_after_the_block(registry: sync.Registry) -> None:
    told: list[str] = []
    with (
        pytest.raises(LockLost, match="broken"),
        registry.lock("broken", ttl=TTL, on_lost=told.append) as lock,
    ):
        registry.break_lock(lock.holder, "it hangs")
        assert lock.lost.wait(10)
        with pytest.raises(LockLost):
            lock.ensure_held()
    eventually("on_lost was called", lambda: len(told) == 1)
    assert "broken" in told[0]


def test_an_error_of_the_block_is_not_masked_by_the_loss(registry: sync.Registry) -> None:
    with pytest.raises(KeyError) as caught, registry.lock("both", ttl=TTL) as lock:
        registry.break_lock(lock.holder, "it hangs")
        assert lock.lost.wait(10)
        raise KeyError("mine")
    assert "was lost" in caught.value.__notes__[0]


def test_a_loss_is_reported_even_if_the_clients_thread_hangs(cluster: Servers) -> None:
    told = threading.Event()
    go_on = threading.Event()
    with sync.connect(*cluster.endpoints) as registry:

        async def hang(_: object) -> None:
            go_on.wait(20)

        locked = registry.lock("hangs", ttl=0.8, on_lost=lambda reason: told.set())
        with pytest.raises(LockLost), locked as lock:
            stuck = threading.Thread(target=lambda: registry.portal.run(hang))
            stuck.start()
            assert told.wait(10), "the loss is noticed by a clock, not by the thread that hangs"
            with pytest.raises(LockLost, match="in time"):
                lock.ensure_held()
            go_on.set()
            stuck.join(10)


def test_a_failing_on_lost_is_logged(
    registry: sync.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(reason: str) -> None:
        raise RuntimeError(reason)

    with (
        pytest.raises(LockLost),
        registry.lock("fails", ttl=TTL, on_lost=fail) as lock,
    ):
        registry.break_lock(lock.holder, "it hangs")
        assert lock.lost.wait(10)
        eventually("it is logged", lambda: "on_lost of the lock" in caplog.text)


def said_in_a_fork(use: Callable[[], object]) -> str:
    """The error that `use` ends with in a forked process."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            use()
            os.write(writer, b"nothing")
        except LockLost as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(process, 0)
    return said


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_hold_what_its_parent_holds(registry: sync.Registry) -> None:
    locked = registry.lock("forked", ttl=30)
    with locked as lock:
        assert "forked" in said_in_a_fork(lock.ensure_held)
        # leaving the block there does not hang, and does not release the lock
        assert said_in_a_fork(lambda: locked.__exit__(None, None, None)) == "nothing"
        lock.ensure_held()
        lock_state = registry.lock_state("forked")
        assert lock_state is not None and lock_state.held


def test_leading_publishes_what_the_leader_says_of_itself(registry: sync.Registry) -> None:
    with registry.lead("scheduler", info={"url": "http://a"}) as term:
        seen = next(registry.observe("scheduler"))
        assert (seen.term, seen.info) == (term.term, b'{"url": "http://a"}')


def test_once_is_won_by_one_caller_and_by_repetitions_with_its_id(registry: sync.Registry) -> None:
    results = [registry.once("jobs/1", claim_id=f"worker-{number}") for number in range(3)]
    assert [result.won for result in results] == [True, False, False]
    assert registry.once("jobs/1", claim_id="worker-0").won


def test_a_block_that_a_second_thread_enters_stays_with_the_first(
    registry: sync.Registry, cluster: Servers
) -> None:
    block = registry.lock("entered", ttl=TTL)
    with block as lock, ThreadPoolExecutor(1) as pool, sync.connect(*cluster.endpoints) as other:

        def enter() -> None:
            with pytest.raises(BadRequest, match="entered before"), block:
                pass

        pool.submit(enter).result()
        lock.ensure_held()
        with pytest.raises(LockHeld), other.lock("entered", wait=0):
            pass


@pytest.mark.parametrize("moment_ms", [0, 1, 2, 4, 8])
def test_an_acquire_that_is_interrupted_in_a_hand_over_leaves_the_lock_to_others(
    registry: sync.Registry, cluster: Servers, moment_ms: int
) -> None:
    name = f"interrupted/{moment_ms}"
    asking = threading.Event()
    with sync.connect(*cluster.endpoints) as other, ThreadPoolExecutor(1) as pool:

        def hold() -> None:
            with other.lock(name, ttl=120):
                held.set()
                assert asking.wait(120)
                time.sleep(0.02)
                interrupt.start()

        interrupt = threading.Timer(moment_ms / 1000, lambda: os.kill(os.getpid(), signal.SIGINT))
        held = threading.Event()
        holding = pool.submit(hold)
        assert held.wait(120)
        with suppress(KeyboardInterrupt):
            asking.set()
            with registry.lock(name, ttl=120):
                pass
            interrupt.join()
            time.sleep(5)
        holding.result(120)
        with other.lock(name, wait=60):
            pass
