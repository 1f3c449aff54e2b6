"""``decreed init``: make the ``cluster.toml`` of a new cluster, and its secret."""

import secrets
from pathlib import Path
from typing import Annotated

from ...registry.errors import ConfigError, Exit
from ..config.cluster_secret import beside
from ..config.new_secret import keep_secret
from ..config.settings_text import config_text, write_file
from ..options import types as o
from ..shell.deferred import typer
from ..shell.failures import about
from ..shell.output import write_json, write_line

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Where to write cluster.toml; made if missing.")
]
Nodes = Annotated[
    list[str],
    typer.Option("--node", metavar="NAME=HOST:PORT", help="A member; give 1, 3, 5 or 7 of them."),
]
PrepareQuorum = Annotated[
    int, typer.Option("--prepare-quorum", metavar="N", help="Size of prepare quorums; 0: majority.")
]
AcceptQuorum = Annotated[
    int, typer.Option("--accept-quorum", metavar="N", help="Size of accept quorums; 0: majority.")
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Let nodes listen beyond their own machine without TLS."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Write over a cluster.toml; the old cluster's id is lost.")
]


def init(
    directory: Folder,
    nodes: Nodes,
    prepare_quorum: PrepareQuorum = 0,
    accept_quorum: AcceptQuorum = 0,
    insecure: Insecure = False,
    force: Force = False,
    timeout: o.NoTimeout = None,
    as_json: o.Json = False,
) -> int:
    """Write DIR/cluster.toml for a new cluster, with every setting explained.

    Beside it comes DIR/cluster.secret: nodes prove to each other that they have it. One that is there
    already is kept. Copy both files to every node and start them with 'decreed serve'.
    """
    del timeout
    path = directory / "cluster.toml"
    cluster_id = secrets.token_hex(16)
    with about("init", "correct --node or the quorum sizes"):
        members = parse_members(nodes)
        text = config_text(cluster_id, members, prepare_quorum, accept_quorum, insecure=insecure)
    write_file(path, text, replace=force)
    secret = beside(path)
    made = keep_secret(secret)
    if as_json:
        facts = {"path": str(path), "secret": str(secret), "cluster_id": cluster_id}
        write_json({**facts, "members": members})
        return Exit.DONE
    both = f"wrote {path}{' and ' if made else ', kept '}{secret}"
    write_line(f"{both}; on each node, with both and its own name:")
    for node in members:
        write_line(f"  decreed serve --config {path} --node {node} --data {node}.data")
    return Exit.DONE


def parse_members(nodes: list[str]) -> dict[str, str]:
    """Names and addresses of ``NAME=HOST:PORT`` texts.

    Raises:
        ConfigError: if one is malformed; names it.
    """
    members: dict[str, str] = {}
    for text in nodes:
        name, equals, address = text.partition("=")
        if not (name and equals and address):
            raise ConfigError(f"--node {text!r} is no member: write NAME=HOST:PORT")
        if name in members:
            raise ConfigError(f"--node {name} is there twice")
        members[name] = address
    return members
