"""Every command of the pages runs in order as it is shown there, and prints what the page shows."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from decreed.client import sync

from ..support import ports
from .pages import PAGES, ROOT, Block, Command, blocks, commands, files
from .shells import PORTS, Shell, lines_of, looks_like, with_ports

README = ROOT / "README.md"
WITHOUT_END = ("decreed dev", "decreed watch")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    first = ports.hold_row(PORTS)
    shell = Shell(tmp_path, first)
    yield shell
    shell.close()
    ports.let_go(range(first, first + PORTS))


def is_without_end(command: Command) -> bool:
    return command.text.startswith(WITHOUT_END) and "--timeout" not in command.text


def run_all(shell: Shell, found: list[Block]) -> None:
    """Run blocks; a command that fails must be followed by the exit code that it fails with."""
    for block in found:
        following = [*commands(block)]
        for place, command in enumerate(following):
            if is_without_end(command):
                continue
            code = shell.check(command)
            then = following[place + 1].text if following[place + 1 :] else ""
            assert code == 0 or then == "echo $?", f"{block}: $ {command.text}: exit code {code}"


def run_python(shell: Shell, block: Block, shown: str) -> None:
    """Run a snippet as a program, with warnings as errors."""
    (shell.folder / "snippet.py").write_text(
        with_ports(with_python_ports(block.text, shell.first_port), shell.first_port), "utf-8"
    )
    code, output = shell.type("python -W error snippet.py")
    printed = "\n".join(output)
    assert (code, output) == (0, shown.splitlines()), f"{block}:\n{printed}"


def with_python_ports(text: str, first: int) -> str:
    """Replace the ports in addresses that are pairs, as sockets take them."""
    return text.replace('("127.0.0.1", 7400)', f'("127.0.0.1", {first})')


def snippets(page: Path) -> list[tuple[Block, str]]:
    """The Python blocks of a page, each with the output that the next block shows."""
    found = blocks(page)
    return [
        (block, after.text)
        for block, after in pairwise(found)
        if block.language == "python" and after.language == "text" and not is_file(block)
    ]


def is_file(block: Block) -> bool:
    """Whether a Python block is a file that a server runs: tests/processes/test_servers.py does."""
    return block.text in files(block.page).values()


def wait_for(lines: Iterator[str], ending: str) -> list[str]:
    """Lines up to one that begins with `ending`."""
    seen: list[str] = []
    for line in lines:
        seen.append(line.rstrip("\n"))
        if line.startswith(ending):
            return seen
    raise AssertionError(f"it ended, and said {seen}")


def test_the_readme_does_what_it_says(shell: Shell) -> None:
    found = blocks(README, "console")
    [dev] = [c for block in found for c in commands(block) if c.text == "decreed dev"]
    [watch] = [c for block in found for c in commands(block) if c.text.startswith("decreed watch")]
    with shell.beside(f"{dev.text} --port {shell.first_port}") as process:
        seen = wait_for(iter(lines_of(process)), dev.shown[-1])
        assert looks_like(tuple(with_ports(x, shell.first_port) for x in dev.shown), seen)
        run_all(shell, found)
        for block, shown in snippets(README):
            run_python(shell, block, shown)
        watch_until_seen(shell, watch)
    assert process.returncode == 0


def watch_until_seen(shell: Shell, watch: Command) -> None:
    """Freeze slots until the watch, which says nothing when it begins, shows one."""
    seen: list[str] = []
    endpoints = shell.environment["DECREED_ENDPOINTS"]
    with shell.beside(watch.text) as process, sync.connect(endpoints) as registry:
        reader = Thread(target=lambda: seen.append(lines_of(process).readline()))
        reader.start()
        while reader.is_alive():
            registry.claim_next("builds", "1187")
            reader.join(0.1)
    assert [re.sub(r"@\d+ ", "@1 ", line.rstrip()) for line in seen] == [*watch.shown]
    assert process.returncode == 130


@pytest.mark.parametrize("page", [page for page in PAGES if page != README], ids=lambda p: p.name)
def test_the_other_pages_do_what_they_say(shell: Shell, page: Path) -> None:
    run_all(shell, blocks(page, "console"))
    if not snippets(page):
        return
    with shell.beside(f"decreed dev --port {shell.first_port}") as process:
        wait_for(iter(lines_of(process)), "Ctrl-C")
        for block, shown in snippets(page):
            run_python(shell, block, shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_on_a_page_is_left_untried(page: Path) -> None:
    known = {"console", "python", "text", "sh"}
    assert {block.language for block in blocks(page)} <= known
    assert len(blocks(page, "python")) == len(snippets(page)) + len(files(page))
    servers = (ROOT / "tests" / "processes" / "test_servers.py").read_text(encoding="utf-8")
    assert [name for name in files(page) if f'"{name}"' not in servers] == []
    if page != README:
        assert blocks(page, "sh") == []
