"""Where servers are reached: ``host:port`` texts turned into checked pairs. No I/O."""

from collections.abc import Iterable
from typing import NamedTuple

from ..registry.addresses import split_address
from ..registry.errors import ConfigError


class Endpoint(NamedTuple):
    """A host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that ``host:port`` or ``[v6]:port`` names.

    Raises:
        ConfigError: if it is neither.
    """
    return Endpoint(*split_address(text))


def parse_endpoints(texts: Iterable[str]) -> tuple[Endpoint, ...]:
    """All endpoints in `texts`, each of which may hold several, separated by commas.

    Raises:
        ConfigError: if one is malformed, or if there is none.
    """
    pieces = [piece for text in texts for piece in text.split(",") if piece.strip()]
    if not pieces:
        raise ConfigError("no endpoint given: name at least one server as host:port")
    return tuple(dict.fromkeys(parse_endpoint(piece) for piece in pieces))
