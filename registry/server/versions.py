"""Which version of the protocol two sides speak."""

from ..errors import ProtocolError, Refused
from ..version import described
from ..wire.handshake import LOWEST_VERSION, VERSION


def choose_version(
    lowest: int, highest: int, our_lowest: int = LOWEST_VERSION, our_highest: int = VERSION
) -> int:
    """The highest protocol version that both sides speak.

    Args:
        lowest, highest: the versions that the other side offers.
        our_lowest, our_highest: the versions of this build.

    Raises:
        Refused: if there is none; names both ranges, and which side to upgrade.
    """
    chosen = min(highest, our_highest)
    if max(lowest, our_lowest) <= chosen:
        return chosen
    older = "the side that connects" if highest < our_lowest else "this node"
    raise Refused(
        f"protocol {_versions(lowest, highest)} offered, and this node (decreed {described()}) speaks"
        f" {_versions(our_lowest, our_highest)}: upgrade {older}"
    )


def check_version(version: int) -> None:
    """Check the version that the other side has chosen.

    Raises:
        ProtocolError: if this build did not offer it.
    """
    if not LOWEST_VERSION <= version <= VERSION:
        offered = _versions(LOWEST_VERSION, VERSION)
        raise ProtocolError(f"protocol version {version} chosen, and {offered} offered")


def _versions(lowest: int, highest: int) -> str:
    return f"version {lowest}" if lowest == highest else f"versions {lowest} to {highest}"
