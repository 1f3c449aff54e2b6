"""The documentation site: it builds without a warning, its links are valid, and it is complete.

It needs the extra `docs`; where that is missing these tests are skipped.
"""

import inspect
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

import decreed.client
from decreed.cli.table import COMMANDS, GROUPS
from decreed.client import fencing, sync
from decreed.registry.errors import ERRORS

from .pages import ROOT

SOURCES = ("docs", "examples", "Makefile", "*.md", "LICENSE", "tests/README.md")
PARTS = ("Tutorial", "How-to", "Reference", "Explanation")
# what a browser fetches by itself; only people follow `a`
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}

missing = [name for name in ("sphinx", "myst_parser", "furo") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason="the extra docs is not installed")


def build(root: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Build the site of a copy of the repository, as it is built by hand."""
    command = ["make", "-C", str(root), "-s", "docs", f"PYTHON={sys.executable}", f"SITE={folder}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=1_200)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@dataclass
class Page(HTMLParser):
    """The names, the fetched files and the links of a built page."""

    path: Path
    ids: set[str] = field(default_factory=set[str])
    links: list[str] = field(default_factory=list[str])
    fetched: list[str] = field(default_factory=list[str])
    words: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the names and addresses of a tag."""
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag in FETCHED and given.get(FETCHED[tag]):
            self.fetched.append(given[FETCHED[tag]] or "")

    def handle_data(self, data: str) -> None:
        """Record the text of the page."""
        self.words.append(data)


@cache
def page(path: Path) -> Page:
    return Page(path)


def pages(site: Path) -> Iterator[Page]:
    yield from (page(path) for path in sorted(site.rglob("*.html")))


def is_elsewhere(address: str) -> bool:
    return address.startswith("//") or "://" in address.partition("?")[0]


def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    assert [
        (each.path.name, address)
        for each in pages(site)
        for address in each.fetched
        if is_elsewhere(address)
    ] == []
    for path in (*site.rglob("*.css"), *site.rglob("*.js")):
        text = path.read_text(encoding="utf-8")
        for word in ("url(http", "url(//", 'url("http', "@import", "importScripts", 'fetch("http'):
            assert word not in text, (path.name, word)


def test_every_link_leads_to_a_page_and_an_anchor_on_it(site: Path) -> None:
    broken: list[tuple[str, str]] = []
    for each in pages(site):
        for link in each.links:
            path, _, place = link.partition("#")
            if is_elsewhere(link) or link.startswith("mailto:"):
                continue
            target = (each.path.parent / unquote(path)).resolve() if path else each.path
            ids = page(target).ids if target.suffix == ".html" and target.exists() else {place}
            if not target.is_file() or (place and unquote(place) not in ids):
                broken.append((each.path.name, link))
    assert broken == []


def described(site: Path) -> set[str]:
    """The Python names that the reference describes, from the inventory of the site."""
    _, _, _, _, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    entries = zlib.decompress(packed).decode().splitlines()
    return {line.split(" ")[0] for line in entries if " py:" in line}


def public(module: str, kinds: Iterator[tuple[str, object]]) -> Iterator[str]:
    """Public names of a module, with the methods of those classes that act."""
    for name, kind in kinds:
        yield f"{module}.{name}"
        if inspect.isclass(kind) and name in {"Registry", "Lock", "Locked", "Watching", "Fence"}:
            for method, found in inspect.getmembers(kind):
                if not method.startswith("_") and inspect.getdoc(found) and callable(found):
                    yield f"{module}.{name}.{method}"


def test_the_reference_has_every_public_name(site: Path) -> None:
    internal = {
        # for callers that write their own block around it
        "decreed.client.Registry.hold",
    }
    modules = {"decreed.client": decreed.client, "decreed.client.sync": sync}
    modules["decreed.client.fencing"] = fencing
    wanted = {f"decreed.client.errors.{error.__name__}" for error in ERRORS.values()}
    for name, module in modules.items():
        wanted |= {*public(name, ((each, getattr(module, each)) for each in module.__all__))}
    assert sorted(wanted - internal - described(site)) == []


def test_the_reference_has_every_command(site: Path) -> None:
    wanted = {f"decreed-{entry.name}" for entry in COMMANDS}
    wanted |= {f"decreed-{group}-{e.name}" for group, entries in GROUPS.items() for e in entries}
    assert wanted <= page(site / "reference" / "command-line.html").ids


def test_the_first_page_leads_to_all_parts(site: Path) -> None:
    first = page(site / "index.html")
    assert set(PARTS) <= set(first.words)
    assert "More" not in first.words, "a page is in no part: see NAVIGATION in docs/conf.py"


def test_a_new_page_is_found_and_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for pattern in SOURCES:
        for source in ROOT.glob(pattern):
            target = copy / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    new = copy / "docs" / "something-new.md"
    new.write_text("# Something new\n\nSee [locks](locks.md#fencing).\n")
    done = build(copy, tmp_path / "site")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"More", "Something new"} <= {*page(tmp_path / "site" / "index.html").words}
    new.write_text("# Something new\n\nSee [locks](locks.md#no-such-place), [this](nothing.md).\n")
    done = build(copy, tmp_path / "site")
    assert done.returncode != 0
    assert "no-such-place" in done.stderr and "nothing.md" in done.stderr
