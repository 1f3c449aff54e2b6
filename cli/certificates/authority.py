"""A small CA: its own certificate, and those that it issues to nodes and clients (S23).

ECDSA over P-256 everywhere: other keys are not faster here, and some are refused by hardware and by
other people's software. A certificate says who somebody is, and nothing about what he may do. All that
OpenSSL's strict check asks for is written: key identifiers, critical usages and constraints.

Nothing here reads a clock or a file.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from ...registry.certificate_names import CertificateName, NameKind
from ...registry.errors import ConfigError, Refused

AUTHORITY_DAYS = 3_650
MEMBER_DAYS = 365
EARLY = timedelta(minutes=5)
"""A certificate is valid from a little before now on: clocks differ."""
MAX_COMMON_NAME = 64
"""The longest common name that X.509 allows; nobody reads it but people."""

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)
_USAGES = {
    NameKind.NODE: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    # without the other one, OpenSSL refuses a client's certificate as a server's
    NameKind.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH,),
}


class Authority(Struct, frozen=True):
    """A CA.

    Args:
        name: whose it is.
        certificate: its certificate.
        key: its key.
    """

    name: CertificateName
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Bearer(Struct, frozen=True):
    """To whom a certificate is issued.

    Args:
        name: whom it names.
        hosts: where it is met: names and addresses, of a node alone.
        key: its public key.
    """

    name: CertificateName
    hosts: tuple[str, ...]
    key: CertificatePublicKeyTypes


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(name: CertificateName, now: datetime, days: int = AUTHORITY_DAYS) -> Authority:
    """A CA with a key of its own; the one before it, if there was one, stays as it is."""
    key = new_key()
    serial = x509.random_serial_number()
    # two CAs of one cluster have different names, so that a bundle of both is easy to read
    subject = _subject(f"decreed CA {name.cluster_id[:40]} {serial:040x}"[:MAX_COMMON_NAME])
    builder = (
        _begun(subject, subject, key.public_key(), serial, now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([_uri(name)]), critical=False)
        .add_extension(_issued_by(key.public_key()), critical=False)
    )
    return Authority(name, builder.sign(key, hashes.SHA256()), key)


def issue(authority: Authority, subject: Bearer, now: datetime, days: int) -> x509.Certificate:
    """A certificate for a node or a client. It ends when the CA's does, if that is sooner.

    Raises:
        Refused: if the CA's own certificate has expired.
    """
    ends = authority.certificate.not_valid_after_utc
    if ends <= now:
        raise Refused(f"the certificate of this CA has expired, at {ends:%Y-%m-%d}")
    public = authority.key.public_key()
    names = [_uri(subject.name), *map(_host, subject.hosts)]
    builder = (
        _begun(
            _subject(subject.name.name[:MAX_COMMON_NAME]),
            authority.certificate.subject,
            subject.key,
            x509.random_serial_number(),
            now,
            min(ends, now + timedelta(days=days)),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USAGES[subject.name.kind]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_issued_by(public), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def checked_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """Names and addresses of a node, each once, in order.

    Raises:
        ConfigError: if one is neither a name nor an address.
    """
    for host in hosts:
        if not _is_address(host) and not (_HOST.fullmatch(host) and len(host) <= 253):
            raise ConfigError(
                f"{host!r} is neither a name nor an address of a machine: give it without a port,"
                " brackets, stars and umlauts (a name with those in its xn-- form)"
            )
    return tuple(dict.fromkeys(hosts))


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    public: CertificatePublicKeyTypes,
    serial: int,
    now: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    """What all certificates have."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - EARLY)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issued_by(public: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _uri(name: CertificateName) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name.uri)


def _host(host: str) -> x509.GeneralName:
    if _is_address(host):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
