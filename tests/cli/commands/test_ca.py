"""S23: the command line of the CA: what it writes, what it refuses, and what it says of a file."""

import os
import stat
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from decreed.cli.certificates import files, renewing
from decreed.cli.certificates.facts import have_one_key
from decreed.cli.shell.failures import CommandFailed
from decreed.registry.errors import BadRequest

from ..certificates.handshakes import context, shake
from ..fakes import Cli

MEMBERS = '[members]\nn1 = "127.0.0.1:7400"\nn2 = "n2.example:7400"\nn3 = "127.0.0.1:7402"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a cluster.toml, where the commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.toml").write_text(f'cluster_id = "c1"\n{MEMBERS}')
    return tmp_path


@pytest.fixture
def ca(cli: Cli) -> None:
    """A CA for the cluster."""
    assert cli("ca", "init").code == 0


def all_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def mode(name: str) -> int:
    return stat.S_IMODE(Path(name).stat().st_mode)


def test_keys_can_be_read_by_their_owner_alone(cli: Cli, ca: None) -> None:
    before = os.umask(0)
    try:
        cli("ca", "node", "n1", "--config", "cluster.toml")
    finally:
        os.umask(before)
    assert (mode("ca/ca.key"), mode("n1.key")) == (0o600, 0o600)
    assert (mode("ca/ca.crt"), mode("n1.crt")) == (0o644, 0o644)


