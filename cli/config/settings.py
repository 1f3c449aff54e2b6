"""Reading ``cluster.toml``: errors name the setting and its line.

`decreed.registry.config` defines the settings and their values.
"""

import codecs
import re
import tomllib
from pathlib import Path

from ...registry.config import ClusterConfig, parse_config
from ...registry.errors import ConfigError
from ..shell.failures import CommandFailed, reading
from .toml_faults import toml_fault

WAY_OUT = "correct the file, the same way on every node"


def load_config(path: Path) -> ClusterConfig:
    """Read and check a ``cluster.toml``.

    Raises:
        CommandFailed: if it is wrong; names the file, the line and the setting; exit code 2.
    """
    try:
        return parse_text(read_config(path))
    except ConfigError as error:
        raise CommandFailed(error, str(path), WAY_OUT) from error


def read_config(path: Path) -> str:
    """The text of a ``cluster.toml``, without the byte order mark that some editors put before it.

    Raises:
        CommandFailed: if it cannot be read; exit code 2.
        ConfigError: if it is not UTF-8.
    """
    with reading(str(path)):
        data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        found = "its byte order mark says UTF-16" if wide else str(error)
        raise ConfigError(f"not UTF-8: {found}") from error


def parse_text(text: str) -> ClusterConfig:
    """Check the text of a ``cluster.toml``.

    Raises:
        ConfigError: if it is wrong; names the line and the setting.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line, fault = toml_fault(error, text)
        raise _at(line, f"not TOML: {fault}") from error
    try:
        return parse_config(document)
    except ConfigError as error:
        raise _at(line_of(text, str(error).partition(":")[0]), str(error)) from error


def _at(line: int | None, fault: str) -> ConfigError:
    return ConfigError(f"line {line}: {fault}" if line else fault)


def line_of(text: str, setting: str) -> int | None:
    """The line on which a setting such as ``limits.max_value_bytes`` or a section stands."""
    table, _, name = setting.rpartition(".")
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            inside = header[1]
            if inside == setting:
                return number
        elif inside == table and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=", line):
            return number
    return None
