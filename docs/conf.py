"""The documentation site: `make docs` builds it from these pages and the docstrings.

The pages are the ones that are read in the repository. Here they get an order, links that work on
the site, and a reference. The build uses no network, and the pages load nothing from elsewhere.
"""

import contextlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from decreed.cli.main import run
from decreed.cli.table import COMMANDS, GROUPS
from decreed.client import Registry
from decreed.registry.errors import ERRORS, DecreedError
from decreed.registry.version import VERSION

DOCS = Path(__file__).parent
ROOT = DOCS.parent

NAVIGATION = {
    "Tutorial": ["tutorial"],
    "How-to": [
        *("how-to/examples", "how-to/change-members", "how-to/secure-a-cluster"),
        *("how-to/tls", "how-to/tokens", "how-to/own-pki", "import"),
        *("servers",),
        *("operations", "how-to/monitor", "snapshots", "recovery"),
    ],
    "Reference": [
        *("reference/client", "reference/locks", "reference/sync", "reference/values"),
        *("reference/errors", "reference/fencing", "reference/command-line"),
        *("settings", "protocol", "glossary", "changelog"),
    ],
    "Explanation": [
        *("locks", "design", "members", "architecture", "correctness", "performance", "laboratory"),
        *("testing", "security", "policies", "reporting", "contributing"),
    ],
}
"""The pages of each part. A page that is not named here comes last, under its own heading."""
REST = "More"

COPIED = {
    "README.md": "index",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "reporting",
    "tests/README.md": "testing",
}
"""Pages of the repository above this folder; here each has a stub that leads to it."""

# ---- what Sphinx reads ----
project = "decreed"
version = release = VERSION
copyright = "the decreed authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["Thumbs.db", ".DS_Store"]
source_suffix = {".md": "markdown"}
default_role = "name"
smartquotes_action = "D"  # dashes; quotation marks stay as they are written
nitpicky = True
# types of the standard library, and what type checkers alone see
nitpick_ignore_regex = [
    ("py:class", r"(collections|contextlib|datetime|os|pathlib|threading)\..*"),
    ("py:class", r"(decreed\.[a-z.]+\.)?[PT]"),
    # a protocol, texts with a type of their own, lengths of time, and a policy that was read already
    ("py:class", r"decreed\.[a-z.]+\.(Nursery|Key|NodeId|Policy)"),
    ("py:class", r"Seconds"),
]

myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"decreed {VERSION}"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"
pygments_dark_style = "github-dark"


# ---- pages ----
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")


def with_links(text: str, folder: Path) -> str:
    """A page of `folder` with each link to a file as it is from here; copied pages by their names."""

    def moved(found: re.Match[str]) -> str:
        target = (folder / found[1]).resolve()
        name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
        if name in COPIED:
            return f"{COPIED[name]}.md"
        return os.path.relpath(target, DOCS) if name else found[1]

    return _LINK.sub(moved, text)


def navigation(found: set[str]) -> str:
    """The lists of pages that the side bar shows, one for each part."""
    parts = {part: [page for page in pages if page in found] for part, pages in NAVIGATION.items()}
    known = {"index"}.union(*parts.values())
    parts[REST] = sorted(found - known)
    lists = [
        "```{toctree}\n:hidden:\n:caption: " + "\n".join([part, "", *pages]) + "\n```\n"
        for part, pages in parts.items()
        if pages
    ]
    return "\n" + "\n".join(lists)


def read_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the real page in the place of its stub, mend the links, and add the side bar."""
    above = {copy: name for name, copy in COPIED.items()}
    path = ROOT / above[page] if page in above else Path(app.env.doc2path(page))
    if path.is_relative_to(DOCS) and path.parent != DOCS:
        return
    source[0] = with_links(path.read_text(encoding="utf-8"), path.parent)
    if page == "index":
        source[0] += navigation(app.env.found_docs)


# ---- the reference ----
MADE_BY_USERS = {"decreed.client.Json", "decreed.client.fencing.Fence"}
"""Classes that programs make themselves. All others are what calls return."""


def without_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, result: str
) -> tuple[str, str] | None:
    """Hide how a class is made that no program makes."""
    hidden = signature and inspect.isclass(obj) and name not in MADE_BY_USERS
    return ("", "") if hidden else None


def without_parts(
    app: Sphinx, what: str, name: str, obj: Any, options: object, lines: list[str]
) -> None:
    """Show what a value holds as its attributes; leave out what a class is made of inside."""
    if not inspect.isclass(obj) or name in MADE_BY_USERS or "Args:" not in lines:
        return
    start = lines.index("Args:")
    if issubclass(obj, msgspec.Struct | Exception):
        lines[start] = "Attributes:"
        return
    del lines[start : end_of(lines, start)]


def with_codes(
    app: Sphinx, what: str, name: str, obj: Any, options: object, lines: list[str]
) -> None:
    """Say of each error whether it is definite, and its codes."""
    if inspect.isclass(obj) and issubclass(obj, DecreedError):
        kind = "Definite" if obj.definite else "Indefinite"
        codes = f"exit code {int(obj.exit_code)}; code {obj.code} on the wire."
        lines[1:1] = ["", f"*{kind}*; {codes}", ""]


def with_returns(
    app: Sphinx, what: str, name: str, obj: Any, options: object, lines: list[str]
) -> None:
    """Say what is returned as a sentence, whose colons are no types."""
    if "Returns:" in lines:
        start = lines.index("Returns:")
        end = end_of(lines, start)
        text = " ".join(line.strip() for line in lines[start + 1 : end])
        lines[start:end] = [f":returns: {text}", ""]


def end_of(lines: list[str], start: int) -> int:
    """The first line behind a section of a docstring."""
    return next((n for n in range(start + 1, len(lines)) if lines[n][:1].strip()), len(lines))


class NameRole(PyXRefRole):
    """What stands between backticks in a docstring.

    The name of a class, of an error or a dotted one must lead somewhere; any other may be a
    parameter, and is a link only if it is a name of ours at this place.
    """

    def process_link(
        self, env: Any, refnode: Any, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        refnode["reftype"], refnode["refdomain"] = "obj", "py"
        if "." in target or target[:1].isupper():
            refnode["refspecific"] = True
        return super().process_link(env, refnode, has_explicit_title, title, target)


def other_name(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """Where a name leads that is none on the site.

    A class has its page under the name that programs import, whichever module it is written in. A
    lower-case name that leads nowhere is a parameter, and stays as it is.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    domain = env.domains.python_domain
    for module in ("decreed.client", "decreed.client.errors"):
        public = f"{module}.{target.rpartition('.')[2]}"
        if target.startswith("decreed.") and target != public and public in domain.objects:
            node["reftarget"] = public
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", public, node, content
            )
    return content if node.get("reftype") == "obj" and "refspecific" not in node else None


