"""The TLS of a node: its options, and its files from them or from ``[tls]`` of the config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ...registry.config import ClusterConfig
from ...registry.errors import ConfigError
from ...registry.tls.contexts import TlsFiles
from ..config.tls_paths import NO_TLS, TlsPaths
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about

if TYPE_CHECKING:
    from ...registry.server.credentials import Credentials

Ca = Annotated[
    str | None,
    typer.Option(
        "--ca",
        envvar="DECREED_NODE_CA",
        metavar="FILE",
        help="The CAs of members and clients, in PEM; with --cert and --key: TLS.",
    ),
]
Cert = Annotated[
    str | None,
    typer.Option(
        "--cert",
        envvar="DECREED_NODE_CERT",
        metavar="FILE",
        help="This node's certificate, with the URI decreed://CLUSTER_ID/node/NAME.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="DECREED_NODE_KEY", metavar="FILE", help="The private key of --cert."
    ),
]

WAY_OUT = "correct the files, or [tls] of the config"


def tls_files(
    config: ClusterConfig, config_path: Path, node: str, given: TlsPaths
) -> TlsFiles | None:
    """The files of TLS of a node: the options', or those that the config names; None for no TLS.

    Raises:
        CommandFailed: if some of them are given and others are not.
    """
    section = config.tls
    named = (section.ca, section.certificate, section.key)
    said = TlsPaths(*(path.replace("{node}", node) or None for path in named))
    paths = given.or_else(said.beside(str(config_path)))
    if paths == NO_TLS:
        return None
    missing = [f"--{name}" for name in ("ca", "cert", "key") if getattr(paths, name) is None]
    if missing:
        cause = ConfigError(
            f"with TLS a node needs --ca, --cert and --key; {missing[0]} is missing"
        )
        raise CommandFailed(cause, "serve", "give it, or write it into [tls] of the config")
    ca, cert, key = (Path(path) for path in paths[:3] if path)
    return TlsFiles(cert, key, ca, section.lowest_version)


def credentials_of(
    files: TlsFiles | None, config: ClusterConfig, node: str
) -> "Credentials | None":
    """What a node shakes hands with; None without TLS.

    Raises:
        CommandFailed: if the files cannot be used.
    """
    if files is None:
        return None
    from ...registry.server.credentials import Credentials

    must = config.tls.client_certificates == "required"
    with about("tls", WAY_OUT):
        return Credentials(files, config.cluster_id, node, clients_must=must)
