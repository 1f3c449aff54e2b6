"""The present build with TLS, with TLS and a policy, and without: a policy alone is not to be had."""

import json
import secrets
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from decreed.cli.certificates.authority import MEMBER_DAYS, Bearer, issue
from decreed.cli.certificates.files import load_authority, pem_of
from decreed.client.blocking import finish, sender_of
from decreed.client.requests.operations import Operation
from decreed.client.transport.securing import Tls
from decreed.registry.certificate_names import CertificateName, NameKind
from decreed.registry.errors import DecreedError
from decreed.registry.wire.requests import Decreed, PolicyApplied, PolicyRequest

from .build import Counting
from .cluster import NotReady
from .decreed import DecreedSystem

ROLES = 100
APPLY_MS = 60_000
CLIENT = "load"
_PLACE = "load/eu/shop/r{role}"
"""Where the grants of a role are: a prefix of four segments."""
_OWN = ROLES - 3
"""The role of the load's client: one of the last in the list."""


class PlainSystem(DecreedSystem):
    """Neither TLS nor a policy. Its keys lie as deep as those of the others.

    Attributes:
        has_tls: whether nodes and clients show certificates.
        has_policy: whether there is a policy of `ROLES` roles.
    """

    name = "plain"
    has_tls: ClassVar[bool] = False
    has_policy: ClassVar[bool] = False

    def prefix(self) -> str:
        """A whole segment below the prefix that the load's client may claim."""
        return f"{_PLACE.format(role=_OWN)}/{super().prefix()}"

    def prepare(self) -> None:
        """Write the certificates too."""
        super().prepare()
        if self.has_tls:
            self._decreed("ca", "init", "--config", "cluster.toml")
            for node in range(self.size):
                self._decreed("ca", "node", f"n{node + 1}", "--config", "cluster.toml")
            self._decreed("ca", "client", CLIENT)

    def _decreed(self, *words: str) -> None:
        command = [self.python, "-m", "decreed", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environment()
        )
        if done.returncode:
            raise NotReady(f"decreed {' '.join(words)} failed: {done.stderr}")

    def command(self, node: int) -> list[str]:
        """``decreed serve``, with the node's certificate."""
        serve = super().command(node)
        if not self.has_tls:
            return serve
        own = self.folder / f"n{node + 1}"
        return [*serve, "--ca", f"{self._ca}", "--cert", f"{own}.crt", "--key", f"{own}.key"]

    @property
    def _ca(self) -> Path:
        return self.folder / "ca" / "ca.crt"

    def tls_options(self) -> Mapping[str, object]:
        """The certificate of the load's client."""
        own = self.folder / CLIENT
        return {"ca": self._ca, "cert": f"{own}.crt", "key": f"{own}.key"} if self.has_tls else {}

    @property
    def tls(self) -> Tls | None:
        """The same for a client of the library."""
        own = self.folder / CLIENT
        return Tls(self._ca, f"{own}.crt", f"{own}.key") if self.has_tls else None

    def await_serving(self) -> None:
        """Return when the cluster serves, under the policy if there is one."""
        super().await_serving()
        if self.has_policy:
            self._apply(document())

    def _apply(self, policy: bytes) -> None:
        """Have a policy decided as the first one, and wait until it is in force.

        Raises:
            NotReady: if it does not come into force.
        """
        try:
            with sender_of(self.addresses(), timeout=APPLY_MS / 1e3, tls=self.tls) as sender:
                reply = finish(sender.ask(_to_apply(policy), sender.deadline(None)))
        except DecreedError as error:
            raise NotReady(f"no policy was applied: {error}") from error
        if not (isinstance(reply.answer, PolicyApplied) and reply.answer.in_force):
            raise NotReady(f"no policy came into force: {reply.answer}")


class TlsSystem(PlainSystem):
    """Mutual TLS between nodes and with clients."""

    name = "TLS"
    has_tls = True


class Ed25519System(TlsSystem):
    """TLS with keys of Ed25519 in place of P-256, under the same CA."""

    name = "TLS, Ed25519"

    def prepare(self) -> None:
        """Write such certificates over those of `decreed ca`."""
        super().prepare()
        authority = load_authority(self.folder / "ca")
        nodes = [(NameKind.NODE, f"n{node + 1}", ("127.0.0.1",)) for node in range(self.size)]
        for kind, name, hosts in [*nodes, (NameKind.CLIENT, CLIENT, ())]:
            key = ed25519.Ed25519PrivateKey.generate()
            named = CertificateName(authority.name.cluster_id, kind, name)
            bearer = Bearer(named, hosts, key.public_key())
            certificate = issue(authority, bearer, datetime.now(UTC), MEMBER_DAYS)
            (self.folder / f"{name}.crt").write_bytes(pem_of(certificate))
            (self.folder / f"{name}.key").write_bytes(_pem(key))


class SecuredSystem(PlainSystem):
    """Mutual TLS, and a policy for the identity of the load's certificate."""

    name = "TLS and policy"
    has_tls = has_policy = True


class CountingPlain(Counting, PlainSystem):
    """Plain nodes that count their calls."""


class CountingTls(Counting, TlsSystem):
    """Nodes with TLS that count their calls."""


class CountingSecured(Counting, SecuredSystem):
    """Nodes with both that count their calls."""


def document() -> bytes:
    """A policy of `ROLES` roles, each below a prefix of four segments; the load has one of the last."""
    roles: dict[str, list[dict[str, object]]] = {
        f"role{role:03}": [{"on": _PLACE.format(role=role), "may": ["claim", "lock", "read"]}]
        for role in range(ROLES - 1)
    }
    roles["ops"] = [{"on": "", "may": ["admin"]}, {"on": "$status", "may": ["read"]}]
    members = {f"client/c{role}": [f"role{role:03}"] for role in range(ROLES - 1)}
    own = [f"role{_OWN:03}"]
    named = {"client/operator": ["ops"], f"client/{CLIENT}": own, "anyone": own}
    return json.dumps({"format": 1, "roles": roles, "members": members | named}).encode()


def _pem(key: ed25519.Ed25519PrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    nothing = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, nothing)


def _to_apply(policy: bytes) -> Operation:
    claim_id = secrets.token_bytes(16)
    return Operation(
        lambda id, timeout_ms, here: PolicyRequest(
            id, timeout_ms, 0, policy, "bench", claim_id, ""
        ),
        (PolicyApplied, Decreed),
        hedge=APPLY_MS / 1e3,
        longest=APPLY_MS / 1e3,
    )
