"""The user's config file: named contexts, each saying where a cluster is and how to talk to it.

    context = "prod"                # taken when nothing names another

    [contexts.prod]
    endpoints = ["10.0.0.1:7400", "10.0.0.2:7400"]
    timeout = "5s"
    claimant = "deploy"
    prefer = "nearest"
    ca = "prod-ca.pem"              # beside this file; with TLS
    cert = "deploy.crt"
    key = "deploy.key"
    token_file = "deploy.token"     # in place of a certificate; a token itself has no place here

It is ``DECREED_CONFIG``, or ``decreed/config.toml`` in ``XDG_CONFIG_HOME``, by default ``~/.config``.
An option takes precedence over a variable, that over the context, and that over the default. These are
plain functions from texts and the environment to values: they need neither Typer nor an event loop, and
without a config file they cost one failed look-up.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from ...registry.addresses import join_address, split_addresses
from ...registry.errors import BadRequest, ConfigError, DecreedError
from ..shell.durations import seconds_of
from .tls_paths import NO_TLS, TlsPaths, beside, of_variables
from .token_place import TokenPlace, place_of_token

T = TypeVar("T")

CONFIG_VARIABLE = "DECREED_CONFIG"
CONTEXT_VARIABLE = "DECREED_CONTEXT"
ENDPOINTS_VARIABLE = "DECREED_ENDPOINTS"
TIMEOUT_VARIABLE = "DECREED_TIMEOUT"
CLAIMANT_VARIABLE = "DECREED_CLAIMANT"
JSON_VARIABLE = "DECREED_JSON"
PREFER_VARIABLE = "DECREED_PREFER"
PREFERENCES = ("home", "nearest")
DEFAULT_ENDPOINTS = "127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402"
DEFAULT_TIMEOUT = 10.0

_TOP_LEVEL = ("context", "contexts")
_TLS = ("ca", "cert", "key", "cluster")
_SETTINGS = ("endpoints", "timeout", "claimant", "prefer", *_TLS, "token_file")
_EXAMPLES = {
    "claimant": '"name"',
    "ca": '"ca.pem", a path',
    "cert": '"name.crt", a path',
    "key": '"name.key", a path',
    "cluster": '"the cluster_id of cluster.toml"',
    "token_file": '"name.token", a path',
}
_LARGEST_FILE = 1 << 20


class Context(NamedTuple):
    """The settings of one context; None or empty if not set.

    Args:
        name: its name; empty if no context was chosen.
        endpoints: the nodes to talk to.
        timeout: seconds that a call may take.
        claimant: who claims.
        prefer: where to read from, one of `PREFERENCES`.
        tls: the files of TLS.
        token_file: the file of a token.
    """

    name: str = ""
    endpoints: tuple[str, ...] = ()
    timeout: float | None = None
    claimant: str | None = None
    prefer: str | None = None
    tls: TlsPaths = NO_TLS
    token_file: str | None = None


class ConfigFile(NamedTuple):
    """A config file that was read; nothing of its contexts is checked yet.

    Args:
        path: its path.
        text: its text, for naming the line of a fault.
        current: the context that is used if no other is named; empty for no context.
        contexts: the table of each context, by name.
    """

    path: str
    text: str
    current: str
    contexts: Mapping[str, Any]

    def context(self, name: str) -> Context:
        """The context called `name`, checked.

        Raises:
            ConfigError: if it does not exist, or is malformed.
        """
        if name not in self.contexts:
            known = ", ".join(self.contexts) or "none"
            raise ConfigError(f"{self.path}: there is no context {name!r}; there are: {known}")
        table = self.contexts[name]
        at = f"contexts.{name}"
        if not isinstance(table, dict):
            raise self.wrong(at, f"is a table: write [{at}]")
        settings = cast("dict[str, Any]", table)
        self._check_names(at, settings)
        return Context(
            name,
            self._endpoints(at, settings.get("endpoints")),
            self._timeout(at, settings.get("timeout")),
            self._text(at, settings, "claimant"),
            self._prefer(at, settings.get("prefer")),
            TlsPaths(*(self._text(at, settings, name) for name in _TLS)).beside(self.path),
            beside(self.path, self._text(at, settings, "token_file")),
        )

    def wrong(self, setting: str, fault: str) -> ConfigError:
        """The error that names the file, the line, the setting, and the way out."""
        from .settings import line_of

        return ConfigError(f"{_place(self.path, line_of(self.text, setting))}: {setting} {fault}")

    def _check_names(self, at: str, settings: Mapping[str, Any]) -> None:
        for name in settings:
            if name not in _SETTINGS:
                known = ", ".join(_SETTINGS)
                raise self.wrong(f"{at}.{name}", f"is no setting; the settings are {known}")

    def _endpoints(self, at: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        texts = cast("list[object]", value) if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) for text in texts):
            fault = 'is a list of texts: write ["host:port", "host:port"]'
            raise self.wrong(f"{at}.endpoints", fault)
        try:
            return tuple(each for text in texts for each in parse_endpoints(str(text)))
        except DecreedError as error:
            raise self.wrong(f"{at}.endpoints", f"is wrong: {error}") from error

    def _timeout(self, at: str, value: object) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.wrong(f"{at}.timeout", 'is a time: write "500ms", "10s" or "1h30m"')
        try:
            return seconds_of(str(value))
        except DecreedError as error:
            raise self.wrong(f"{at}.timeout", f"is wrong: {error}") from error

    def _prefer(self, at: str, value: object) -> str | None:
        if value not in (None, *PREFERENCES):
            raise self.wrong(f"{at}.prefer", 'is "home" or "nearest"')
        return None if value is None else str(value)

    def _text(self, at: str, settings: Mapping[str, Any], name: str) -> str | None:
        value = settings.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"{at}.{name}", f"is a text: write {_EXAMPLES[name]}")
        return value


def parse_endpoints(text: str) -> tuple[str, ...]:
    """The addresses of a comma-separated list, each as ``host:port``.

    Raises:
        ConfigError: if one is malformed.
    """
    return tuple(join_address(*pair) for pair in split_addresses(text))


def config_path(environ: Mapping[str, str]) -> str:
    """The path of the config file, even if it does not exist; empty for a user without a home."""
    if named := environ.get(CONFIG_VARIABLE):
        return named
    home = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(home):
        # the XDG specification says to ignore a relative path
        own = os.path.expanduser("~")
        if own == "~":
            return ""
        home = os.path.join(own, ".config")
    return os.path.join(home, "decreed", "config.toml")


def read_config(environ: Mapping[str, str]) -> ConfigFile | None:
    """The config file; None if it does not exist and no variable names one.

    Raises:
        ConfigError: if it cannot be read, or is malformed.
    """
    path = config_path(environ)
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if environ.get(CONFIG_VARIABLE):
            raise _unreadable(path, error.strerror, environ) from error
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(path, reason, environ) from error
    return parse_config(path, data)


def parse_config(path: str, data: bytes) -> ConfigFile:
    """The config file with the bytes `data`; a byte order mark at its beginning is skipped.

    Raises:
        ConfigError: if it is malformed; names the file, the line or the setting, and the way out.
    """
    import tomllib  # only where there is a file

    if len(data) > _LARGEST_FILE:
        raise ConfigError(f"{path}: it has more than {_LARGEST_FILE} bytes, as no config file has")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{_place(path, line)}: not UTF-8, as it must be") from error
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        from .toml_faults import toml_fault

        found, fault = toml_fault(error, text)
        raise ConfigError(f"{_place(path, found)}: not TOML: {fault}") from error
    bare = ConfigFile(path, text, "", {})
    for name in document:
        if name not in _TOP_LEVEL:
            raise bare.wrong(name, 'is no setting; there are context = "NAME" and [contexts.NAME]')
    current, contexts = document.get("context", ""), document.get("contexts", {})
    if not isinstance(current, str):
        raise bare.wrong("context", 'is the name of a context: write context = "NAME"')
    if not isinstance(contexts, dict):
        raise bare.wrong("contexts", "is a table of contexts: write [contexts.NAME]")
    return bare._replace(current=current, contexts=cast("dict[str, Any]", contexts))


def chosen_context(option: str | None, environ: Mapping[str, str]) -> Context:
    """The context of a command: from ``--context``, the variable, or the file.

    Raises:
        ConfigError: if the file is wrong, or has no context of that name.
    """
    variable = environ.get(CONTEXT_VARIABLE)
    file = read_config(environ)
    name = option or variable or (file.current if file else "")
    if not name:
        return Context()
    said = f" ({CONTEXT_VARIABLE} says {name!r})" if name == variable else ""
    if file is None:
        path = config_path(environ) or "a config file"
        raise ConfigError(f"there is no context {name!r}{said}: write it into {path}")
    try:
        return file.context(name)
    except ConfigError as error:
        raise ConfigError(f"{error}{said}") from error


def _unreadable(path: str, reason: str | None, environ: Mapping[str, str]) -> ConfigError:
    said = f", which {CONFIG_VARIABLE} names" if environ.get(CONFIG_VARIABLE) else ""
    return ConfigError(f"{path}{said}: {reason}")


def _place(path: str, line: int | None) -> str:
    return f"{path}, line {line}" if line else path


class CallSettings(NamedTuple):
    """The endpoints, the timeout and the claimant of a call.

    Args:
        endpoints: the nodes to talk to.
        timeout: seconds.
        claimant: from the variable or the context; None for the client's default.
        tls: the files of TLS, from options, variables or the context.
        token: where the token is, if there is one.
    """

    endpoints: tuple[str, ...]
    timeout: float
    claimant: str | None
    tls: TlsPaths = NO_TLS
    token: TokenPlace | None = None


def settle_call(
    endpoints: tuple[str, ...] | None,
    timeout: float | None,
    context: Context,
    environ: Mapping[str, str],
    tls: TlsPaths | None = None,
) -> CallSettings:
    """The settings of a call, by precedence: options and variables, the context, the default."""
    usual = DEFAULT_TIMEOUT if context.timeout is None else context.timeout
    return CallSettings(
        endpoints or context.endpoints or parse_endpoints(DEFAULT_ENDPOINTS),
        usual if timeout is None else timeout,
        environ.get(CLAIMANT_VARIABLE) or context.claimant,
        (tls or of_variables(environ)).or_else(context.tls),
        place_of_token(environ, context.token_file),
    )


def read_call(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> CallSettings:
    """The settings of a call from the texts of its options, such as ``{"--timeout": "5s"}``.

    The same result as with Typer's options, without loading Typer.

    Raises:
        DecreedError: if one is wrong; names the option, the variable, or the file and the line.
    """
    return settle_call(
        _read(told(options, "--endpoints", environ, ENDPOINTS_VARIABLE), parse_endpoints),
        _read(told(options, "--timeout", environ, TIMEOUT_VARIABLE), seconds_of),
        chosen_context(options.get("--context"), environ),
        environ,
    )


def check_one_place(
    endpoints: tuple[str, ...] | None, context: Context, environ: Mapping[str, str]
) -> None:
    """Check that a variable does not override a context that was chosen by name.

    A key that is frozen in another cluster than the named one is frozen there permanently.

    Raises:
        ConfigError: if the variable names other nodes than the context.
    """
    if not (endpoints and context.endpoints) or endpoints == context.endpoints:
        return
    if is_of_variable(endpoints, environ):
        raise ConfigError(
            f"--context {context.name} and {ENDPOINTS_VARIABLE} lead to different nodes: unset the"
            " variable, or leave out --context"
        )


def is_of_variable(endpoints: tuple[str, ...] | None, environ: Mapping[str, str]) -> bool:
    """Whether the nodes are those of the variable, so that no option has named others."""
    variable = environ.get(ENDPOINTS_VARIABLE)
    return bool(variable and endpoints) and endpoints == parse_endpoints(variable or "")


def is_on(text: str | None) -> bool:
    """Whether the variable of a flag is on; accepts the words that Typer accepts."""
    return (text or "").strip().lower() in ("1", "true", "t", "yes", "y", "on")


def told(
    options: Mapping[str, str], option: str, environ: Mapping[str, str], variable: str
) -> tuple[str, str] | None:
    """The source of a setting, and its text: the option, otherwise the variable unless it is empty."""
    if option in options:
        return option, options[option]
    text = environ.get(variable)
    return (variable, text) if text else None


def _read(said: tuple[str, str] | None, read: Callable[[str], T]) -> T | None:
    """The value of a setting; None if it was not given."""
    if said is None:
        return None
    source, text = said
    try:
        return read(text)
    except DecreedError as error:
        raise BadRequest(f"{source}: {error}") from error