def test_a_key_is_closed_to_others_from_its_first_byte_on(
    cli: Cli, ca: None, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    seen: set[int] = set()
    sync = os.fsync

    def look(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and b"PRIVATE" in content_of(status.st_ino, folder):
            seen.add(stat.S_IMODE(status.st_mode))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    assert cli("ca", "client", "alice").code == 0
    assert seen == {0o600}


def content_of(inode: int, folder: Path) -> bytes:
    [data] = [path.read_bytes() for path in folder.iterdir() if path.stat().st_ino == inode]
    return data


def test_nothing_is_written_over(cli: Cli, ca: None, folder: Path) -> None:
    cli("ca", "client", "alice")
    before = all_files(folder)
    for command in (["init"], ["client", "alice"], ["node", "alice", "--host", "h"]):
        done = cli("ca", *command)
        assert done.code == 2 and "exists already, and is not written over" in done.err
    assert all_files(folder) == before


def test_half_a_pair_is_not_left_behind(cli: Cli, ca: None, folder: Path) -> None:
    (folder / "alice.crt").write_text("somebody else's")
    before = all_files(folder)
    assert cli("ca", "client", "alice").code == 2
    assert all_files(folder) == before


def test_a_node_has_the_host_of_the_cluster_toml_or_those_that_are_given(
    cli: Cli, ca: None
) -> None:
    cli("ca", "node", "n2", "--config", "cluster.toml")
    cli("ca", "node", "n9", "--host", "n9.example", "--host", "10.0.0.9")
    shown = cli("ca", "show", "n2.crt", "n9.crt", "--json")
    hosts = [each["hosts"] for each in shown.json["files"]]
    assert (shown.code, hosts) == (0, [["n2.example"], ["n9.example", "10.0.0.9"]])
    done = cli("ca", "node", "n9", "--out", "x", "--config", "cluster.toml")
    assert done.code == 2 and "cluster.toml has no member n9" in done.err


def test_names_that_cannot_be_are_refused(cli: Cli, ca: None, folder: Path) -> None:
    before = all_files(folder)
    for command in (
        ["client", "../alice"],
        ["client", ".hidden"],
        ["client", "ca"],
        ["client", "a b"],
        ["node", "n.1", "--host", "h"],
        ["node", "n1", "--host", "h:7400"],
    ):
        assert cli("ca", *command).code == 2, command
    assert all_files(folder) == before


def test_the_ca_of_another_cluster_is_refused(cli: Cli, ca: None, folder: Path) -> None:
    (folder / "other.toml").write_text(f'cluster_id = "c2"\n{MEMBERS}')
    done = cli("ca", "node", "n1", "--config", "other.toml")
    assert done.code == 2
    assert "its cluster is c2, and the CA is that of c1; name the folder of its own CA" in done.err


def test_a_key_of_the_ca_that_others_may_read_is_not_used(cli: Cli, ca: None) -> None:
    Path("ca/ca.key").chmod(0o640)
    done = cli("ca", "client", "alice")
    assert done.code == 2 and "others may read this key" in done.err and "chmod 600" in done.err
    assert not Path("alice.key").exists()


def test_a_key_of_the_ca_that_is_another_or_encrypted_or_damaged_is_named(
    cli: Cli, ca: None
) -> None:
    cli("ca", "client", "alice")
    Path("ca/ca.key").write_bytes(Path("alice.key").read_bytes())
    assert "ca/ca.key: it is not the key of ca/ca.crt" in cli("ca", "client", "bob").err
    secret = "MC4CAQAwBQYDK2VwBCIEI-not-a-key"
    Path("ca/ca.key").write_text(
        f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----"
    )
    done = cli("ca", "client", "bob")
    assert "the key in it is malformed" in done.err and secret not in done.err
    Path("ca/ca.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert "the key is encrypted" in cli("ca", "client", "bob").err


def test_renewing_keeps_name_and_hosts_and_the_old_files_under_other_names(
    cli: Cli, ca: None, folder: Path
) -> None:
    cli("ca", "node", "n1", "--host", "n1.example", "--host", "::1")
    old = {name: Path(name).read_bytes() for name in ("n1.crt", "n1.key")}
    before = cli("ca", "show", "n1.crt", "--json").json["files"][0]
    done = cli("ca", "renew", "n1.crt", "--json").json
    assert [Path(name).read_bytes() for name in done["kept"]] == [old["n1.key"], old["n1.crt"]]
    after = cli("ca", "show", "n1.crt", "n1.key", "--json")
    assert after.code == 0
    now = after.json["files"][0]
    assert (now["uri"], now["hosts"]) == (before["uri"], before["hosts"])
    assert now["serial"] != before["serial"] and before["serial"][:16] in done["kept"][0]
    assert Path("n1.key").read_bytes() != old["n1.key"]
    assert (mode("n1.key"), mode(done["kept"][0])) == (0o600, 0o600)
    bundle, own = Path("ca/ca.crt"), Path("n1.crt")
    shake(context(False, bundle, own), context(True, bundle, own), "n1.example")


def test_renewing_with_the_same_key_needs_no_key(cli: Cli, ca: None, folder: Path) -> None:
    cli("ca", "client", "alice", "--days", "10")
    key = files.key_in(Path("alice.key"))
    Path("alice.key").unlink()
    assert cli("ca", "renew", "alice.crt", "--same-key").code == 0
    [made] = files.certificates_in(Path("alice.crt"))
    assert have_one_key(made, key)
    assert made.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)
    assert not Path("alice.key").exists()


def test_renewing_into_another_folder_leaves_the_old_files(
    cli: Cli, ca: None, folder: Path
) -> None:
    cli("ca", "client", "alice")
    before = all_files(folder)
    assert cli("ca", "renew", "alice.crt", "--out", "new").code == 0
    after = all_files(folder)
    assert after.keys() - before.keys() == {"new/alice.crt", "new/alice.key"}
    assert {name: after[name] for name in before} == before
    assert cli("ca", "renew", "alice.crt", "--out", "new").code == 2


def test_a_renewal_that_was_cut_short_is_repeated_without_a_loss(
    cli: Cli, ca: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("ca", "client", "alice")
    old = set(all_files(folder).values())

    def broken(contents: Mapping[Path, bytes], serial: str) -> None:
        files.replace(dict([*contents.items()][:1]), serial)
        raise CommandFailed(BadRequest("the machine has lost its power"), "alice.crt")

    with monkeypatch.context() as patched:
        patched.setattr(renewing, "replace", broken)
        assert cli("ca", "renew", "alice.crt").code == 2
    assert "is not its key" in cli("ca", "show", "alice.crt").text
    assert cli("ca", "renew", "alice.crt").code == 0
    assert cli("ca", "show", "alice.crt", "alice.key").code == 0
    assert old <= set(all_files(folder).values())


def test_a_second_ca_renews_what_the_first_has_issued_if_it_is_believed(
    cli: Cli, ca: None, folder: Path
) -> None:
    cli("ca", "node", "n1", "--config", "cluster.toml")
    cli("ca", "init", "--dir", "ca-2")
    refused = cli("ca", "renew", "n1.crt", "--dir", "ca-2")
    assert refused.code == 2 and "is not this one, nor one of --bundle" in refused.err
    assert cli("ca", "renew", "n1.crt", "--dir", "ca-2", "--bundle", "ca/ca.crt").code == 0
    shown = cli("ca", "show", "n1.crt", "--bundle", "ca-2/ca.crt")
    assert shown.code == 0 and "  ca       ca-2/ca.crt: " in shown.text
    assert cli("ca", "show", "n1.crt", "--bundle", "ca/ca.crt").code == 7


def test_what_cannot_be_renewed_is_said(cli: Cli, ca: None, folder: Path) -> None:
    assert "a CA is not renewed" in cli("ca", "renew", "ca/ca.crt").err
    assert "it is a private key" in cli("ca", "renew", "ca/ca.key").err
    Path("a.crt").write_bytes(own_pki_certificate())
    assert "it names no decreed:// URI" in cli("ca", "renew", "a.crt").err
    assert cli("ca", "renew", "none.crt").code == 2


def own_pki_certificate() -> bytes:
    """A certificate with all that can be wrong."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n1")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(7)
    ends = datetime.now(UTC) - timedelta(days=1)
    builder = builder.not_valid_before(ends - timedelta(days=9)).not_valid_after(ends)
    return files.pem_of(builder.sign(key, hashes.SHA256()))


def test_all_that_is_wrong_with_a_file_is_told(cli: Cli, ca: None, folder: Path) -> None:
    cli("ca", "client", "alice", "--days", "20")
    cli("ca", "client", "bob")
    Path("alice.key").write_bytes(Path("bob.key").read_bytes())
    Path("alice.key").chmod(0o644)
    Path("a.crt").write_bytes(own_pki_certificate())
    shown = cli("ca", "show", "alice.crt", "alice.key", "a.crt", "--json")
    assert shown.code == 7
    alice, key, other = (each["faults"] for each in shown.json["files"])
    assert len(alice) == 2 and "it expires soon" in alice[0] and "is not its key" in alice[1]
    assert "others may read this key" in key[0] and "it is not the key of alice.crt" in key[1]
    told = " ".join(other)
    for fault in (
        "it has expired",
        "has 1024 bits",
        "it names nobody",
        "no authority key",
        "none of",
    ):
        assert fault in told
    text = cli("ca", "show", "alice.crt").text
    assert "  WRONG    it expires soon" in text and "uri      decreed://c1/client/alice" in text


def test_garbage_is_named_and_never_a_traceback(cli: Cli, ca: None, folder: Path) -> None:
    Path("a").write_bytes(b"\xff" * 100)
    Path("b").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    Path("c").write_bytes(b"")
    Path("d").write_bytes(b"x" * (files.MOST_BYTES + 1))
    for name in ("a", "b", "c", "d", "none", "."):
        done = cli("ca", "show", name)
        assert done.code == 2 and done.err.startswith(f"decreed: {name}: "), done.err


def test_no_key_is_ever_printed(cli: Cli, ca: None, folder: Path) -> None:
    said = [
        cli("ca", "client", "alice"),
        cli("ca", "renew", "alice.crt"),
        cli("ca", "show", "ca/ca.key"),
    ]
    said += [cli("ca", "show", "alice.key", "--json")]
    secret = Path("alice.key").read_text().splitlines()[1]
    assert all(secret not in each.text + each.err and "PRIVATE" not in each.text for each in said)


def test_without_the_library_the_way_out_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    for name in [name for name in sys.modules if "decreed.cli.certificates" in name]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    done = cli("ca", "init")
    assert done.code == 7 and "pip install 'decreed[ca]'" in done.err
