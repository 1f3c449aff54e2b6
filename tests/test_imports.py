"""Who may import what: the table of design 2, held by reading every import of every module.

The folders depend on one another in one direction, no module is part of a circle, the pure parts
import nothing that waits, reads a clock or draws a random number, and what a user of the client
imports loads neither a server nor a database.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from decreed.cli.table import COMMANDS, LOCK_COMMANDS

from .support.rooms import ROOMS, room

ROOT = Path(__file__).parent.parent
PARTS = ("cli", "client", "registry", "storage")

# what a part may import of the other parts; its own modules it always may
VOCABULARY = (
    *(
        "addresses",
        "checked",
        "clock",
        "config",
        "counting",
        "dial_order",
        "disk",
        "members",
        "documents",
        "errors",
        "keys",
        "identity",
        "incarnations",
        "locks",
    ),
    *(
        "certificate_names",
        "paxos.instance",
        "policy",
        "space",
        "status_document",
        "tls",
        "types",
        "unserved",
        "veiled",
        "version",
        "wire",
    ),
)
MAY_IMPORT = {
    "registry.paxos": ("decreed.registry.types",),
    "registry": (),
    # a recovery says whose votes are enough, so it knows epochs and quorums
    "storage": tuple(
        f"decreed.registry.{name}"
        for name in (
            *VOCABULARY,
            "paxos.acceptor",
            "paxos.decrees",
            "paxos.epochs",
            "paxos.quorums",
        )
    ),
    "client": tuple(f"decreed.registry.{name}" for name in VOCABULARY),
    "cli": ("decreed",),
}

# what a part may import of other people's packages
PACKAGES = {
    "registry.paxos": {"msgspec"},
    "registry": {"cbor2", "msgspec"},
    # the admin listener, which a node loads only if it is asked for, speaks HTTP and tells metrics
    "registry.server": {"cbor2", "h11", "msgspec", "prometheus_client", "trio"},
    "storage": {"cbor2", "cryptography", "google_crc32c", "msgspec", "rocksdict"},
    "client": {"anyio", "cbor2", "msgspec"},
    "cli": {
        *(
            "cryptography",
            "dotenv",
            "msgspec",
            "pathspec",
            "rich",
            "ruamel",
            "tomli",
            "tomlkit",
            "trio",
            "typer",
        ),
        "yaml12",
    },
}

# what users import
PUBLIC = ("decreed", "decreed.client", "decreed.client.fencing", "decreed.client.sync")

# the parts of the standard library that neither wait nor know the time, and draw no lots
PURE = {
    "bisect", "collections", "contextlib", "dataclasses", "enum", "functools", "graphlib",
    "hashlib", "heapq", "hmac", "itertools", "json", "math", "operator", "re", "struct", "typing",
    "unicodedata", "zlib",
}  # fmt: skip
PURE_PARTS = {
    "registry.paxos": {"collections", "dataclasses", "enum", "functools", "itertools", "typing"},
    "registry.locks": PURE,
    "registry.policy": PURE
    | {"base64", "datetime", "hmac", "types"},  # dates as values, hashes in constant time
    "registry.replica": PURE,
    "registry.wire": PURE | {"io"},  # bytes in memory
}


def modules(part: str) -> Iterator[tuple[str, Path]]:
    """The name and file of each module of `part`, such as ``registry.paxos``."""
    for path in sorted((ROOT / part.replace(".", "/")).rglob("*.py")):
        names = ("decreed", *path.relative_to(ROOT).with_suffix("").parts)
        yield ".".join(names).removesuffix(".__init__"), path


KNOWN = {"decreed"} | {name for part in PARTS for name, _ in modules(part)}


def imports(module: str, path: Path, whole: bool = True) -> Iterator[str]:
    """The full names of what a module imports; not `whole`: only while it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, path, node)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                yield deeper if deeper in KNOWN else base


