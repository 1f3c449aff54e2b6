"""Renewing a certificate: the same name and the same hosts, of a CA that is believed."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from msgspec import Struct

from ...registry.certificate_names import CertificateName, NameKind
from ...registry.errors import BadRequest
from .authority import Authority, Bearer, issue, new_key
from .facts import CertificateFacts, facts_of, issuer_among
from .files import certificates_in, pem_of, pem_of_key, replace, write_new

KEY_SUFFIX = ".key"


class RenewedFiles(Struct, frozen=True):
    """What a renewal has made.

    Args:
        certificate: the new certificate.
        path: where it is.
        key_path: where its key is; None if it kept the key that it had.
        kept: where the old files are now, if new ones have taken their names.
    """

    certificate: x509.Certificate
    path: Path
    key_path: Path | None
    kept: tuple[Path, ...]


def renewed(
    authority: Authority,
    path: Path,
    believed: Sequence[x509.Certificate],
    out: Path | None,
    days: int,
    same_key: bool,
    now: datetime,
) -> RenewedFiles:
    """Renew the certificate in a file.

    Args:
        authority: issues the new one.
        path: the file; its key is beside it.
        believed: the CAs whose word for a name is taken.
        out: the folder for the new files; None to put them in the place of the old ones.
        days: how long the new one is valid.
        same_key: whether the key stays.
        now: the time.

    Raises:
        BadRequest: if it is not the certificate of a node or client of this cluster.
        CommandFailed: if a file cannot be read or written.
    """
    old = certificates_in(path)[0]
    if path.suffix == KEY_SUFFIX:
        raise BadRequest(f"its name ends in {KEY_SUFFIX}, which leaves no name for its key")
    facts = facts_of(old)
    name = _checked(authority, old, facts, believed)
    key = None if same_key else new_key()
    subject = Bearer(name, facts.hosts, key.public_key() if key else old.public_key())
    made = issue(authority, subject, now, days)
    where = (out or path.parent) / path.name
    key_path = where.with_suffix(KEY_SUFFIX)
    contents = {where: pem_of(made)}
    if key is not None:
        # the key first: a pair that fits no more is seen by what stands in the certificate
        contents = {key_path: pem_of_key(key), **contents}
    kept: dict[Path, Path] = {}
    if out is None:
        kept = replace(contents, facts.serial)
    else:
        write_new(contents)
    return RenewedFiles(made, where, key_path if key else None, tuple(kept.values()))


def _checked(
    authority: Authority,
    old: x509.Certificate,
    facts: CertificateFacts,
    believed: Sequence[x509.Certificate],
) -> CertificateName:
    """Whom a certificate names, if it may be renewed."""
    if facts.name is None:
        raise BadRequest(facts.no_name)
    if facts.name.kind is NameKind.AUTHORITY:
        raise BadRequest("a CA is not renewed: make another one, and have both in all bundles")
    if facts.name.cluster_id != authority.name.cluster_id:
        ours = authority.name.cluster_id
        raise BadRequest(f"it is of the cluster {facts.name.cluster_id}, and the CA of {ours}")
    if issuer_among(old, believed) is None:
        raise BadRequest(f"its CA, {facts.issuer}, is not this one, nor one of --bundle")
    return facts.name
