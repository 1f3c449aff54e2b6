"""Mistakes in when records and files are durable, and in the clock of a step.

Simulated disks have no folders. `deferred_bugs` has the mistakes in what waits for a synced batch.
"""

from .bug import Bug, Change


def _bug(name: str, held_by: str, *changes: tuple[str, str, str]) -> Bug:
    made = tuple(Change(module, old, new) for module, old, new in changes)
    return Bug(name, made, held_by=held_by)


_SETTLING_TESTS = "replica/consensus/test_settled.py"
SETTLING = (
    _bug(
        "unsynced records are never settled",
        _SETTLING_TESTS,
        (
            "registry.replica.feed.catchup",
            "        step.settle()\n",
            "",
        ),
    ),
    _bug(
        "a step without records does not settle",
        _SETTLING_TESTS,
        (
            "registry.replica.step.step_builder",
            '        """Make everything durable that was written without a sync so far."""\n'
            "        self._effects.sync = True\n",
            '        """Make everything durable that was written without a sync so far."""\n'
            "        self._effects.sync = bool(self._effects.records)\n",
        ),
    ),
    _bug(
        "a message after the disk waits for no sync if there are no records",
        _SETTLING_TESTS,
        (
            "registry.replica.step.step_builder",
            " or bool(self._effects.after)",
            " or bool(self._effects.after and self._effects.records)",
        ),
    ),
    _bug(
        "a step without records forgets that something is unsynced",
        _SETTLING_TESTS,
        (
            "registry.replica.replica",
            "        unsynced = bool(effects.records) or self._unsynced\n",
            "        unsynced = bool(effects.records)\n",
        ),
    ),
    _bug(
        "a step that writes nothing settles what was written before",
        _SETTLING_TESTS,
        (
            "registry.replica.replica",
            "        self._unsynced = unsynced and not effects.sync\n",
            "        self._unsynced = bool(effects.records) and not effects.sync\n",
        ),
    ),
)

_TURNS_TESTS = "server/test_turns.py"
TURNS = (
    _bug(
        "the loop does not sync a step without records",
        _TURNS_TESTS,
        (
            "registry.server.node_loop",
            "if not effects.records and not effects.sync:",
            "if not effects.records:",
        ),
    ),
    _bug(
        "the clock is read before the last event arrives",
        _TURNS_TESTS,
        (
            "registry.server.node_loop",
            "        self._sockets.read()\n",
            "        self._early = self._moment()\n        self._sockets.read()\n",
        ),
        (
            "registry.server.node_loop",
            "self._replica.step(self._moment(), events, instances)",
            "self._replica.step(self._early, events, instances)",
        ),
    ),
    _bug(
        "the clock of a step is that of the previous step",
        _TURNS_TESTS,
        (
            "registry.server.node_loop",
            "        effects = self._replica.step(self._moment(), events, instances)\n",
            '        moment = getattr(self, "_last", self._moment())\n'
            "        effects = self._replica.step(moment, events, instances)\n"
            "        self._last = self._moment()\n",
        ),
    ),
    _bug(
        "timers run from the end of a slow write",
        _TURNS_TESTS,
        (
            "registry.server.node_loop",
            "            self._timers.set(now_ms, timer)\n",
            "            self._timers.set(self.now_ms(), timer)\n",
        ),
    ),
)

_SYNCING_TESTS = "storage/test_synced.py"
SYNCING = (
    _bug(
        "a store does not sync without records",
        _SYNCING_TESTS,
        (
            "storage.store",
            "        elif sync:\n            self.sync()\n",
            "",
        ),
    ),
    _bug(
        "a store forgets that something is unsynced",
        _SYNCING_TESTS,
        (
            "storage.store",
            "            self._unsynced = not sync\n",
            "            self._unsynced = False\n",
        ),
    ),
    _bug(
        "a store takes for synced what it was asked to sync",
        _SYNCING_TESTS,
        (
            "storage.store",
            "        elif sync:\n            self.sync()\n",
            "        elif sync:\n            self._unsynced = False\n",
        ),
    ),
    _bug(
        "RocksDB is flushed without a sync",
        _SYNCING_TESTS,
        (
            "storage.rocks",
            "            self._open().flush_wal(sync=True)\n",
            "            self._open().flush_wal(sync=False)\n",
        ),
    ),
)

