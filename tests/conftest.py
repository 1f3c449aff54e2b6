"""What holds for every test, and how tests are shared out."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decreed.cli.shell.logs import LOGGERS

from .support import bytecode, order

TESTS = Path(__file__).parent
YOUNG_OBJECTS = 10_000
"""How many objects may be new before garbage is looked for among them; Python's 700 are few."""

if sys.dont_write_bytecode:
    # bytecode goes elsewhere and not beside the sources, which the variable forbids; without any, the
    # thousands of programs that start here would be slow
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(TESTS.parent / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


# collecting makes half a million objects, of which none is garbage until the very end
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """What nohup, or a script that runs this in the background, leaves ignored is not passed on.

    The programs that the tests start would leave it ignored too, as they must. A signal that is caught
    here has its usual effect on them.
    """
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, lambda *_: None)


def pytest_collection_finish() -> None:
    """From now on garbage is looked for, but not among what was there before the first test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first."""
    items.sort(key=lambda item: order.place(item.path.relative_to(TESTS).as_posix()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """The first run translates the tests once, and not once in each process."""
    bytecode.write_once(config, TESTS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As ``--dist=loadfile``, but some files are taken apart."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return order.unit(nodeid)

    return Scheduling(config, log)


@pytest.fixture(autouse=True, scope="session")
def nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No variable and no config file of those who run the tests has a say in them."""
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("DECREED_")]:
            patched.delenv(name)
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
        yield


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """A command that sets logs up, to a stream of one test, does so for that test alone."""
    yield
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
