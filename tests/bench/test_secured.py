"""What the suite `secured` sets up: a policy under which the load may claim, and TLS if it is there."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.load import SOURCES, WITH_TLS, Load, options
from bench.systems.secured import (
    CLIENT,
    ROLES,
    PlainSystem,
    SecuredSystem,
    TlsSystem,
    document,
)
from decreed.registry.identity import ANONYMOUS, Identity
from decreed.registry.policy.document import Right
from decreed.registry.policy.parsing import parse
from decreed.registry.policy.rights import Allowed, Rights

has_openssl = shutil.which("gcc") is not None and Path("/usr/include/openssl/ssl.h").exists()


@pytest.mark.parametrize("identity", [Identity("client", CLIENT), ANONYMOUS])
def test_the_load_may_claim_its_keys_by_one_of_the_last_of_a_hundred_roles(
    tmp_path: Path, identity: Identity
) -> None:
    policy = parse(document())
    assert len(policy.roles) == ROLES
    cluster = SecuredSystem(tmp_path)
    cluster.give_ports_back()
    key = f"{cluster.prefix()}0000000001"
    rights = Rights(policy)
    assert isinstance(rights.may(identity, Right.CLAIM, key, 0), Allowed)
    assert not isinstance(rights.may(identity, Right.CLAIM, "load/eu/shop/r1/x", 0), Allowed)
    [own] = policy.members[f"client/{CLIENT}"]
    assert list(policy.roles).index(own) > ROLES * 0.9
    assert {grant.on.count("/") for grant in policy.roles[own]} == {3}


def test_only_systems_with_tls_give_the_generator_a_certificate(tmp_path: Path) -> None:
    for system, has_tls in ((PlainSystem, False), (TlsSystem, True), (SecuredSystem, True)):
        cluster = system(tmp_path)
        cluster.give_ports_back()
        line = options(cluster, Load(outstanding=64))
        assert ("--cert" in line) == ("--ca" in line) == ("--key" in line) == has_tls
        assert (cluster.tls is not None) == has_tls


@pytest.mark.skipif(not has_openssl, reason="gcc or the headers of OpenSSL are not installed")
def test_the_generator_compiles_with_tls_and_without_a_warning(tmp_path: Path) -> None:
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    strict = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*strict, "-o", str(tmp_path / "generator"), *sources, *WITH_TLS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
