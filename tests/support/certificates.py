"""Certificates for tests: of a CA of trustme, with the URIs that decreed reads."""

import ipaddress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from decreed.registry.tls.contexts import TlsFiles

CLUSTER = "live-test"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
CLIENT_ONLY = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER_ONLY = (ExtendedKeyUsageOID.SERVER_AUTH,)
DAY = timedelta(days=1)
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Validity(NamedTuple):
    """From when to when a certificate counts, as distances from now."""

    begins: timedelta = -DAY
    ends: timedelta = 90 * DAY


USUAL = Validity()
EXPIRED = Validity(-3 * DAY, -DAY)
NOT_YET = Validity(DAY, 3 * DAY)


class Authority:
    """A CA, and a folder in which it writes what it issues."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._ca = folder, trustme.CA()
        self._numbers = count()
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self._ca.cert_pem.bytes()

    def node(
        self,
        node: str,
        *,
        cluster: str = CLUSTER,
        valid: Validity = USUAL,
        name: str = "",
        key: "PrivateKey | None" = None,
    ) -> TlsFiles:
        """The files of a node."""
        uri = f"decreed://{cluster}/node/{node}"
        return self.issue(name or self._new_name(), uri, valid=valid, key=key)

    def client(self, client: str, *, cluster: str = CLUSTER, valid: Validity = USUAL) -> TlsFiles:
        """The files of a client."""
        uri = f"decreed://{cluster}/client/{client}"
        return self.issue(self._new_name(), uri, usages=CLIENT_ONLY, valid=valid)

    def _new_name(self) -> str:
        return f"issued-{next(self._numbers)}"

    def issue(
        self,
        name: str,
        *uris: str,
        usages: tuple[x509.ObjectIdentifier, ...] = BOTH,
        valid: Validity = USUAL,
        common_name: str = "nobody",
        key: "PrivateKey | None" = None,
    ) -> TlsFiles:
        """Write a certificate with these URIs, for 127.0.0.1 and localhost, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate, path = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        signed = self._sign(key.public_key(), uris, usages, valid, common_name)
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        return TlsFiles(certificate, path, self.ca)

    def _sign(
        self,
        public_key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
        uris: tuple[str, ...],
        usages: tuple[x509.ObjectIdentifier, ...],
        valid: Validity,
        common_name: str,
    ) -> x509.Certificate:
        issuer = x509.load_pem_x509_certificate(self.pem)
        pem = self._ca.private_key_pem.bytes()
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            *map(x509.UniformResourceIdentifier, uris),
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(issuer.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + valid.begins)
            .not_valid_after(now + valid.ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(key, hashes.SHA256())
        )
