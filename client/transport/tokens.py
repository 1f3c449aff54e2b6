"""Where a client's token comes from: a text, a file, or a function.

A file or function is asked before each connection, so a token that is replaced in time (rotated) needs
no restart. No text of a token is in an error, a `repr` or a log.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Never, TypeAlias, cast

from ...registry.errors import BadRequest, ConfigError, DecreedError

if TYPE_CHECKING:
    from ...registry.policy.tokens import AuthToken

Token: TypeAlias = str | os.PathLike[str] | Callable[[], str]
"""A token: its text, the path of a file that has it, or a function that returns its text."""
MAX_FILE_BYTES = 4_096


class TokenSource:
    """Reads a token each time it is needed. It is not shown as text, and cannot be pickled.

    Args:
        read: returns the text.
        what: the source, for errors; never the token.
    """

    __slots__ = ("_read", "what")

    def __init__(self, read: Callable[[], str], what: str) -> None:
        self._read, self.what = read, what

    def read(self) -> "AuthToken":
        """The token as it is now.

        Raises:
            ConfigError: if it cannot be read, or is none; names the source.
        """
        from ...registry.policy.tokens import parse_token

        fault = ""
        try:
            return parse_token(self._read())
        except DecreedError as error:
            fault = str(error)
        except OSError as error:
            fault = error.strerror or type(error).__name__
        except Exception as error:  # noqa: BLE001  a function of the user may raise anything
            # its text may have the token, and so may the frames behind it
            fault = f"{type(error).__name__} was raised"
        raise ConfigError(f"{self.what}: {fault}")

    def __repr__(self) -> str:
        return f"TokenSource({self.what!r})"

    def __reduce__(self) -> Never:
        raise TypeError("a token stays in the process that read it")


def token_source(token: Token | TokenSource | None) -> TokenSource | None:
    """The source of a token that a user gave; None if there is none.

    A text is checked now; a file and a function are asked when they are needed. The caller drops the
    text then, so that no traceback has it that is made later.

    Raises:
        BadRequest: if it is neither text, path nor function.
        ConfigError: if a text is no token.
    """
    # a user may give anything, whatever the types say
    given: object = token
    if given is None or isinstance(given, TokenSource):
        return given
    if isinstance(given, str):
        from ...registry.policy.tokens import parse_token

        try:
            held = parse_token(given)
        except BadRequest as error:
            raise ConfigError(f"token: {error}; for a file, give its pathlib.Path") from None
        return TokenSource(held.show, "token")
    if isinstance(given, os.PathLike):
        path = Path(cast("os.PathLike[str]", given))
        return TokenSource(lambda: in_file(path), f"the file of the token, {path}")
    if callable(given):
        return TokenSource(lambda: _asked(given), "the function that gives the token")
    raise BadRequest(
        f"token is a text, the pathlib.Path of a file, or a function, not {type(given).__name__}"
    )


def _asked(ask: Callable[[], object]) -> str:
    text = ask()
    if not isinstance(text, str):
        raise ConfigError(f"it returned {type(text).__name__}, and a token is a text")
    return text


def in_file(path: str | os.PathLike[str]) -> str:
    """The text in the file of a token.

    Raises:
        OSError: if it cannot be read.
        ConfigError: if it is too long.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"it has more than {MAX_FILE_BYTES} bytes, as no token has")
    return data.decode("ascii", "replace")