def _base(module: str, path: Path, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    parents = package[: len(package) - (node.level - 1)]
    return ".".join([*parents, node.module] if node.module else parents)


def is_below(name: str, roots: tuple[str, ...]) -> bool:
    """Whether `name` is one of `roots` or inside one."""
    return any(name == root or name.startswith(root + ".") for root in roots)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_the_parts_that_it_may(part: str) -> None:
    allowed = (f"decreed.{part}", *MAY_IMPORT[part])
    for module, path in modules(part):
        for name in imports(module, path):
            if name.partition(".")[0] == "decreed":
                assert is_below(name, allowed), f"{module} imports {name}"


def test_only_the_server_imports_the_server_and_trio() -> None:
    for module, path in modules("registry"):
        if not is_below(module, ("decreed.registry.server",)):
            for name in imports(module, path):
                assert not is_below(name, ("decreed.registry.server", "trio")), module


@pytest.mark.parametrize("part", PACKAGES)
def test_a_part_uses_only_the_packages_that_it_may(part: str) -> None:
    for module, path in modules(part):
        if part == "registry" and is_below(module, ("decreed.registry.server",)):
            continue
        for name in imports(module, path):
            package = name.partition(".")[0]
            ours = package == "decreed" or package in sys.stdlib_module_names
            assert ours or package in PACKAGES[part], f"{module} imports {name}"


@pytest.mark.parametrize("part", PURE_PARTS)
def test_the_pure_parts_wait_for_nothing_and_know_no_time(part: str) -> None:
    for module, path in modules(part):
        for name in imports(module, path):
            package = name.partition(".")[0]
            if package in sys.stdlib_module_names:
                assert package in PURE_PARTS[part], f"{module} imports {name}"


def test_no_module_is_part_of_a_circle() -> None:
    graph = {
        module: {name for name in imports(module, path, whole=False) if name in KNOWN}
        for part in PARTS
        for module, path in modules(part)
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("part", ROOMS)
def test_a_room_imports_only_the_rooms_before_it(part: str) -> None:
    order = ROOMS[part]
    for module, path in modules(part):
        here = room(part, module)
        assert here in order, f"{module} is in no room of the table"
        for name in imports(module, path):
            there = room(part, name)
            if there is not None:
                assert order.index(there) <= order.index(here), f"{module} imports {name}"


@pytest.mark.parametrize("part", ROOMS)
def test_each_room_says_what_it_owns(part: str) -> None:
    for name in ROOMS[part]:
        package = ROOT / part.replace(".", "/") / name / "__init__.py"
        text = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
        assert text or (part, name) == ("cli", ""), package


def test_examples_use_the_public_client_only() -> None:
    for path in sorted((ROOT / "examples").glob("*.py")):
        for name in imports("examples", path):
            package = name.partition(".")[0]
            if package == "decreed":
                assert name in PUBLIC, path
            else:
                assert package in {"anyio", "trio", *sys.stdlib_module_names}, path


@pytest.mark.parametrize("imported", ["decreed", "decreed.client", "decreed.client.sync"])
def test_the_client_loads_no_server_and_no_database(imported: str) -> None:
    code = f"import sys, {imported}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = (
        "rocksdict", "google_crc32c", "cryptography", "typer", "decreed.cli", "decreed.storage",
        "decreed.registry.server", "decreed.registry.replica",
    )  # fmt: skip
    assert [name for name in done.stdout.split() if is_below(name, heavy)] == []


def test_the_cli_needs_nothing_of_the_extra_server() -> None:
    code = "import sys, decreed.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = (
        "rocksdict", "google_crc32c", "cryptography", "decreed.storage", "decreed.registry.server",
    )  # fmt: skip
    assert [name for name in done.stdout.split() if is_below(name, heavy)] == []


LISTENS = """
import os, sys

def tell(event, arguments):
    if event == "socket.bind":
        print(*[name for name, module in sys.modules.items() if module], flush=True)
        os._exit(0)

sys.addaudithook(tell)
from decreed.cli.early import main
main()
"""


def test_a_node_loads_only_what_it_needs_before_it_listens(tmp_path: Path) -> None:
    """Three nodes that start at once must be up soon, and loading is most of what they do."""
    (tmp_path / "cluster.toml").write_text('cluster_id = "c"\nmembers = {n1 = "127.0.0.1:1"}\n')
    serve = ["serve", "--config", "cluster.toml", "--node", "n1", "--data", "n1.data"]
    done = subprocess.run(
        [sys.executable, "-c", LISTENS, *serve], cwd=tmp_path, capture_output=True, text=True
    )
    loaded = done.stdout.split()
    assert "decreed.storage.directory" in loaded, done.stderr
    needless = (
        "pydantic", "pydantic_core", "rich", "pygments", "tomlkit", "tomli", "ruamel", "yaml12",
        "dotenv", "anyio", "asyncio", "decreed.client",
    )  # fmt: skip
    assert [name for name in loaded if is_below(name, needless)] == []
    commands = {entry.where.partition(":")[0] for entry in (*COMMANDS, *LOCK_COMMANDS)}
    own = {name.removeprefix("decreed.cli.commands.") for name in loaded}
    assert commands & own == {"serve"}
