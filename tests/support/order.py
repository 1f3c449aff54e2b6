"""Which tests run first, and which may run apart from the rest of their file.

Tests run in several processes, more than there are cores, since half of their time is waiting. What
takes long begins first, so that no process is left alone with it at the end. A file stays together,
for the sake of clusters that its tests share, unless it is named here. This changes how long a run
takes, and nothing else.
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
"""Files whose tests share nothing, and of which one alone would take too long."""


def place(path: str) -> int:
    """Where a test file, named by its path below `tests`, stands in the order of all."""
    return FIRST.index(path) if path in FIRST else len(FIRST)


def unit(nodeid: str) -> str:
    """What a test is kept together with, in one process: its file, or itself alone."""
    file = nodeid.partition("::")[0]
    return nodeid if file.removeprefix("tests/") in APART else file
