"""Policies from end to end, with real nodes that have TLS: what an administrator and others meet."""

import json
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decreed.registry.errors import Exit

from ..support.certificates import Authority
from ..support.processes import Processes, eventually, make, run

MAX_AGE_MS = 1_000


class Secured:
    """A cluster whose nodes and clients have certificates.

    Args:
        cluster: its processes.
    """

    def __init__(self, cluster: Processes) -> None:
        self.cluster = cluster
        self.id = tomllib.loads(cluster.config.read_text())["cluster_id"]
        self._authority = Authority(cluster.folder)
        for node in cluster.nodes:
            self._authority.node(node, cluster=self.id, name=node)
        self._clients = {
            name: self._authority.client(name, cluster=self.id) for name in ("alice", "bob", "ci")
        }

    def start(self) -> None:
        """Start all nodes, and wait until they vote."""
        for node in self.cluster.nodes:
            self.cluster.start(node)
        eventually("all vote", lambda: self.status()["quorum"])

    def ask(
        self, who: str, *words: str | Path, at: str = "", stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as a client."""
        files = self._clients[who]
        shown = ["--ca", str(files.ca), "--cert", str(files.certificate), "--key", str(files.key)]
        return run(*words, *shown, endpoints=at or self.cluster.endpoints, stdin=stdin)

    def as_node(self, node: str, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
        """Run a command as a node, whose files its config names."""
        return run(*words, "--as-node", node, "--config", self.cluster.config)

    def apply(self, who: str, document: dict[str, Any], *words: str) -> tuple[int, str]:
        """Apply a policy; the exit code and what is printed."""
        done = self.ask(who, "policy", "apply", "-", *words, stdin=json.dumps(document).encode())
        return done.returncode, (done.stdout + done.stderr).decode()

    def status(self) -> dict[str, Any]:
        """What the nodes say of themselves."""
        found: dict[str, Any] = json.loads(self.ask("alice", "status", "--json").stdout or "{}")
        return found or {"quorum": False}


def policy(*, may: tuple[str, ...], admin: str = "alice") -> dict[str, Any]:
    """A policy in which ci has these rights below ``app``."""
    ops = [{"on": "", "may": ["admin", "read"]}, {"on": "$status", "may": ["read"]}]
    roles = {"ops": ops, "ci": [{"on": "app", "may": list(may)}]}
    return {
        "format": 1,
        "roles": roles,
        "members": {f"client/{admin}": ["ops"], "client/ci": ["ci"]},
    }


def secured(text: str) -> str:
    """The settings of nodes with TLS, and with a short age."""
    named = text.replace('certificate = ""', 'certificate = "{node}.crt"')
    named = named.replace('key = ""', 'key = "{node}.key"').replace('ca = ""', 'ca = "ca.pem"')
    return named.replace("max_age_ms = 10000", f"max_age_ms = {MAX_AGE_MS}")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Secured]:
    cluster = make(tmp_path / "one", 1, secured)
    try:
        found = Secured(cluster)
        found.start()
        yield found
    finally:
        cluster.end()


def test_a_policy_is_applied_and_obeyed_and_the_way_back_in_is_the_node(one: Secured) -> None:
    assert "there is no policy" in one.ask("alice", "status").stdout.decode()
    assert one.ask("bob", "claim", "app/free", "1").returncode == 0
    code, said = one.apply("alice", policy(may=("claim", "read"), admin="alice"), "--note", "first")
    assert code == 0 and "policy 1 is in force" in said
    [node] = one.status()["nodes"]
    assert (node["policy"], node["policy_confirmed"]) == (1, True)

    denied = one.ask("bob", "claim", "app/k", "1")
    assert denied.returncode == Exit.DENIED
    assert b"'claim' on 'app/k' is not granted to client/bob by policy 1" in denied.stderr
    assert one.ask("bob", "get", "app/free").returncode == Exit.DENIED
    assert b"more takes the right 'read' on $status" in one.ask("bob", "status").stdout
    told = [json.loads(one.ask(who, "status", "--json").stdout) for who in ("alice", "bob")]
    assert [status["nodes"][0]["restricted"] for status in told] == [False, True]
    assert one.ask("ci", "claim", "app/k", "1").returncode == 0
    assert one.ask("ci", "policy", "show").returncode == Exit.DENIED
    assert one.ask("ci", "scrub").returncode == Exit.DENIED
    unread = one.ask("alice", "snapshot", "save", one.cluster.folder / "all")
    assert unread.returncode == Exit.DENIED and b"'read' on '$locks'" in unread.stderr

    nobody = {**policy(may=("read",)), "members": {"client/ci": ["ci"]}}
    code, said = one.apply("alice", nobody)
    assert code == Exit.BAD_REQUEST and "it leaves nobody with admin" in said
    code, said = one.apply("alice", policy(may=("read",), admin="bob"))
    assert code == Exit.REFUSED and "it leaves client/alice, which is you, without admin" in said
    assert one.apply("alice", policy(may=("read",), admin="bob"), "--give-up")[0] == 0
    assert one.ask("alice", "policy", "show").returncode == Exit.DENIED

    before = one.as_node("n1", "policy", "show", "1")
    back = one.cluster.folder / "back.json"
    back.write_bytes(before.stdout)
    assert one.as_node("n1", "policy", "apply", back, "--note", "back").returncode == 0
    assert one.as_node("n1", "member", "list").returncode == 0
    as_n1 = ("--as-node", "n1", "--config", one.cluster.config)
    asked = run("member", "list", *as_n1, endpoints="127.0.0.1:1")
    assert asked.returncode == 0, "the variable for clients leads a node nowhere else"
    history = json.loads(one.ask("alice", "policy", "history", "--json").stdout)["policies"]
    assert [(each["number"], each["identity"]) for each in history] == [
        (1, "client/alice"),
        (2, "client/alice"),
        (3, "node/n1"),
    ]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Secured]:
    cluster = make(tmp_path / "three", 3, secured)
    try:
        found = Secured(cluster)
        found.start()
        yield found
    finally:
        cluster.end()


@pytest.mark.chaos
def test_who_is_revoked_claims_nothing_at_a_node_that_is_cut_off(three: Secured) -> None:
    cluster = three.cluster
    assert three.apply("alice", policy(may=("claim", "read")))[0] == 0
    assert three.ask("ci", "claim", "app/before", "1").returncode == 0
    cluster.stop("n3")
    code, said = three.apply("alice", policy(may=("read",)))
    assert code == 0 and "waiting for n3" in said and "not told: n3" in said

    for node in ("n1", "n2"):
        cluster.signal(node, signal.SIGSTOP)
    cluster.start("n3")
    alone = cluster.addresses["n3"]
    eventually(
        "n3 answers",
        lambda: three.ask("ci", "get", "app/before", "--timeout", "2s", at=alone).returncode == 0,
    )
    refused = three.ask("ci", "claim", "app/after", "1", "--timeout", "3s", at=alone)
    assert refused.returncode == Exit.UNREACHABLE
    assert b"policy not confirmed: no quorum has told node n3" in refused.stderr

    for node in ("n1", "n2"):
        cluster.signal(node, signal.SIGCONT)
    eventually("n3 obeys", lambda: [n.get("policy") for n in three.status()["nodes"]] == [2, 2, 2])
    assert three.ask("ci", "claim", "app/after", "1", at=alone).returncode == Exit.DENIED
    assert three.ask("ci", "get", "app/after").returncode == Exit.UNDECIDED
