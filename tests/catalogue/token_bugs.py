"""Mistakes around tokens, and around gateways that ask for somebody else."""

from .bug import Bug, Change

_TOKENS, _RIGHTS = "policy/test_tokens.py", "policy/test_rights.py"
_CHECKED, _SHOWN = "server/test_tokens.py", "tls/test_tokens.py"
_HIDDEN = "tls/test_tokens_hidden.py"
_ACTING, _VIEWS = "replica/policy/test_acting_for.py", "tls/test_acting_for.py"


def _bug(name: str, held_by: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Change(module, old, new),), held_by=held_by)


_OF_TOKENS = (
    _bug(
        "the expiry of a token is not looked at when it is shown",
        _TOKENS,
        "registry.policy.tokens",
        "        alive = is_alive(token, now_ms)\n",
        "        alive = True\n",
    ),
    _bug(
        "the digest of a token is compared by its beginning",
        _TOKENS,
        "registry.policy.tokens",
        "        name, token = self._by_digest.get(digest, _NO_TOKEN)\n"
        "        matches = compare_digest(digest, token.sha256)\n",
        "        known = {each[:8]: found for each, found in self._by_digest.items()}\n"
        "        name, token = known.get(digest[:8], _NO_TOKEN)\n"
        "        matches = True\n",
    ),
    _bug(
        "a token is good at every cluster",
        _TOKENS,
        "registry.policy.tokens",
        "hmac.new(cluster_id.encode(), shown",
        'hmac.new(b"decreed", shown',
    ),
    _bug(
        "a token is accepted without TLS",
        _SHOWN,
        "registry.server.securing",
        "        if not connection.has_tls:\n            raise TokenRefused",
        "        if False:\n            raise TokenRefused",
    ),
    _bug(
        "who shows a token that is not accepted is whom the certificate names",
        _SHOWN,
        "registry.server.securing",
        "            client = self._bearer(connection, greeting)\n",
        "            with suppress(TokenRefused):\n"
        "                client = self._bearer(connection, greeting)\n",
    ),
    _bug(
        "a node that is behind refuses a token for good",
        _CHECKED,
        "registry.server.tokens",
        "        if not self._settled():\n",
        "        if False:\n",
    ),
    _bug(
        "a connection outlives its token",
        _SHOWN,
        "registry.server.admitted",
        "if not reason and self._is_gone(connection.identity):",
        "if False:",
    ),
    _bug(
        "an old token has the rights of another one with its name",
        _RIGHTS,
        "registry.policy.rights",
        "return bool(identity.digest) and identity.digest != token.sha256",
        "return False",
    ),
    _bug(
        "a client shows its token without TLS",
        _SHOWN,
        "client.transport.securing",
        "    if token is not None:\n        raise ConfigError(",
        "    if False:\n        raise ConfigError(",
    ),
)

_OF_HIDING = (
    _bug(
        "a traceback of a client has the token that it was given",
        _HIDDEN,
        "client.sync",
        "    del token  # a traceback that is made later must not have it\n",
        "",
    ),
    _bug(
        "the greeting of a client shows its token",
        _HIDDEN,
        "registry.wire.handshake",
        'return veiled(self, "token")',
        'return veiled(self, "magic")',
    ),
    _bug(
        "an error about the source of a token has what the function has raised",
        _HIDDEN,
        "client.transport.tokens",
        'fault = f"{type(error).__name__} was raised"',
        "fault = str(error)",
    ),
)

_OF_GATEWAYS = (
    _bug(
        "a gateway needs no right of its own for what it asks",
        _RIGHTS,
        "registry.policy.rights",
        "            self.may(gateway, right, name, now_ms),\n",
        "",
    ),
    _bug(
        "everybody may name somebody else",
        _ACTING,
        "registry.policy.rights",
        "            self.may(gateway, Right.ACT_FOR, name, now_ms),\n",
        "",
    ),
    _bug(
        "without a policy everybody may name somebody else",
        _ACTING,
        "registry.replica.client_requests",
        "        if not judges and event.identity.through is not None:\n",
        "        if False:\n",
    ),
    _bug(
        "a decree has the gateway as its claimant",
        _ACTING,
        "registry.replica.consensus.coordinator",
        'who = first.pending.identity.recorded if first else ""',
        'of = first and first.pending.identity; who = (of.through or of).recorded if of else ""',
    ),
    _bug(
        "the coordinator does not hear of the gateway",
        _ACTING,
        "registry.replica.requests.claims",
        'named_by = "" if gateway is None else str(gateway)',
        'named_by = ""',
    ),
    _bug(
        "what a gateway has read is told to those for whom it acts",
        _VIEWS,
        "client.requests.sender",
        "cache = Uncached(owner.cache)",
        "cache = owner.cache",
    ),
)

BUGS = _OF_TOKENS + _OF_HIDING + _OF_GATEWAYS
"""All seeded bugs."""
