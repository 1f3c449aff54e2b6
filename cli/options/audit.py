"""The option for the audit log, and the line that a command appends to it by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ...registry.audit import AuditRecord, Speaker
from ...registry.config import ClusterConfig
from ...registry.errors import ConfigError
from ..shell.deferred import typer
from ..shell.failures import about

if TYPE_CHECKING:
    from ...registry.server.audit_log import AuditLog

Audit = Annotated[
    Path | None,
    typer.Option(
        "--audit",
        envvar="DECREED_AUDIT",
        metavar="FILE",
        help="Append who did what to this file; a node opens it again at SIGHUP."
        "  [default: no such log]",
        show_default=False,
    ),
]


def check_audit(path: Path | None, config: ClusterConfig) -> None:
    """Check that there is an audit log, if the settings want one.

    Raises:
        CommandFailed: if there is none; exit code 2.
    """
    if config.audit.required and path is None:
        with about("--audit", "name a file for the audit log"):
            raise ConfigError("audit.required is set, and no file is named")


def open_audit(path: Path | None, config: ClusterConfig, node: str = "") -> "AuditLog | None":
    """The open audit log of a node or a command; None if no file is named.

    Raises:
        CommandFailed: if the settings want one, and no file is named; exit code 2.
        Refused: if it cannot be opened, and is required.
    """
    check_audit(path, config)
    if path is None:
        return None
    from ...registry.server.audit_log import AuditLog

    audit = AuditLog(path, node, required=config.audit.required)
    audit.open()
    return audit


def tell(audit: "AuditLog | None", record: AuditRecord) -> None:
    """Append what the user of this command has done, and close the log.

    Raises:
        Refused: if that fails, and the log is required.
    """
    if audit is None:
        return
    from ...client.requests.claims import default_claimant

    audit.write([record], [Speaker(f"local/{default_claimant()}")])
    audit.close()
