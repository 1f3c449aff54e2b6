"""Where the token of a command is: in a variable, in a file that one names, or in the context's file.

No option takes a token, since others can read command lines. A file is read again for each connection,
so a token may be replaced while a command runs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...registry.errors import BadRequest, ConfigError
from ..shell.failures import CommandFailed, reading
from .tls_paths import TlsPaths

if TYPE_CHECKING:
    from ...client.transport.tokens import TokenSource
    from ...registry.policy.tokens import AuthToken

TOKEN_VARIABLE = "DECREED_AUTH_TOKEN"
FILE_VARIABLE = "DECREED_AUTH_TOKEN_FILE"


class TokenPlace(NamedTuple):
    """Where a token is.

    Args:
        file: the file that has it; empty if it is in `TOKEN_VARIABLE`.
        said_by: what names it, for errors.
    """

    file: str
    said_by: str

    def source(self) -> "TokenSource":
        """For the client library."""
        from ...client.transport.tokens import TokenSource, in_file
        from ..shell.core_files import write_no_core_file

        write_no_core_file()
        if self.file:
            return TokenSource(lambda: in_file(self.file), f"{self.said_by}: {self.file}")
        return TokenSource(lambda: os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE)


def place_of_token(environ: Mapping[str, str], token_file: str | None) -> TokenPlace | None:
    """Where the token of a command is; None if it has none. Variables count before the context.

    Args:
        environ: the variables.
        token_file: the file that the context names.

    Raises:
        ConfigError: if both variables are set.
    """
    file = environ.get(FILE_VARIABLE)
    if environ.get(TOKEN_VARIABLE):
        if file:
            raise ConfigError(
                f"both {TOKEN_VARIABLE} and {FILE_VARIABLE} are set, and one token counts: unset one"
            )
        return TokenPlace("", TOKEN_VARIABLE)
    if file:
        return TokenPlace(file, FILE_VARIABLE)
    return TokenPlace(token_file, "token_file of the context") if token_file else None


def credentials(tls: TlsPaths, token: TokenPlace | None) -> dict[str, Any]:
    """How connections are secured, and who we are, for the client library."""
    shown = {"token": token.source()} if token is not None else {}
    return {"tls": tls.to_tls(), **shown}


def keep_token(path: Path, token: "AuthToken") -> None:
    """Write a token to a new file, which is open to its owner alone from the start.

    Raises:
        CommandFailed: if it cannot be written, or exists: that may be a token which is in use.
    """
    with reading(str(path)):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            there = BadRequest("it exists already, and is not written over")
            raise CommandFailed(there, str(path), "name another file") from None
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token.show() + "\n")
            file.flush()
            os.fsync(file.fileno())
