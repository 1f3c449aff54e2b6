"""``--as-node``: the way back in for operators whom the policy does not know, on a node's own machine.

A node takes its own certificate for a client's there, with the right `admin` and no other (S24). Only
that node is asked: the others would refuse it.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from ...registry.config import TlsSection
from ...registry.errors import ConfigError
from ...registry.types import NodeId
from ..config.tls_paths import TlsPaths
from ..shell.deferred import typer
from ..shell.failures import about

CONFIG_VARIABLE = "DECREED_CLUSTER_CONFIG"
Node = Annotated[
    str | None,
    typer.Option(
        "--as-node",
        metavar="NODE",
        help="Come as this node, on its own machine and with its certificate: it has admin.",
    ),
]
Config = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar=CONFIG_VARIABLE,
        metavar="FILE",
        help="With --as-node: the cluster.toml with its address and, in [tls], its certificate.",
    ),
]
_OPTIONS = {"as_node": (Node, None), "node_config": (Config, Path("cluster.toml"))}


class AsNode(NamedTuple):
    """As which node a command comes.

    Args:
        node: its name.
        config: the path of its cluster.toml.
    """

    node: str
    config: Path


class Way(NamedTuple):
    """The way to the node itself.

    Args:
        endpoint: where it listens.
        tls: its own files.
    """

    endpoint: str
    tls: TlsPaths


ASKED: ContextVar[AsNode | None] = ContextVar("ASKED", default=None)
"""What the command that runs was given."""


def administers(function: Callable[..., int]) -> Callable[..., int]:
    """The function of a command for administrators, with ``--as-node``."""
    signature = inspect.signature(function)

    @wraps(function)
    def run(**values: Any) -> int:
        node, config = (values.pop(name, usual) for name, (_, usual) in _OPTIONS.items())
        token = ASKED.set(AsNode(node, Path(config)) if node is not None else None)
        try:
            return function(**values)
        finally:
            ASKED.reset(token)

    vars(run)["__signature__"] = signature.replace(parameters=_with_options(signature))
    return run


def _with_options(signature: inspect.Signature) -> list[inspect.Parameter]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    more = [
        inspect.Parameter(name, kind, default=usual, annotation=option)
        for name, (option, usual) in _OPTIONS.items()
    ]
    parameters = list(signature.parameters.values())
    at = next(i for i, each in enumerate(parameters) if each.name == "endpoints")
    return parameters[:at] + more + parameters[at:]


def way_to(asked: AsNode, given: TlsPaths) -> Way:
    """Where the node is, and its files: those of its config, else those that were given.

    Raises:
        CommandFailed: if the config is wrong, or has no such member, or no certificate is named.
    """
    from ...registry.addresses import join_address
    from ...registry.tls.contexts import TlsFiles, own_subject
    from ..config.settings import load_config

    config = load_config(asked.config)
    with about(f"--as-node {asked.node}"):
        address = join_address(*config.address(NodeId(asked.node)))
        paths = _named_in(config.tls, asked).or_else(given)
        if paths.cert is None or paths.key is None or paths.ca is None:
            raise ConfigError(
                "name its certificate in [tls] of the config, or with --cert, --key and --ca"
            )
        files = TlsFiles(Path(paths.cert), Path(paths.key), Path(paths.ca))
        subject = own_subject(files)
        if subject is None or (subject.kind, subject.name) != ("node", asked.node):
            whose = f"nobody that {paths.ca} trusts" if subject is None else subject.identity
            raise ConfigError(f"{paths.cert} is of {whose}, and not of node/{asked.node}")
    return Way(address, paths._replace(cluster=config.cluster_id))


def _named_in(section: TlsSection, asked: AsNode) -> TlsPaths:
    named = (section.ca, section.certificate, section.key)
    said = TlsPaths(*(path.replace("{node}", asked.node) or None for path in named))
    return said.beside(str(asked.config))
