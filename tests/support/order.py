"""The order of test files, and the files whose tests may run in different processes.

Tests run in more processes than there are cores, since half of their time is waiting. Long files
begin first, so that no process is left alone with one at the end. The tests of a file stay
together, because they may share clusters, unless the file is named here. This changes only how long
a run takes.
"""

FIRST = (
    "chaos/test_chaos.py",
    "processes/test_locks.py",
    "simulation/test_storm.py",
    "model/test_paxos.py",
    "client/locks/test_locks.py",
    "processes/test_lock_run.py",
    "simulation/test_lockstorm.py",
    "processes/test_directories.py",
    "processes/test_survival.py",
    "docs/test_console.py",
    "storage/test_flips.py",
    "client/locks/test_acquiring.py",
    "fuzz/test_storage.py",
    "chaos/test_seeded.py",
    "bench/test_command.py",
    "fuzz/test_wire.py",
    "processes/test_locks_given_up.py",
    "processes/test_terminals.py",
    "client/transport/test_strangers.py",
    "catalogue/test_catalogue.py",
    "simulation/test_giveups.py",
    "storage/test_mutilated.py",
    "test_typing.py",
    "test_layout.py",
    "test_style.py",
)
"""The longest files, longest first."""

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
