"""What ``decreed ca show`` says of a file with certificates or a key."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from msgspec import Struct

from ...registry.documents import time_text
from ..shell.failures import CommandFailed
from .facts import CertificateFacts, facts_of, faults, have_one_key, is_authority, issuer_among
from .files import certificates_in, holds_key, is_open_to_others, key_in, read

CERTIFICATE_SUFFIX, KEY_SUFFIX = ".crt", ".key"
NO_CA = "none of the CAs that were read"


class FileFinding(Struct, frozen=True):
    """A certificate, or a key, of a file.

    Args:
        path: the file.
        kind: ``ca``, ``certificate`` or ``key``.
        facts: what stands in the certificate; for a key, in the one beside it; None if there is none.
        issued_by: the file and the subject of its CA; empty for a key, and if it is unknown.
        faults: what is wrong.
    """

    path: Path
    kind: str
    facts: CertificateFacts | None
    issued_by: str
    faults: tuple[str, ...]


class Authorities(Struct, frozen=True):
    """The CAs that certificates are compared with.

    Args:
        found: each with the file that it is in.
    """

    found: tuple[tuple[Path, x509.Certificate], ...]

    def issuer_of(self, certificate: x509.Certificate) -> str:
        """The CA of a certificate; empty if it is none of these."""
        issuer = issuer_among(certificate, [each for _, each in self.found])
        paths = [path for path, each in self.found if each == issuer]
        return f"{paths[0]}: {facts_of(issuer).subject}" if issuer and paths else ""


def authorities_in(paths: Sequence[Path]) -> Authorities:
    """The CAs of files with certificates; keys are passed over.

    Raises:
        CommandFailed: if a file cannot be read; exit code 2.
    """
    found: list[tuple[Path, x509.Certificate]] = []
    for path in dict.fromkeys(paths):
        if not holds_key(read(path)):
            found += [(path, each) for each in certificates_in(path) if is_authority(each)]
    return Authorities(tuple(found))


def look_at(path: Path, authorities: Authorities, now: datetime) -> list[FileFinding]:
    """What is in a file, and what is wrong with it.

    Args:
        path: the file.
        authorities: the CAs that are known.
        now: the time.

    Raises:
        CommandFailed: if it cannot be read; exit code 2.
    """
    if holds_key(read(path)):
        return [_look_at_key(path)]
    return [_look_at_certificate(path, each, authorities, now) for each in certificates_in(path)]


def _look_at_certificate(
    path: Path, certificate: x509.Certificate, authorities: Authorities, now: datetime
) -> FileFinding:
    found = list(faults(certificate, now))
    issuer = authorities.issuer_of(certificate)
    if not issuer and authorities.found:
        found.append(f"it is issued by {NO_CA}")
    key = path.with_suffix(KEY_SUFFIX)
    if key != path and key.exists() and not have_one_key(certificate, key_in(key)):
        found.append(f"the key in {key} is not its key")
    kind = "ca" if is_authority(certificate) else "certificate"
    return FileFinding(path, kind, facts_of(certificate), issuer, tuple(found))


def _look_at_key(path: Path) -> FileFinding:
    key = key_in(path)
    found: list[str] = []
    if is_open_to_others(path):
        found.append(f"others may read this key: chmod 600 {path}")
    beside = path.with_suffix(CERTIFICATE_SUFFIX)
    if beside == path or not beside.exists():
        return FileFinding(path, "key", None, "", tuple(found))
    try:
        certificate = certificates_in(beside)[0]
    except CommandFailed as failure:
        return FileFinding(path, "key", None, "", (*found, f"{beside}: {failure}"))
    if not have_one_key(certificate, key):
        found.append(f"it is not the key of {beside}")
    return FileFinding(path, "key", facts_of(certificate), "", tuple(found))


# -- for people, and for programs


def lines_of(shown: FileFinding) -> list[str]:
    """What is printed for one certificate or key."""
    facts = shown.facts
    if shown.kind == "key":
        whose = f"of {facts.name or facts.subject}" if facts else "without a certificate beside it"
        return [f"{shown.path}: key {whose}", *_wrong(shown)]
    assert facts is not None, "a certificate has facts"
    return [
        f"{shown.path}: {shown.kind} of {_whom(facts)}",
        f"  subject  {facts.subject}",
        f"  uri      {facts.name.uri if facts.name else 'none'}",
        *([f"  hosts    {', '.join(facts.hosts)}"] if facts.hosts else []),
        f"  valid    {facts.begins:%Y-%m-%d %H:%M} to {facts.ends:%Y-%m-%d %H:%M} UTC",
        f"  serial   {facts.serial}",
        f"  ca       {shown.issued_by or facts.issuer}",
        *_wrong(shown),
    ]


def _whom(facts: CertificateFacts) -> str:
    if facts.name is None:
        return "nobody"
    return f"{facts.name if facts.name.name else 'a CA'}, cluster {facts.name.cluster_id}"


def _wrong(shown: FileFinding) -> list[str]:
    return [f"  WRONG    {fault}" for fault in shown.faults]


def document_of(facts: CertificateFacts) -> dict[str, Any]:
    """The JSON document of what stands in a certificate."""
    name = facts.name
    return {
        "subject": facts.subject,
        "uri": name.uri if name else None,
        "cluster_id": name.cluster_id if name else None,
        "name": str(name) if name else None,
        "hosts": list(facts.hosts),
        "serial": facts.serial,
        "not_before": time_text(round(facts.begins.timestamp() * 1_000)),
        "not_after": time_text(round(facts.ends.timestamp() * 1_000)),
        "issuer": facts.issuer,
    }


def shown_document(shown: FileFinding) -> dict[str, Any]:
    """The JSON document of one certificate or key."""
    facts = document_of(shown.facts) if shown.facts else {}
    more = {"issued_by": shown.issued_by or None, "faults": list(shown.faults)}
    return {"path": str(shown.path), "kind": shown.kind} | facts | more
