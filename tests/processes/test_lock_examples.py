"""The examples about locks, on a real cluster."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from ..support.processes import PATIENCE_S, Processes, eventually, running

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def example(cluster: Processes, name: str, *arguments: str | Path) -> str:
    """Run an example to its end; returns what it printed."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env={**os.environ, "DECREED_ENDPOINTS": cluster.endpoints},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done
    return done.stdout


def test_example_fenced_writer(cluster: Processes, tmp_path: Path) -> None:
    said = example(cluster, "fenced_writer.py", tmp_path / "accounts.db")
    assert "refused: token 1 is stale" in said
    assert "the balance is 200" in said


def test_example_locked_migration(cluster: Processes, tmp_path: Path) -> None:
    def migrate(_: int) -> str:
        return example(cluster, "locked_migration.py", tmp_path / "app.db")

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(migrate, range(3))) == ["0 steps done\n"] * 2 + ["2 steps done\n"]


def test_example_elected_scheduler_is_followed_by_another(cluster: Processes) -> None:
    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, EXAMPLES / "elected_scheduler.py", *arguments],
            env={**os.environ, "DECREED_ENDPOINTS": cluster.endpoints},
            stdout=subprocess.PIPE,
            text=True,
        )

    first = start()
    assert first.stdout is not None and first.stdout.readline() == "leading, term 1\n"
    second = start("2")
    with cluster.client() as registry:

        def waits() -> bool:
            lock_state = registry.lock_state("scheduler")
            return lock_state is not None and lock_state.waiters == 1

        eventually("the second one waits", waits)
    first.kill()
    first.communicate()
    said, _ = second.communicate(timeout=PATIENCE_S)
    assert said == "leading, term 2\ntick 1\ntick 2\nretired\n"


def test_example_periodic_singleton_leaves_no_tick_out(cluster: Processes) -> None:
    def run_some(last: int) -> str:
        return example(cluster, "periodic_singleton.py", "reports", str(last))

    with ThreadPoolExecutor(2) as pool:
        said = "".join(pool.map(run_some, (3, 5)))
    assert sorted(said.splitlines()) == [f"tick {n} is slot {n}" for n in range(1, 6)]


def asgi_app() -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("fenced_asgi", EXAMPLES / "fenced_asgi.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def put(app: Any, path: str, body: bytes, *headers: tuple[bytes, bytes]) -> tuple[int, str]:
    """One request, as a server would make it; returns status and text."""
    parts = [body[:1], body[1:]]
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


def test_example_asgi_refuses_stale_tokens() -> None:
    module = asgi_app()

    async def main() -> None:
        assert (await put(module.app, "/1", b"new", (b"decreed-token", b"2")))[0] == 204
        status, text = await put(module.app, "/1", b"old", (b"decreed-token", b"1"))
        assert status == 409 and "token 1 is stale" in text
        assert (await put(module.app, "/1", b"none"))[0] == 400
        assert module.documents == {"/1": b"new"}

    anyio.run(main)
