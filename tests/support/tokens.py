"""A cluster with TLS that obeys a policy with tokens, on loopback."""

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from decreed.client import Tls
from decreed.registry.policy.document import Policy, Token
from decreed.registry.policy.encoding import encode, expiry_text
from decreed.registry.policy.tokens import AuthToken, make_token
from decreed.registry.server.credentials import Credentials
from decreed.registry.types import NodeId
from decreed.registry.wire.requests import PolicyApplied, PolicyRequest

from ..policy.samples import read
from .certificates import CLUSTER, Authority
from .live import Cluster, live_cluster, live_config
from .secured import as_client

HOUR_MS = 3_600_000


def expires(in_ms: int = HOUR_MS) -> str:
    """A time from now, as a policy writes it."""
    now_ms = time.time_ns() // 1_000_000
    return expiry_text(Token("", now_ms + in_ms))


def fresh(name: str) -> AuthToken:
    """A token that nobody has."""
    return make_token(name, os.urandom(32))


def policy_with(tokens: Mapping[AuthToken, str], **sections: Any) -> Policy:
    """A policy in which alice is in charge, and the token ``ci`` may work below ``app``.

    Args:
        tokens: each with the time at which it expires.
        sections: of the document, in place of those.
    """
    document = {
        "format": 1,
        "roles": {
            "ops": [{"on": "", "may": ["admin", "read", "claim", "lock"]}],
            "app": [{"on": "app", "may": ["read", "claim", "lock"]}],
            "all": [{"on": "", "may": ["read", "claim", "lock"]}],
            "gateway": [{"on": "app", "may": ["act-for", "read", "claim", "lock"]}],
        },
        "members": {
            "client/alice": ["ops"],
            "client/bob": ["app"],
            "client/carol": ["all"],
            "client/gw": ["gateway"],
            **{f"token/{token.name}": ["app"] for token in tokens},
        },
        "tokens": {
            token.name: {"sha256": token.digest(CLUSTER), "expires": until}
            for token, until in tokens.items()
        },
        **sections,
    }
    return read(document)


class Governed:
    """The cluster, and what its administrator does.

    Args:
        cluster: the servers.
        authority: who has signed the certificates of nodes and clients.
    """

    def __init__(self, cluster: Cluster, authority: Authority) -> None:
        self.cluster, self.authority = cluster, authority
        self.at = cluster.config.addresses[0][1]
        self.tls = Tls(authority.ca)
        self._number = 0

    def tls_of(self, client: str) -> Tls:
        """The TLS of a client with a certificate."""
        files = self.authority.client(client)
        return Tls(files.ca, files.certificate, files.key)

    async def apply(self, policy: Policy) -> None:
        """Apply the next policy, and wait until it is in force."""
        client = await self.cluster.client("n1")
        wish = PolicyRequest(1, 60_000, self._number, encode(policy), "alice", os.urandom(16), "")
        async with client.stream:
            answer = await client.ask(wish)
        assert isinstance(answer, PolicyApplied) and answer.in_force, answer
        self._number += 1


@asynccontextmanager
async def governed(authority: Authority, size: int = 1) -> AsyncIterator[Governed]:
    """Servers with TLS that obey policies; there is none yet."""
    config = await live_config(size)
    nodes = {
        NodeId(node): Credentials(authority.node(node), CLUSTER, node) for node in config.nodes
    }
    dials = as_client(authority.client("alice"))
    async with live_cluster(config, nodes, dials) as cluster:
        with trio.fail_after(120):
            yield Governed(cluster, authority)
