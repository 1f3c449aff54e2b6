"""``decreed ca init``, ``node``, ``client`` and ``renew``: a small CA for the nodes and clients.

Everything happens on the machine with the folder of the CA, which need not be one of the nodes. Its key
is in that folder, and never leaves it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ...registry.certificate_names import NameKind, certificate_name
from ...registry.config import check_node_name
from ...registry.errors import BadRequest, ConfigError, Exit, MissingExtra
from ...registry.types import NodeId
from ..config.settings import load_config
from ..options import types as o
from ..options.usage import said_by
from ..shell.core_files import write_no_core_file
from ..shell.deferred import typer
from ..shell.failures import CommandFailed, about
from ..shell.output import write_json, write_line

if TYPE_CHECKING:
    from cryptography import x509

    from ..certificates.authority import Authority

FOLDER = Path("ca")
OUT = Path(".")

ClusterFile = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar="DECREED_CLUSTER_CONFIG",
        metavar="FILE",
        help="The cluster.toml; its cluster_id is in all certificates.",
    ),
]
MaybeClusterFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="DECREED_CLUSTER_CONFIG",
        metavar="FILE",
        help="The cluster.toml, for the host of the node, and to check that the CA is this cluster's.",
    ),
]
Folder = Annotated[
    Path,
    typer.Option("--dir", envvar="DECREED_CA_DIR", metavar="DIR", help="The folder of the CA."),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="The folder to write to; made if missing.")
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="HOST",
        help="A name or address by which clients reach the node; repeat it for each."
        "  [default: that of the cluster.toml]",
        show_default=False,
    ),
]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="The name of the node.")]
ClientName = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the client: a person or a program.")
]
Days = Annotated[
    int,
    typer.Option("--days", metavar="N", min=1, max=365, help="How long it is valid."),
]
Certificates = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Certificates of nodes and clients.")
]
SameKey = Annotated[
    bool,
    typer.Option(
        "--same-key", help="Keep the key, which need not be here; it may be known by now."
    ),
]
RenewOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Write to this folder, and leave the old files as they are.",
        show_default=False,
    ),
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FILE",
        help="CAs that are believed too, such as the one before; for a certificate of theirs.",
        show_default=False,
    ),
]


def init(
    config: ClusterFile = Path("cluster.toml"),
    folder: Folder = FOLDER,
    as_json: o.Json = False,
    timeout: o.NoTimeout = None,
) -> int:
    """Make a CA for the cluster of a cluster.toml: ca.crt and ca.key in a folder of their own.

    Every node and client gets a copy of ca.crt. ca.key stays here: with it anybody can be any node or
    client of this cluster. Keep it off the nodes, and a copy of it where nobody looks.
    """
    del timeout
    with needs_cryptography():
        from ..certificates import authority, files
    cluster_id = _cluster_of(config)
    with about(str(config), "only such an id can be in certificates"):
        name = certificate_name(cluster_id, NameKind.AUTHORITY)
    made = authority.new_authority(name, datetime.now(UTC))
    certificate, key = folder / files.CERTIFICATE, folder / files.KEY
    files.write_new({key: files.pem_of_key(made.key), certificate: files.pem_of(made.certificate)})
    if as_json:
        write_json(_document(made.certificate, certificate, key))
    else:
        write_line(f"wrote {certificate}, of which every node and client needs a copy")
        write_line(f"wrote {key}, which belongs on no node: it can make any certificate")
    return Exit.DONE


def node(
    name: NodeName,
    hosts: Hosts = None,
    config: MaybeClusterFile = None,
    folder: Folder = FOLDER,
    out: Out = OUT,
    days: Days = 365,
    as_json: o.Json = False,
    timeout: o.NoTimeout = None,
) -> int:
    """Make the certificate and the key of a node: NODE.crt and NODE.key.

    Other nodes know it by its name; clients also check that it names the host that they have dialled.
    Copy both files and ca.crt to the machine of the node, and to no other.
    """
    del timeout
    with needs_cryptography():
        from ..certificates.authority import checked_hosts
    with about("NODE"):
        check_node_name(name)
    with about("--host"):
        found = checked_hosts(hosts or _hosts_in(config, name))
    return _make(NameKind.NODE, name, found, config, folder, out, days, as_json)


def client(
    name: ClientName,
    config: MaybeClusterFile = None,
    folder: Folder = FOLDER,
    out: Out = OUT,
    days: Days = 365,
    as_json: o.Json = False,
    timeout: o.NoTimeout = None,
) -> int:
    """Make the certificate and the key of a client: NAME.crt and NAME.key.

    It says who the client is, and nothing of what it may do. It is never a node's.
    """
    del timeout
    return _make(NameKind.CLIENT, name, (), config, folder, out, days, as_json)


def renew(
    certificates: Certificates,
    same_key: SameKey = False,
    folder: Folder = FOLDER,
    out: RenewOut = None,
    bundle: Bundle = None,
    days: Days = 365,
    as_json: o.Json = False,
    timeout: o.NoTimeout = None,
) -> int:
    """Make new certificates for the same names and hosts, with new keys.

    The new files take the names of the old ones, which are kept under other names beside them. A
    certificate of another CA is renewed only if --bundle has that CA.
    """
    del timeout
    with needs_cryptography():
        from ..certificates import files
        from ..certificates.renewing import renewed
    authority = files.load_authority(folder)
    believed = [authority.certificate, *(files.certificates_in(bundle) if bundle else ())]
    for path in map(Path, certificates):
        with about(str(path), "issue a new one with 'decreed ca node' or 'decreed ca client'"):
            done = renewed(authority, path, believed, out, days, same_key, datetime.now(UTC))
        if as_json:
            document = _document(done.certificate, done.path, done.key_path)
            write_json(document | {"kept": [str(each) for each in done.kept]})
            continue
        write_line(f"wrote {_both(done.path, done.key_path)}{_until(done.certificate)}")
        for each in done.kept:
            write_line(f"kept {each}")
    return Exit.DONE


@contextmanager
def needs_cryptography() -> Generator[None]:
    """Report that the library is missing; what it reads or makes is in no core file.

    Raises:
        CommandFailed: if it is not installed.
    """
    write_no_core_file()
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == "decreed":
            raise
        cause = MissingExtra(f"certificates need {module or 'a module'}, which is not installed")
        raise CommandFailed(cause, "ca", "pip install 'decreed[ca]'") from error


def _make(
    kind: NameKind,
    name: str,
    hosts: tuple[str, ...],
    config: Path | None,
    folder: Path,
    out: Path,
    days: int,
    as_json: bool,
) -> int:
    """Make a certificate and a key, and say where they are."""
    with needs_cryptography():
        from ..certificates import authority as ca
        from ..certificates import files
    authority = files.load_authority(folder)
    _check_cluster(authority, config)
    with about("NAME"):
        whom = certificate_name(authority.name.cluster_id, kind, name)
        path, key_path = files.member_files(out, name)
    key = ca.new_key()
    with about(str(folder), "make another CA with 'decreed ca init --dir'"):
        subject = ca.Bearer(whom, hosts, key.public_key())
        made = ca.issue(authority, subject, datetime.now(UTC), days)
    files.write_new({key_path: files.pem_of_key(key), path: files.pem_of(made)})
    if as_json:
        write_json(_document(made, path, key_path))
        return Exit.DONE
    met = f" at {', '.join(hosts)}" if hosts else ""
    write_line(f"wrote {_both(path, key_path)} for {whom}{met}{_until(made)}")
    return Exit.DONE


def _cluster_of(config: Path) -> str:
    with said_by("DECREED_CLUSTER_CONFIG", config):
        return load_config(config).cluster_id


def _check_cluster(authority: "Authority", config: Path | None) -> None:
    """Check that a CA is that of a cluster.toml, if one is named."""
    if config is not None and _cluster_of(config) != authority.name.cluster_id:
        cause = ConfigError(
            f"its cluster is {_cluster_of(config)}, and the CA is that of {authority.name.cluster_id}"
        )
        raise CommandFailed(cause, str(config), "name the folder of its own CA with --dir")


def _hosts_in(config: Path | None, node: str) -> list[str]:
    """The host of a node by its cluster.toml."""
    if config is not None:
        with said_by("DECREED_CLUSTER_CONFIG", config):
            settings = load_config(config)
        if node in settings.nodes:
            return [settings.address(NodeId(node))[0]]
    where = f"{config} has no member {node}" if config else f"no host of {node} is known"
    raise BadRequest(f"{where}: give its hosts, or the cluster.toml of which it is a member")


def _both(path: Path, key_path: Path | None) -> str:
    return f"{path} and {key_path}" if key_path else str(path)


def _until(certificate: "x509.Certificate") -> str:
    return f", until {certificate.not_valid_after_utc:%Y-%m-%d}"


def _document(certificate: "x509.Certificate", path: Path, key_path: Path | None) -> dict[str, Any]:
    from ..certificates.facts import facts_of
    from ..certificates.showing import document_of

    files = {"certificate": str(path), "key": str(key_path) if key_path else None}
    return files | document_of(facts_of(certificate))
