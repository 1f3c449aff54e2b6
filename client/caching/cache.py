"""The cache: decrees in memory and, optionally, on disk. Decrees never change, so it is never stale.

Invariants kept here:

* All decrees in memory belong to one formation. When another formation is seen, all are dropped.
* The disk is read and written on worker threads, one call at a time; callers never wait for a
  write, and faults of the disk raise no errors for them.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from ...registry.types import Decree, Key
from ...registry.wire.handshake import ClientWelcome
from ..transport.journal import Journal
from ..transport.wakeup import Wakeup
from .memory import Memory

if TYPE_CHECKING:
    # a client without a disk cache loads neither SQLite nor threads
    import anyio

    from .cache_directory import CacheDirectory
    from .disk import DecreeFile

LOG = Journal(__name__)
MAX_UNWRITTEN = 10_000
CLOSE_SECONDS = 5.0

T = TypeVar("T")


class Cache:
    """All decrees that one client holds.

    Args:
        memory: the table in memory.
        cache_directory: the directory on disk, or None for no disk cache.
        addresses: the endpoints of the client, by which a disk cache is found again.
    """

    def __init__(
        self, memory: Memory, cache_directory: "CacheDirectory | None", addresses: Iterable[str]
    ) -> None:
        self.memory = memory
        self.formation: bytes | None = None
        self._cache_directory = cache_directory
        self._addresses = frozenset(addresses)
        self._welcome: ClientWelcome | None = None
        self._opened_for: ClientWelcome | None = None
        self._file: DecreeFile | None = None
        self._turn: anyio.Lock | None = None
        self._unwritten: deque[tuple[bytes, Decree]] = deque(maxlen=MAX_UNWRITTEN)
        self._wakeup = Wakeup()

    @property
    def confirmed(self) -> bool:
        """Whether a node told the formation, rather than a guess from the disk."""
        return self._welcome is not None

    @property
    def on_disk(self) -> bool:
        """Whether there is a disk cache."""
        return self._cache_directory is not None

    def inherit(self, known: "Cache") -> None:
        """In a forked process: take over the formation that the parent's cache knew.

        The decrees in memory belong to that formation, whenever the fork happened: `memory` is emptied
        before the formation changes. The parent's file is not touched; it is opened again when needed.
        """
        self.formation, self._welcome = known.formation, known._welcome
        self.memory.recount()

    def adopt(self, welcome: ClientWelcome) -> None:
        """Take the formation that a node told, and drop the decrees of any other."""
        if welcome.formation is None:
            return
        if welcome.formation != self.formation:
            if self.formation is not None:
                LOG.info("the cluster was formed again: the cache is dropped")
            self.memory.clear()
            self.formation = welcome.formation
        if self._welcome is None or self._welcome.formation != welcome.formation:
            self._welcome = welcome
            self._wakeup.wake()

    def put(self, formation: bytes | None, decree: Decree) -> None:
        """Cache a decree from a node of `formation`."""
        if formation is None or formation != self.formation:
            return
        self.memory.put(decree)
        if self._cache_directory is not None:
            self._unwritten.append((formation, decree))
            self._wakeup.wake()

    async def recall(self, keys: Iterable[Key]) -> dict[Key, Decree]:
        """The decrees of `keys` that are cached, in memory or on disk."""
        found: dict[Key, Decree] = {}
        missing: list[Key] = []
        for key in keys:
            decree = self.memory.get(key)
            if decree is None:
                missing.append(key)
            else:
                found[key] = decree
        if missing and self._cache_directory is not None and self.formation is not None:
            found.update(await self._recall_from_disk(missing))
        return found

    async def fall_back(self) -> None:
        """When no node answers: use the newest formation that was seen at our endpoints, if any."""
        cache_directory = self._cache_directory
        if cache_directory is None or self.formation is not None:
            return
        guess = await self._off_loop(lambda: cache_directory.guess(self._addresses))
        # a welcome may have come in the meantime, and takes precedence
        if guess is not None and self.formation is None:
            self.formation, self._file = guess

    async def write(self) -> None:
        """Write decrees to disk as they come, until cancelled; the rest is written then."""
        import anyio

        try:
            while True:
                await self._wakeup.wait()
                await self._flush()
        finally:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await self._flush()
                await self._off_loop(self._close)

    async def _recall_from_disk(self, keys: list[Key]) -> dict[Key, Decree]:
        formation, welcome = self.formation, self._welcome
        decrees = await self._off_loop(lambda: self._read_file(welcome, keys))
        if formation != self.formation:
            return {}
        for decree in decrees:
            self.memory.put(decree)
        return {decree.key: decree for decree in decrees}

    async def _flush(self) -> None:
        welcome = self._welcome
        if welcome is not None:
            await self._off_loop(lambda: self._write_file(welcome))

    # ---- on a worker thread, one at a time ----

    def _read_file(self, welcome: ClientWelcome | None, keys: list[Key]) -> list[Decree]:
        file = self._file_of(welcome)
        return file.get(keys) if file else []

    def _write_file(self, welcome: ClientWelcome) -> None:
        file = self._file_of(welcome)
        # taken only here: a flush that is cancelled before it gets here must lose nothing
        waiting = [self._unwritten.popleft() for _ in range(len(self._unwritten))]
        decrees = [decree for formation, decree in waiting if formation == welcome.formation]
        if file and decrees:
            file.put(decrees)

    def _file_of(self, welcome: ClientWelcome | None) -> "DecreeFile | None":
        """The file of the formation in `welcome`; without a welcome, the best guess."""
        if welcome is None or welcome is self._opened_for:
            return self._file
        self._close()
        if self._cache_directory is not None and welcome.formation is not None:
            addresses = self._addresses | {member.address for member in welcome.members}
            self._file = self._cache_directory.take(
                welcome.cluster_id, welcome.formation, addresses
            )
            self._opened_for = welcome
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def _off_loop(self, work: Callable[[], T]) -> T:
        import anyio
        import anyio.to_thread

        if self._turn is None:
            self._turn = anyio.Lock()
        async with self._turn:
            return await anyio.to_thread.run_sync(work)
