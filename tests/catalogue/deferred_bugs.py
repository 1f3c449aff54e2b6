"""Mistakes with writes that ask for no sync: they ride with the next that does, or go 20 ms later."""

from .bug import Bug, Change

_DEFERRED_TESTS = "storage/test_deferred.py"
_IDLE_TESTS = "server/test_deferring.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


RIDING = (
    _bug(
        "what waits is not written before the batch that comes after it",
        _DEFERRED_TESTS,
        "storage.deferred",
        "        batch = {**self._waiting, **changes} if self._waiting else changes\n",
        "        batch = changes\n",
    ),
    _bug(
        "what waits overwrites the batch that comes after it",
        _DEFERRED_TESTS,
        "storage.deferred",
        "        batch = {**self._waiting, **changes} if self._waiting else changes\n",
        "        batch = {**changes, **self._waiting} if self._waiting else changes\n",
    ),
    _bug(
        "a read of keys does not see what waits",
        _DEFERRED_TESTS,
        "storage.deferred",
        "if not waiting or waiting.keys().isdisjoint(keys):",
        "if True:",
    ),
    _bug(
        "a read of a range does not see what waits",
        _DEFERRED_TESTS,
        "storage.deferred",
        "        if not waiting:\n            return read(within, limit)\n",
        "        if True:\n            return read(within, limit)\n",
    ),
    _bug(
        "a read of a range is short by what was deleted and waits",
        _DEFERRED_TESTS,
        "storage.deferred",
        "read(within, limit + len(waiting))",
        "read(within, limit)",
    ),
    _bug(
        "a sync leaves out what waits",
        _DEFERRED_TESTS,
        "storage.deferred",
        "            self._put_down({}, sync=True)\n",
        "            self._data.sync()\n",
    ),
    _bug(
        "what waits goes down after a batch that failed",
        _DEFERRED_TESTS,
        "storage.deferred",
        "        self._has_failed = True\n",
        "",
    ),
    _bug(
        "any number of bytes may wait",
        _DEFERRED_TESTS,
        "storage.deferred",
        "        if self._size > self._max_bytes:\n            self.write_deferred()\n",
        "",
    ),
    _bug(
        "an end loses what waits",
        _DEFERRED_TESTS,
        "storage.deferred",
        "        with suppress(StorageFailed):\n            self.write_deferred()\n",
        "",
    ),
)

IN_THE_LOOP = (
    _bug(
        "an idle node never writes what waits",
        _IDLE_TESTS,
        "registry.server.node_loop",
        "            self._deferred_ms = self.now_ms() + DEFERRED_MS\n",
        "            self._deferred_ms = math.inf\n",
    ),
    _bug(
        "every batch without a sync puts off the time of the first",
        _IDLE_TESTS,
        "registry.server.node_loop",
        "        elif self._deferred_ms == math.inf:\n",
        "        else:\n",
    ),
    _bug(
        "the replica is not told that what waited could not be written",
        _IDLE_TESTS,
        "registry.server.node_loop",
        "            self._inbox.put_first(WriteFailed(str(error), ()))\n",
        "            log.info(str(error))\n",
    ),
)

BUGS = RIDING + IN_THE_LOOP
