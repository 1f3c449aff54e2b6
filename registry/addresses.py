"""Addresses as ``host:port`` texts; a wrong one is refused with the form that was meant. No I/O.

An IPv6 address has one form here, the short one, so that equal addresses are equal texts.
"""

import re
import socket
from ipaddress import IPv6Address, ip_network

from .errors import ConfigError

HIGHEST_PORT = 65_535
_EXAMPLE = "127.0.0.1:7400"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HOST = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*\.?")
_LONGEST_HOST = 253
_LIST_MARKS = ";|"
_MAPPED_V4 = 0xFFFF << 32
"""``::ffff:0.0.0.0``: all IPv4 addresses, written as an IPv6 one."""
_EVERYWHERE = "0.0.0.0:7400,[::]:7400"


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ConfigError: if it is neither; it says what the right form is.
    """
    text = address.strip()
    _check_bare(address, text)
    host, colon, port = text.rpartition(":")
    if "[" in text or "]" in text or ":" in host:
        host, port = _split_v6(address, text)
    elif not colon or (host and not port):
        raise _bad(address, f"it has no port: write {_host_of(text)}:7400")
    elif not host:
        raise _bad(address, f"it has no host: write 127.0.0.1:{port or 7400}")
    elif not (_HOST.fullmatch(host) and len(host) <= _LONGEST_HOST):
        raise _bad(address, f"{host!a} is no host name: write host:port, such as {_EXAMPLE}")
    return host, _port(address, port)


def split_addresses(text: str) -> tuple[tuple[str, int], ...]:
    """The addresses of a list with commas; blanks around them and one comma at the end are allowed.

    Raises:
        ConfigError: if one of them is no address, or if a part is empty.
    """
    parts = text.strip().removesuffix(",").split(",")
    if not text.strip():
        raise ConfigError(f"no address is given: write host:port, such as {_EXAMPLE}")
    if not all(part.strip() for part in parts):
        raise ConfigError(
            f"{_short(text)} has an empty part: write one comma between two addresses"
        )
    return tuple(split_address(part) for part in parts)


def join_address(host: str, port: int) -> str:
    """``host:port``, or ``[v6]:port``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_listen(text: str) -> tuple[tuple[str, int], ...]:
    """The addresses to listen at: a list with commas, each once, wildcards included.

    ``0.0.0.0`` is every IPv4 address of the machine, ``[::]`` every IPv6 one.

    Raises:
        ConfigError: if one of them is no address.
    """
    for part in text.split(","):
        host, _, port = part.strip().rpartition(":")
        if host in ("", "*") and port.isdigit():
            ways = _EVERYWHERE.replace("7400", port)
            raise _bad(part.strip(), f"for all addresses of this machine write {ways}")
    return tuple(dict.fromkeys(split_addresses(text)))


def advertised(address: str) -> str:
    """The usual form of an address that others are told, so that they can connect to it.

    Raises:
        ConfigError: if it is no address, or one at which nobody else can reach a node.
    """
    host, port = split_address(address)
    if is_wildcard(host):
        raise _bad(
            address,
            f"others cannot connect to {host}, which means all addresses of a machine: write the"
            " name or IP address by which they reach this one",
        )
    if "%" in host:
        raise _bad(address, "a zone such as %eth0 means nothing on other machines: leave it out")
    return join_address(host, port)


def is_wildcard(host: str) -> bool:
    """Whether `host` stands for all addresses of a machine, in any spelling that systems take."""
    if ":" in host:
        import ipaddress

        return int(ipaddress.IPv6Address(host)) in (0, _MAPPED_V4)
    try:
        return socket.inet_aton(host) == bytes(4)
    except (OSError, UnicodeError):
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, an IP address in numbers."""
    import ipaddress

    address = ipaddress.ip_address(host.partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def network_of(host: str) -> str:
    """Whom an address stands for: of IPv6 its network, of which one machine may have every address.

    Args:
        host: an address without a port; around one of IPv6 there may be brackets.
    """
    try:
        address = IPv6Address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(ip_network((address, 64), strict=False))


def _check_bare(address: str, text: str) -> None:
    """Refuse a text with more than one address, or with parts that belong to a URL."""
    if not text:
        raise _bad(address, f"it is empty: write host:port, such as {_EXAMPLE}")
    if any(mark in text for mark in _LIST_MARKS) or len(text.split()) > 1:
        raise _bad(address, "several are written with commas between: host:port,host:port")
    if scheme := _SCHEME.fullmatch(text):
        raise _bad(address, f"{scheme[1]}:// is left out: write {_bare(scheme[2])}")
    if "@" in text:
        raise _bad(address, f"it has no user: write {_bare(text)}")
    if any(mark in text for mark in "/?#"):
        raise _bad(address, f"nothing stands behind the port: write {_bare(text)}")


def _bare(text: str) -> str:
    """What is left of a URL's authority: the host and the port, or an example of one."""
    rest = re.split(r"[/?#]", text)[0].rpartition("@")[2]
    if not rest:
        return _EXAMPLE
    return rest if re.search(r":\d+$", rest) else f"{rest.rstrip(':')}:7400"


def _split_v6(address: str, text: str) -> tuple[str, str]:
    """Host and port of ``[v6]:port``."""
    inside, closed, port = text[1:].partition("]")
    if not (text.startswith("[") and closed):
        raise _bad(
            address, f"only IPv6 addresses, in brackets, have colons: write {_bracketed(text)}"
        )
    if not _is_v6(inside):
        raise _bad(address, f"{inside!a} is no IPv6 address: write host:port, or [::1]:7400")
    inside = _short_v6(inside)
    if not (port.startswith(":") and port[1:]):
        raise _bad(address, f"it has no port: write [{inside}]:7400")
    return inside, port[1:]


def _bracketed(text: str) -> str:
    """The likeliest meaning of an IPv6 address without brackets."""
    bare = text.strip("[]")
    host, _, port = bare.rpartition(":")
    if _is_v6(bare) and not (port.isdigit() and len(port) > 3 and _is_v6(host)):
        return f"[{bare}]:7400"
    if _is_v6(host) and port.isdigit():
        return f"[{host}]:{port}"
    return f"host:port, such as {_EXAMPLE}, or [::1]:7400"


def _is_v6(text: str) -> bool:
    try:
        _short_v6(text)
    except ValueError:
        return False
    return True


def _short_v6(text: str) -> str:
    """The short form of an IPv6 address, as RFC 5952 has it; raises `ValueError` if it is none."""
    import ipaddress  # slow to load, and few addresses need it

    return str(ipaddress.IPv6Address(text))


def _host_of(text: str) -> str:
    host = text.rstrip(":")
    return host if _HOST.fullmatch(host) else "host"


def _port(address: str, port: str) -> int:
    if not (port.isascii() and port.isdigit()):
        raise _bad(address, f"{port!a} is no port: write host:port, such as {_EXAMPLE}")
    if not (len(port) <= 5 and 0 < int(port) <= HIGHEST_PORT):
        raise _bad(address, f"a port is 1 to {HIGHEST_PORT}, not {_short(port)}")
    return int(port)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _bad(address: str, fault: str) -> ConfigError:
    before, at, rest = address.rpartition("@")
    known = f"…@{rest}" if before and at else address  # never repeat a password
    return ConfigError(f"{_short(known)} is no address: {fault}")
