"""The order of test files, and the files whose tests may run in different processes.

Tests run in more processes than there are cores, since half of their time is waiting. Long files
begin first, so that no process is left alone with one at the end. The tests of a file stay
together, because they may share clusters, unless the file is named here. This changes only how long
a run takes.
"""

FIRST = (
    "client/locks/test_locks.py",
    "simulation/test_storm.py",
    "processes/test_lock_run.py",
    "model/test_paxos.py",
    "client/test_blocking.py",
    "simulation/test_lockstorm.py",
    "storage/test_flips.py",
    "client/requests/test_silence.py",
    "docs/test_console.py",
    "processes/test_locks.py",
    "client/locks/test_acquiring.py",
    "test_typing.py",
    "processes/test_survival.py",
    "fuzz/test_wire.py",
    "processes/test_directories.py",
    "client/transport/test_strangers.py",
    "test_layout.py",
    "client/requests/test_claims.py",
    "catalogue/test_catalogue.py",
    "bench/test_command.py",
    "processes/test_locks_given_up.py",
    "fuzz/test_storage.py",
    "client/transport/test_names.py",
    "test_style.py",
    "model/test_hunt.py",
    "storage/test_mutilated.py",
    "client/locks/test_locks_given_up.py",
    "simulation/test_giveups.py",
    "processes/test_terminals.py",
)
"""The longest files; those that wait beside those that compute."""

APART = frozenset(
    {
        "docs/test_console.py",
        "model/test_paxos.py",
        "processes/test_directories.py",
        "processes/test_survival.py",
    }
)
"""Files whose tests share nothing, and which take too long for one process."""


def place(path: str) -> int:
    """The place of a test file in the order of all, by its path below `tests`."""
    return FIRST.index(path) if path in FIRST else len(FIRST)


def unit(nodeid: str) -> str:
    """The unit that a test stays together with, in one process: its file, or the test itself."""
    file = nodeid.partition("::")[0]
    return nodeid if file.removeprefix("tests/") in APART else file
