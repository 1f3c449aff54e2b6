"""S23: the certificates of `decreed ca`, before the strict checks of the real OpenSSL."""

import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from decreed.cli.certificates import files
from decreed.cli.certificates.authority import (
    Authority,
    Bearer,
    checked_hosts,
    issue,
    new_authority,
    new_key,
)
from decreed.cli.certificates.facts import facts_of, faults, is_issued_by
from decreed.registry.certificate_names import NameKind, certificate_name, name_of
from decreed.registry.errors import ConfigError, Refused

from .handshakes import context, shake

NOW = datetime.now(UTC).replace(microsecond=0)
CLUSTER = "c0ffee"


def authority(now: datetime = NOW) -> Authority:
    return new_authority(certificate_name(CLUSTER, NameKind.AUTHORITY), now)


def issued(
    by: Authority, kind: NameKind, name: str, hosts: tuple[str, ...] = (), now: datetime = NOW
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = new_key()
    whom = certificate_name(by.name.cluster_id, kind, name)
    return issue(by, Bearer(whom, hosts, key.public_key()), now, 365), key


def written(
    folder: Path, name: str, made: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> Path:
    path = folder / f"{name}.crt"
    files.write_new({path: files.pem_of(made), path.with_suffix(".key"): files.pem_of_key(key)})
    return path


@pytest.fixture
def ca() -> Authority:
    return authority()


@pytest.fixture
def bundle(ca: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_bytes(files.pem_of(ca.certificate))
    return path


def test_a_node_and_a_client_know_each_other_by_their_uris(
    ca: Authority, bundle: Path, tmp_path: Path
) -> None:
    node = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("n1.example", "10.0.0.1")))
    alice = written(tmp_path, "alice", *issued(ca, NameKind.CLIENT, "alice@work"))
    for host in ("n1.example", "10.0.0.1"):
        seen = shake(context(False, bundle, alice), context(True, bundle, node), host)
        assert seen == (f"decreed://{CLUSTER}/node/n1", f"decreed://{CLUSTER}/client/alice@work")


def test_a_node_is_client_and_server_of_another(
    ca: Authority, bundle: Path, tmp_path: Path
) -> None:
    one = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("::1",)))
    two = written(tmp_path, "n2", *issued(ca, NameKind.NODE, "n2", ("n2",)))
    shake(context(False, bundle, one), context(True, bundle, two), "n2")
    shake(context(False, bundle, two), context(True, bundle, one), "::1")


def test_a_client_does_not_pass_for_a_server(ca: Authority, bundle: Path, tmp_path: Path) -> None:
    eve = written(tmp_path, "eve", *issued(ca, NameKind.CLIENT, "eve", ("n1.example",)))
    node = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("n1.example",)))
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake(context(False, bundle, node), context(True, bundle, eve), "n1.example")


def test_a_node_is_refused_at_a_host_that_it_does_not_name(
    ca: Authority, bundle: Path, tmp_path: Path
) -> None:
    node = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("n1.example",)))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(context(False, bundle, node), context(True, bundle, node), "n2.example")


def test_another_ca_of_the_same_cluster_is_not_believed(bundle: Path, tmp_path: Path) -> None:
    other = authority()
    node = written(tmp_path, "n1", *issued(other, NameKind.NODE, "n1", ("n1",)))
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake(context(False, bundle, node), context(True, bundle, node), "n1")


def test_with_both_cas_in_the_bundle_old_and_new_certificates_are_believed(
    ca: Authority, bundle: Path, tmp_path: Path
) -> None:
    new = authority()
    assert new.certificate.subject != ca.certificate.subject
    both = tmp_path / "bundle.crt"
    both.write_bytes(bundle.read_bytes() + files.pem_of(new.certificate))
    one = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("n1",)))
    two = written(tmp_path, "n2", *issued(new, NameKind.NODE, "n2", ("n2",)))
    shake(context(False, both, one), context(True, both, two), "n2")
    shake(context(False, both, two), context(True, both, one), "n1")


def test_a_client_that_has_expired_is_refused(ca: Authority, bundle: Path, tmp_path: Path) -> None:
    node = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("n1",)))
    past = NOW - timedelta(days=366)
    late = written(tmp_path, "late", *issued(ca, NameKind.CLIENT, "late", now=past))
    with pytest.raises(ssl.SSLCertVerificationError, match="has expired"):
        shake(context(False, bundle, late), context(True, bundle, node), "n1")


def test_a_member_cannot_issue_certificates(ca: Authority, bundle: Path, tmp_path: Path) -> None:
    made, key = issued(ca, NameKind.NODE, "n1", ("n1",))
    forged, forged_key = issued(Authority(ca.name, made, key), NameKind.NODE, "n2", ("n2",))
    path = written(tmp_path, "n2", forged, forged_key)
    path.write_bytes(path.read_bytes() + files.pem_of(made))
    node = written(tmp_path, "n1", made, key)
    with pytest.raises(ssl.SSLCertVerificationError, match="invalid CA certificate"):
        shake(context(False, bundle, node), context(True, bundle, path), "n2")


