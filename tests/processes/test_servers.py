"""The examples of docs/servers.md in real servers: gunicorn, uWSGI, Celery, and pytest plugins.

Not part of the default run: `pytest -m servers` runs these. Servers that are not installed are skipped.
"""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..docs.pages import ROOT, blocks, files
from ..support import ports
from ..support.processes import PATIENCE_S, Processes, eventually, running

pytestmark = pytest.mark.servers
PAGE = ROOT / "docs" / "servers.md"
_DOCUMENTED = re.compile(r"127\.0\.0\.1:74\d\d(,127\.0\.0\.1:74\d\d)*")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def port() -> Iterator[int]:
    """A port for a server of others; no other socket gets it before the server binds it."""
    with ports.held(1) as [port]:
        yield port


def needs(package: str) -> None:
    pytest.importorskip(package, reason="it is of the extra servers-tests, which is not installed")


def write(folder: Path, name: str, cluster: Processes) -> None:
    """Write a file of the page, for the cluster of the test."""
    (folder / name).write_text(_DOCUMENTED.sub(cluster.endpoints, files(PAGE)[name]), "utf-8")


def command(beginning: str, *, more: str = "", port: int = 0) -> list[str]:
    """A command of the page, with the programs of this environment, and `more` after its name."""
    [text] = [x.text.strip() for x in blocks(PAGE, "text") if x.text.startswith(beginning + " ")]
    program, rest = text.split(" ", 1)
    rest = rest.replace("127.0.0.1:7480", f"127.0.0.1:{port}")
    return [str(Path(sys.executable).parent / program), *more.split(), *rest.split()]


@contextmanager
def serving(folder: Path, words: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server; it must end by itself, and with success, after its signal."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
        process.terminate()
        code = process.wait(PATIENCE_S)
        said = log.read_text()
        assert code in (0, -signal.SIGTERM) and "Traceback" not in said, f"{code}: {said}"
    except BaseException:
        print(log.read_text())
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(port: int, order: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{order}", timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def listens(port: int) -> bool:
    try:
        ask(port, "first")
    except OSError:
        return False
    return True


def check_web(port: int, workers: int, run: str, known: Set[str] = frozenset()) -> set[str]:
    """Send requests until `workers` that are not `known` have answered; returns those.

    Each order has one worker, whichever worker is asked.
    """
    eventually("it listens", lambda: listens(port))
    seen: set[str] = set()
    with ThreadPoolExecutor(8) as pool:
        for count in range(500):
            orders = [f"{run}-{count}-{number // 2}" for number in range(16)]
            answers = list(pool.map(lambda order: ask(port, order), orders))
            assert answers[::2] == answers[1::2]
            assert all(answer.endswith("in EUR\n") for answer in answers)
            seen |= {answer.split(": ")[1].split(",")[0] for answer in answers}
            if len(seen - known) >= workers:
                return seen
    raise AssertionError(f"only {seen} have answered")


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "each worker imports"])
def test_gunicorn(cluster: Processes, tmp_path: Path, port: int, preload: bool) -> None:
    needs("gunicorn")
    write(tmp_path, "web.py", cluster)
    words = [word for word in command("gunicorn", port=port) if preload or word != "--preload"]
    with serving(tmp_path, words) as process:
        first = check_web(port, 2, f"gunicorn-{preload}")
        # workers that replace others are forked from the same master
        process.send_signal(signal.SIGHUP)
        check_web(port, 2, f"gunicorn-again-{preload}", first)


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "no threads"])
@pytest.mark.parametrize("more", ["", "--lazy-apps", "--py-call-uwsgi-fork-hooks"])
def test_uwsgi(cluster: Processes, tmp_path: Path, port: int, more: str, threads: bool) -> None:
    needs("pyuwsgi")
    write(tmp_path, "web.py", cluster)
    words = command("uwsgi", more=f"--die-on-term {more}", port=port)
    with serving(tmp_path, [word for word in words if threads or word != "--enable-threads"]):
        check_web(port, 2, f"uwsgi{more}-{threads}")


@pytest.mark.parametrize("pool", ["", "--pool threads", "--pool solo"])
def test_celery(cluster: Processes, tmp_path: Path, pool: str) -> None:
    needs("celery")
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    write(tmp_path, "jobs.py", cluster)
    words = [*command("celery"), *pool.split()]
    run = pool.split(" ")[-1] or "prefork"
    caller = (
        "import jobs\n"
        f"twice = [jobs.pay.delay('{run}-%d' % (number // 2)) for number in range(8)]\n"
        "tokens = [jobs.tidy.delay() for _ in range(4)]\n"
        f"print(sorted(x.get({PATIENCE_S}) for x in twice))\n"
        f"print(len({{x.get({PATIENCE_S}) for x in tokens}}))\n"
    )
    with serving(tmp_path, words):
        done = subprocess.run(
            [sys.executable, "-c", caller], cwd=tmp_path, capture_output=True, text=True,
            timeout=2 * PATIENCE_S,
        )  # fmt: skip
    assert done.stdout.splitlines() == [str(["paid"] * 4 + ["paid before"] * 4), "4"], done


@pytest.mark.parametrize(
    ("package", "name", "options", "count"),
    [
        ("pytest_asyncio", "test_shop.py", "-o asyncio_default_fixture_loop_scope=function", 3),
        ("pytest_trio", "test_trio_shop.py", "-p no:asyncio", 2),
    ],
)
def test_fixtures(
    cluster: Processes, tmp_path: Path, package: str, name: str, options: str, count: int
) -> None:
    needs(package)
    write(tmp_path, name, cluster)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", *options.split(), name], cwd=tmp_path,
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert f"{count} passed" in done.stdout and done.returncode == 0, done
