"""Addresses of servers: ``host:port`` texts parsed into checked pairs. No I/O."""

from collections.abc import Iterable
from typing import NamedTuple

from ...registry.addresses import join_address, split_address, split_addresses
from ...registry.errors import ConfigError


class Endpoint(NamedTuple):
    """A host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_address(self.host, self.port)


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that ``host:port`` or ``[v6]:port`` names.

    Raises:
        ConfigError: if it is neither; the message names the right form.
    """
    return Endpoint(*split_address(text))


def parse_endpoints(texts: Iterable[str]) -> tuple[Endpoint, ...]:
    """All endpoints in `texts`, each of which may hold several, separated by commas.

    Raises:
        ConfigError: if one is malformed, or if the list is empty.
    """
    pairs = [pair for text in texts for pair in split_addresses(text)]
    if not pairs:
        raise ConfigError("no endpoint given: name at least one server as host:port")
    return tuple(dict.fromkeys(Endpoint(*pair) for pair in pairs))
