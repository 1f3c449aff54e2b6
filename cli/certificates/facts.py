"""What a certificate says, as far as decreed reads it, and what is wrong with it (S04, S23).

Nothing here reads a clock or a file. Whether a chain holds is OpenSSL's business at each handshake;
this finds what would fail there, or later, in words.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

from ...registry.certificate_names import CertificateName, NameKind, name_of
from ...registry.errors import ConfigError

E = TypeVar("E", bound=x509.ExtensionType)

SOON = timedelta(days=30)
LEAST_RSA_BITS = 2_048
TAKEN = (
    *(rsa.RSAPublicKey, ec.EllipticCurvePublicKey),
    *(ed25519.Ed25519PublicKey, ed448.Ed448PublicKey),
)
"""The keys with which TLS 1.3 signs."""

_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class CertificateFacts(Struct, frozen=True):
    """What stands in a certificate.

    Args:
        subject: its subject, for people.
        name: whom it names; None if nobody.
        no_name: why it names nobody; empty if it does.
        hosts: the DNS names and addresses.
        serial: as hexadecimal digits.
        begins, ends: when it is valid.
        issuer: the subject of its CA, for people.
    """

    subject: str
    name: CertificateName | None
    no_name: str
    hosts: tuple[str, ...]
    serial: str
    begins: datetime
    ends: datetime
    issuer: str


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Read a certificate."""
    names = _alternative_names(certificate)
    name, fault = None, ""
    try:
        name = name_of(names.get_values_for_type(x509.UniformResourceIdentifier))
    except ConfigError as error:
        fault = str(error)
    addresses = names.get_values_for_type(x509.IPAddress)
    return CertificateFacts(
        certificate.subject.rfc4514_string(),
        name,
        fault,
        (*names.get_values_for_type(x509.DNSName), *map(str, addresses)),
        f"{certificate.serial_number:x}",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.issuer.rfc4514_string(),
    )


def issuer_among(
    certificate: x509.Certificate, authorities: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    """The CA whose key has signed a certificate; None if it is none of these."""
    return next((each for each in authorities if is_issued_by(certificate, each)), None)


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the key of `authority` has signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it says that it is a CA's."""
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.value.ca


def have_one_key(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    """Whether a private key is that of a certificate."""
    return _encoded(certificate.public_key()) == _encoded(key.public_key())


def faults(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    """What is wrong with a certificate by itself, or soon will be."""
    facts = facts_of(certificate)
    yield from _untimely(facts, now)
    yield from _weak(certificate)
    if is_authority(certificate):
        yield from _faults_of_authority(certificate)
        return
    yield from _faults_of_member(certificate, facts)


def _untimely(facts: CertificateFacts, now: datetime) -> Iterator[str]:
    if now < facts.begins:
        yield f"it is not valid before {facts.begins:%Y-%m-%d %H:%M} UTC: is the clock right?"
    elif facts.ends <= now:
        yield f"it has expired, at {facts.ends:%Y-%m-%d %H:%M} UTC: renew it"
    elif facts.ends <= now + SOON:
        yield f"it expires soon, at {facts.ends:%Y-%m-%d %H:%M} UTC: renew it"


def _weak(certificate: x509.Certificate) -> Iterator[str]:
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < LEAST_RSA_BITS:
        yield f"its RSA key has {public.key_size} bits; {LEAST_RSA_BITS} at least are needed"
    elif not isinstance(public, TAKEN):
        yield "its key is none that TLS 1.3 takes: use ECDSA P-256"
    if isinstance(certificate.signature_hash_algorithm, hashes.SHA1 | hashes.MD5):
        yield "it is signed over SHA-1 or MD5, which nobody accepts any more"


def _faults_of_authority(certificate: x509.Certificate) -> Iterator[str]:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and not constraints.critical:
        yield "its basic constraints are not critical: OpenSSL's strict check refuses it"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        yield "its key usage does not say that it signs certificates"
    if _extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield "it has no subject key identifier: OpenSSL's strict check refuses it"


def _faults_of_member(certificate: x509.Certificate, facts: CertificateFacts) -> Iterator[str]:
    if facts.name is None:
        yield f"it names nobody: {facts.no_name}"
    elif facts.name.kind is NameKind.AUTHORITY:
        yield f"it names a CA, {facts.name.uri}, and is none"
    else:
        yield from _wrong_usages(certificate, facts.name.kind)
        if facts.name.kind is NameKind.NODE and not facts.hosts:
            yield "it has no host, so clients do not accept it at any address: issue it with --host"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.value.digital_signature:
        yield "its key usage does not allow digital signatures, which TLS 1.3 makes"
    if _extension(certificate, x509.AuthorityKeyIdentifier) is None:
        yield "it has no authority key identifier: OpenSSL's strict check refuses it"


def _wrong_usages(certificate: x509.Certificate, kind: NameKind) -> Iterator[str]:
    found = _extension(certificate, x509.ExtendedKeyUsage)
    usages = set(found.value) if found is not None else {_SERVER, _CLIENT}
    if _CLIENT not in usages:
        yield "its extended key usage lacks clientAuth: it cannot connect to a node"
    if kind is NameKind.NODE and _SERVER not in usages:
        yield "its extended key usage lacks serverAuth: nobody can connect to the node"
    if kind is NameKind.CLIENT and _SERVER in usages:
        yield "it is a client's, and its extended key usage lets it pass for a server"


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    found = _extension(certificate, x509.SubjectAlternativeName)
    return x509.SubjectAlternativeName([]) if found is None else found.value


def _extension(certificate: x509.Certificate, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _encoded(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