SHARED = {part.__module__: part.__name__ for part in Registry.__bases__}
"""Modules with a part of `Registry`, and what that part is called there."""


def find_source(app: Sphinx, module: str) -> tuple[str, dict[str, Any]] | None:
    """The source of a part of `Registry`, whose methods the reference has under that name."""
    part = SHARED.get(module)
    if part is None:
        return None
    analyzer = ModuleAnalyzer.for_module(module)
    analyzer.analyze()
    renamed = {name.replace(f"{part}.", "Registry."): tag for name, tag in analyzer.tags.items()}
    return analyzer.code, analyzer.tags | renamed


def mend_source(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Lead from a page of source to where the reference has the name; viewcode knows one module."""
    if not page.startswith("_modules/") or "body" not in context:
        return
    objects = app.env.domains.python_domain.objects
    short = {name.rpartition(".")[2]: name for name in objects}

    def known(found: re.Match[str]) -> str:
        name = found[1] if found[1] in objects else short[found[1].rpartition(".")[2]]
        return f'href="{app.builder.get_relative_uri(page, objects[name].docname)}#{name}"'

    context["body"] = re.sub(r'href="[^"#]*#(decreed\.[\w.]+)"', known, context["body"])


class Errors(SphinxDirective):
    """``{errors}``: every error of the table, each under its own name."""

    def run(self) -> list[nodes.Node]:
        lines = [".. py:module:: decreed.client.errors", ""]
        for error in ERRORS.values():
            lines += [f".. autoexception:: {error.__name__}", "   :show-inheritance:", ""]
        lines += [".. py:currentmodule:: decreed.registry.errors", ""]
        lines += [".. autoclass:: Exit", "   :members:", "   :undoc-members:"]
        return self.parse_text_to_nodes("```{eval-rst}\n" + "\n".join(lines) + "\n```")


# ---- the command line ----
class Help(SphinxDirective):
    """``{command-help}``: what each command's own ``--help`` prints."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for words in commands():
            title = " ".join(["decreed", *words])
            section = nodes.section(ids=[nodes.make_id(title)], names=[title])
            section += nodes.title("", "", nodes.literal(title, title))
            section += nodes.literal_block("", help_of(words), language="text")
            found.append(section)
        return found


def commands() -> Iterator[list[str]]:
    """The words of each command, those with a word before their own too."""
    yield from ([entry.name] for entry in COMMANDS)
    for group, entries in GROUPS.items():
        yield from ([group, entry.name] for entry in entries)


def help_of(words: list[str]) -> str:
    """What ``decreed WORDS --help`` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run([*words, "--help"])
    if code:
        raise RuntimeError(f"decreed {' '.join(words)} --help: exit code {code}")
    return printed.getvalue().rstrip()


def setup(app: Sphinx) -> None:
    """Hand the above to Sphinx."""
    app.add_role("name", NameRole())
    app.add_directive("errors", Errors)
    app.add_directive("command-help", Help)
    app.connect("source-read", read_page)
    app.connect("missing-reference", other_name)
    app.connect("viewcode-find-source", find_source)
    app.connect("html-page-context", mend_source)
    app.connect("autodoc-process-signature", without_signature)
    # before napoleon, which makes markup of the sections
    app.connect("autodoc-process-docstring", without_parts, priority=400)
    app.connect("autodoc-process-docstring", with_returns, priority=400)
    app.connect("autodoc-process-docstring", with_codes, priority=400)
