"""The files of certificates and keys: read with errors in words, written so that nothing is lost.

Invariants:

* A file has its content from the moment at which it has its name: it is written under another name and
  synced first. A key can be read by its owner alone from its first byte on.
* No content is ever lost: a new file never takes the place of another, except that of a certificate
  that is renewed, and that one is kept under another name first.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ...registry.certificate_names import NameKind
from ...registry.errors import BadRequest, ConfigError
from ..shell.failures import CommandFailed, reading
from .authority import Authority
from .facts import facts_of, have_one_key, is_authority

CERTIFICATE, KEY = "ca.crt", "ca.key"
MOST_BYTES = 1 << 20
OF_KEY, OF_CERTIFICATE = 0o600, 0o644

_BEGIN_KEY = b"PRIVATE KEY-----"
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


# -- reading


def read(path: Path) -> bytes:
    """A file with certificates or a key.

    Raises:
        CommandFailed: if it cannot be read, or is too long to be one; exit code 2.
    """
    with reading(str(path)), path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _no(path, "it is longer than any such file")
    return data


def holds_key(data: bytes) -> bool:
    """Whether the content of a file is a private key."""
    return _BEGIN_KEY in data


def certificates_in(path: Path) -> list[x509.Certificate]:
    """All certificates of a file, in order; at least one.

    Raises:
        CommandFailed: if there is none, or one is malformed; exit code 2.
    """
    data = read(path)
    if _BEGIN_CERTIFICATE not in data:
        found = "it is a private key" if holds_key(data) else "it is not in PEM form"
        raise _no(path, f"{found}, and no certificate")
    try:
        certificates = x509.load_pem_x509_certificates(data)
        for each in certificates:
            facts_of(each)  # what is malformed inside shows only when it is read
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no(path, f"a certificate in it is malformed: {error}") from error
    return certificates


def key_in(path: Path) -> PrivateKeyTypes:
    """The private key of a file.

    Raises:
        CommandFailed: if there is none, or it is encrypted or malformed; exit code 2. It tells
            nothing of the content.
    """
    data = read(path)
    if not holds_key(data):
        raise _no(path, "there is no private key in PEM form in it")
    if b"ENCRYPTED" in data:
        cause = BadRequest("the key is encrypted, and nodes and this command ask for no password")
        way_out = "decrypt it with 'openssl pkey', into a file that only its owner can read"
        raise CommandFailed(cause, str(path), way_out)
    try:
        return load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # without its cause: nobody needs to see what the parser saw of a key
        raise _no(path, "the key in it is malformed") from None


def load_authority(folder: Path) -> Authority:
    """The CA in a folder.

    Raises:
        CommandFailed: if it is none, or its key may be read by others; exit code 2.
    """
    certificate = certificates_in(folder / CERTIFICATE)[0]
    facts = facts_of(certificate)
    if not is_authority(certificate) or not facts.name or facts.name.kind is not NameKind.AUTHORITY:
        raise _no(folder / CERTIFICATE, "it is not the certificate of a CA of 'decreed ca init'")
    check_mode(folder / KEY)
    key = key_in(folder / KEY)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not have_one_key(certificate, key):
        raise _no(folder / KEY, f"it is not the key of {folder / CERTIFICATE}")
    return Authority(facts.name, certificate, key)


def check_mode(path: Path) -> None:
    """Check that a key can be read by its owner alone.

    Raises:
        CommandFailed: if it cannot; exit code 2.
    """
    if is_open_to_others(path):
        cause = BadRequest("others may read this key")
        raise CommandFailed(cause, str(path), f"see who did, then: chmod 600 {path}")


def is_open_to_others(path: Path) -> bool:
    """Whether others than its owner may read or write a file."""
    with reading(str(path)):
        return bool(path.stat().st_mode & 0o077)


def _no(path: Path, cause: str) -> CommandFailed:
    return CommandFailed(BadRequest(cause), str(path), "check which file this is")


# -- writing


def pem_of(certificate: x509.Certificate) -> bytes:
    """The content of a file with a certificate."""
    return certificate.public_bytes(Encoding.PEM)


def pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The content of a file with a key."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_new(contents: Mapping[Path, bytes]) -> None:
    """Write new files: all of them, or none.

    Args:
        contents: of each file; whatever holds a key is readable by its owner alone.

    Raises:
        CommandFailed: if one cannot be written, or exists; exit code 2. Then none is left.
    """
    with ExitStack() as stack:
        written = {path: stack.enter_context(_Written(path, contents[path])) for path in contents}
        done: list[Path] = []
        try:
            for path, file in written.items():
                file.publish()
                done.append(path)
        except CommandFailed:
            for path in done:
                path.unlink()
            raise
        _sync_folders(contents)


def replace(contents: Mapping[Path, bytes], serial: str) -> dict[Path, Path]:
    """Replace files, and keep each old one under another name.

    The old ones have their other names before the first of them is replaced. If it is cut short
    between a key and its certificate, a node that reads them keeps what it has, and the command may be
    repeated.

    Args:
        contents: of each file, in the order in which they are replaced.
        serial: of the old certificate; part of the other names.

    Returns:
        The name under which each old file is kept.

    Raises:
        CommandFailed: if one cannot be written; exit code 2.
    """
    with ExitStack() as stack:
        written = {path: stack.enter_context(_Written(path, contents[path])) for path in contents}
        kept = {path: _keep(path, serial) for path in contents if path.exists()}
        _sync_folders(contents)
        for file in written.values():
            file.take_over()
        _sync_folders(contents)
    return kept


class _Written:
    """A file under another name, beside the one that it is to have; gone at the end of the block.

    Args:
        path: the name that it is to have.
        content: what is in it.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content
        self._name = ""

    def __enter__(self) -> "_Written":
        with reading(str(self._path)):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # readable by its owner alone, and never a file that exists
            descriptor, self._name = tempfile.mkstemp(dir=self._path.parent, prefix=".new-")
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._content)
                file.flush()
                os.fchmod(descriptor, OF_KEY if holds_key(self._content) else OF_CERTIFICATE)
                os.fsync(descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        Path(self._name).unlink(missing_ok=True)

    def publish(self) -> None:
        """Give it its name, which nothing may have yet."""
        try:
            with reading(str(self._path)):
                os.link(self._name, self._path)
        except CommandFailed as failure:
            if isinstance(failure.__cause__, FileExistsError):
                cause = BadRequest("it exists already, and is not written over")
                way_out = "take another folder, or move it away"
                raise CommandFailed(cause, str(self._path), way_out) from None
            raise

    def take_over(self) -> None:
        """Give it its name; what had it before has another one."""
        with reading(str(self._path)):
            Path(self._name).replace(self._path)


def _keep(path: Path, serial: str) -> Path:
    """Give a file one more name, which tells the serial of the certificate that it belongs to."""
    for number in range(1, 100):
        name = f"{path.stem}.{serial[:16]}{f'-{number}' if number > 1 else ''}{path.suffix}"
        other = path.with_name(name)
        with reading(str(other)):
            if not other.exists():
                os.link(path, other)
                return other
            if other.samefile(path):  # of a run that was cut short
                return other
    raise _no(path, "a hundred copies of it are kept beside it")


def _sync_folders(paths: Iterable[Path]) -> None:
    """Have the names survive a crash of the machine."""
    for folder in {path.parent for path in paths}:
        with reading(str(folder)):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def member_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the certificate and the key of a node or client are.

    Raises:
        ConfigError: if files cannot have this name.
    """
    if name in ("ca", ".", "..") or name.startswith("."):
        raise ConfigError(f"no file can have the name {name!r}")
    return folder / f"{name}.crt", folder / f"{name}.key"
