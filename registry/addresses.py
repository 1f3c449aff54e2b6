"""Addresses as ``host:port`` texts. No I/O."""

from .errors import ConfigError


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ConfigError: if it is neither.
    """
    host, colon, port = address.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ConfigError(f"{address!r} is no address: write host:port, such as 127.0.0.1:7400")
    return host, int(port)