def test_what_is_written_is_what_the_rule_says(ca: Authority) -> None:
    made, _ = issued(ca, NameKind.NODE, "n1", ("n1", "10.0.0.1"))
    constraints = ca.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        *(True, True, 0),
    )
    assert made.extensions.get_extension_for_class(x509.KeyUsage).critical
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"decreed://{CLUSTER}/node/n1"]
    public = made.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1"
    assert made.not_valid_after_utc - NOW == timedelta(days=365)
    assert ca.certificate.not_valid_after_utc - NOW == timedelta(days=3_650)
    assert list(faults(made, NOW)) == list(faults(ca.certificate, NOW)) == []


def test_serials_are_random(ca: Authority) -> None:
    serials = {issued(ca, NameKind.CLIENT, "a")[0].serial_number for _ in range(5)}
    assert len(serials) == 5 and min(each.bit_length() for each in serials) > 64


def test_a_certificate_ends_with_its_ca_at_the_latest(ca: Authority) -> None:
    late = ca.certificate.not_valid_after_utc - timedelta(days=7)
    made, _ = issued(ca, NameKind.CLIENT, "a", now=late)
    assert made.not_valid_after_utc == ca.certificate.not_valid_after_utc
    with pytest.raises(Refused, match="this CA has expired"):
        issued(ca, NameKind.CLIENT, "a", now=ca.certificate.not_valid_after_utc)


def test_hosts_are_names_or_addresses_of_machines() -> None:
    good = ("n1", "n1.example.com", "10.0.0.1", "fe80::1", "n1")
    assert checked_hosts(good) == good[:4]
    for bad in ("n1:7400", "[::1]", "*.example.com", "a b", "", "-n1", "bücher.example", "a..b"):
        with pytest.raises(ConfigError, match="neither a name nor an address"):
            checked_hosts([bad])


def test_a_name_stands_in_exactly_one_uri() -> None:
    good = f"decreed://{CLUSTER}/client/a@b.c"
    assert name_of(["https://example.com", good]).uri == good
    assert str(name_of([good])) == "client/a@b.c"
    for wrong in (
        [],
        [good, f"decreed://{CLUSTER}/node/n1"],
        [good, good],
        ["DECREED://c/node/n1"],
        ["decreed:/c/node/n1"],
        ["decreed://c/node/n1/x"],
        ["decreed://c/node/"],
        ["decreed://c/admin/n1"],
        ["decreed://c/node/n%31"],
        ["decreed://c/node/n1\n"],
        ["decreed://c/ca/n1"],
        [f"decreed://c/node/{'n' * 129}"],
        ["decreed://c\u0660/node/n1"],
    ):
        with pytest.raises(ConfigError):
            name_of(wrong)


def test_a_cluster_id_that_no_uri_can_carry_is_refused() -> None:
    for wrong in ("", "a/b", "a b", "ü", "c" * 129):
        with pytest.raises(ConfigError, match="cluster_id"):
            certificate_name(wrong, NameKind.AUTHORITY)


def test_openssl_itself_finds_nothing_to_complain_about(
    ca: Authority, bundle: Path, tmp_path: Path
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command here")
    node = written(tmp_path, "n1", *issued(ca, NameKind.NODE, "n1", ("n1",)))
    alice = written(tmp_path, "alice", *issued(ca, NameKind.CLIENT, "alice"))
    verify = [openssl, "verify", "-x509_strict", "-CAfile", str(bundle)]

    def complaint(purpose: str, *paths: Path) -> str:
        command = [*verify, "-purpose", purpose, *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stderr if done.returncode else ""

    assert complaint("sslserver", node) == complaint("sslclient", node, alice) == ""
    assert "unsuitable certificate purpose" in complaint("sslserver", alice)
    text = subprocess.run(
        [openssl, "x509", "-in", str(node), "-noout", "-text"], capture_output=True, text=True
    ).stdout
    assert f"URI:decreed://{CLUSTER}/node/n1, DNS:n1" in text
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text


def test_the_issuer_is_found_by_its_signature_and_not_by_its_name(ca: Authority) -> None:
    made, _ = issued(ca, NameKind.CLIENT, "a")
    key = new_key()
    twin = Authority(ca.name, ca.certificate, key)
    forged, _ = issued(twin, NameKind.CLIENT, "a")
    assert is_issued_by(made, ca.certificate) and not is_issued_by(forged, ca.certificate)
    assert facts_of(forged).issuer == facts_of(made).issuer