_NAMES_TESTS = "storage/test_names_are_synced.py"
NAMES = (
    _bug(
        "a text takes another's place before it is synced",
        _NAMES_TESTS,
        (
            "storage.durable",
            "        file.flush()\n        os.fsync(file.fileno())\n    new.replace(path)\n",
            "        file.flush()\n"
            "    new.replace(path)\n"
            "    with path.open() as file:\n"
            "        os.fsync(file.fileno())\n",
        ),
    ),
    _bug(
        "a text is not synced",
        _NAMES_TESTS,
        (
            "storage.durable",
            "        os.fsync(file.fileno())\n",
            "",
        ),
    ),
    _bug(
        "a text is synced before it is flushed",
        _NAMES_TESTS,
        (
            "storage.durable",
            "        file.flush()\n",
            "",
        ),
    ),
    _bug(
        "the name of a text is not synced",
        _NAMES_TESTS,
        (
            "storage.durable",
            "    new.replace(path)\n    sync_names(path.parent)\n",
            "    new.replace(path)\n",
        ),
    ),
    _bug(
        "the name of a text is synced before it is there",
        _NAMES_TESTS,
        (
            "storage.durable",
            "    new.replace(path)\n    sync_names(path.parent)\n",
            "    sync_names(path.parent)\n    new.replace(path)\n",
        ),
    ),
    _bug(
        "the names in the wrong folder are synced",
        _NAMES_TESTS,
        (
            "storage.durable",
            "    sync_names(path.parent)\n",
            "    sync_names(path.parent.parent)\n",
        ),
    ),
    _bug(
        "names are never synced",
        _NAMES_TESTS,
        (
            "storage.durable",
            "        os.fsync(descriptor)\n",
            "        pass\n",
        ),
    ),
    _bug(
        "the name of a new directory is not synced",
        _NAMES_TESTS,
        (
            "storage.directory",
            "        return\n    sync_names(path.parent)\n",
            "        return\n",
        ),
    ),
    _bug(
        "the names of the directories around a new one are not synced",
        _NAMES_TESTS,
        (
            "storage.directory",
            "        _make(path.parent)\n        path.mkdir(exist_ok=True)\n",
            "        path.mkdir(parents=True)\n",
        ),
    ),
    _bug(
        "a new directory is synced in place of its name",
        _NAMES_TESTS,
        (
            "storage.directory",
            "        return\n    sync_names(path.parent)\n",
            "        return\n    sync_names(path)\n",
        ),
    ),
    _bug(
        "a name that a killed start left is not synced",
        _NAMES_TESTS,
        (
            "storage.directory",
            "    elif not os.access(path.parent, os.W_OK):\n",
            "    else:\n",
        ),
    ),
    _bug(
        "the marker is written without a sync",
        _NAMES_TESTS,
        (
            "storage.marker",
            'replace_text(path / MARKER, f"decreed data directory, format {FORMAT}, {state',
            '(path / MARKER).write_text(f"decreed data directory, format {FORMAT}, {state',
        ),
    ),
    _bug(
        "a directory is not marked before it is used",
        _NAMES_TESTS,
        (
            "storage.directory",
            "    mark(path, DirectoryState.MAKING)\n",
            "",
        ),
    ),
    _bug(
        "the high-water mark is written without a sync",
        _NAMES_TESTS,
        (
            "storage.high_water",
            "replace_text(directory / NAME, f",
            "(directory / NAME).write_text(f",
        ),
    ),
)

BUGS = SETTLING + TURNS + SYNCING + NAMES
