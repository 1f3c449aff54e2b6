"""The cluster's secret: what nodes prove to one another if no certificates do. S05.

It is 32 random bytes, kept as text in a file of its own, the same on each node. It is never sent.
Messages carry codes that only its owners can compute (HMAC-SHA256, RFC 2104).

Invariant: no text, log, error or pickle has the bytes of a secret or of a key that is made from it.
"""

import base64
import binascii
import hmac
from typing import Never

from .errors import ConfigError

SECRET_BYTES = 32
MAX_SECRETS = 2
"""The one in use, and another one that is accepted while the secret is changed."""
MAX_TEXT_BYTES = 4_096

WRITTEN = "32 random bytes, as 'head -c 32 /dev/urandom | base64' prints them"


class SecretKey:
    """A key of message authentication codes. It is not shown as text, and cannot be pickled.

    Args:
        data: its 32 bytes.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        assert len(data) == SECRET_BYTES
        self._data = data

    def code(self, label: bytes, data: bytes) -> bytes:
        """The code of `data` in the role `label`: HMAC-SHA256 over both.

        Args:
            label: the role; it has no zero byte, so that no label continues another one.
            data: what is proven.
        """
        return hmac.digest(self._data, label + b"\0" + data, "sha256")

    def derived(self, label: bytes, data: bytes) -> "SecretKey":
        """A key that only owners of this one can make, for one purpose."""
        return SecretKey(self.code(label, data))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __reduce__(self) -> Never:
        raise TypeError("a secret stays in the process that read it")


class ClusterSecret:
    """The cluster's secret, and perhaps another one that is accepted while it is changed.

    Args:
        used: the one that this node proves.
        accepted: another one that it takes as a proof of others.
    """

    __slots__ = ("keys", "used")

    def __init__(self, used: SecretKey, accepted: SecretKey | None = None) -> None:
        self.used = used
        self.keys = (used,) if accepted is None else (used, accepted)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __reduce__(self) -> Never:
        raise TypeError("a secret stays in the process that read it")


def secret_text(random: bytes) -> str:
    """The text of the file of a new secret.

    Args:
        random: `SECRET_BYTES` bytes of the system's random numbers.
    """
    assert len(random) == SECRET_BYTES
    return random.hex() + "\n"


def parse_secret(text: bytes) -> ClusterSecret:
    """The secret in a file: a line of hexadecimal digits or of base64, and perhaps a second such line.

    The second one is accepted as a proof of others, and not used for our own. Empty lines and lines
    that begin with ``#`` do not count.

    Raises:
        ConfigError: if there is none, or something else. The message has nothing of the text.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    if not 1 <= len(lines) <= MAX_SECRETS:
        raise ConfigError(
            f"it has {len(lines)} lines, and a secret is one: {WRITTEN} (a second line is another"
            " secret that is accepted too)"
        )
    return ClusterSecret(*(_key(number, line) for number, line in enumerate(lines, 1)))


def _key(number: int, line: bytes) -> SecretKey:
    try:
        data = (
            bytes.fromhex(line.decode("ascii"))
            if len(line) == 2 * SECRET_BYTES
            else base64.b64decode(line, validate=True)
        )
    except (ValueError, binascii.Error):
        data = b""
    if len(data) != SECRET_BYTES:
        raise ConfigError(f"line {number} is no secret: {WRITTEN}")
    return SecretKey(data)
