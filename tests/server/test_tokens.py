"""S33: what a node says to a token, and where a client reads its own."""

from pathlib import Path

import pytest

from decreed.client import sync
from decreed.client.transport.securing import Tls
from decreed.client.transport.tokens import token_source
from decreed.registry.errors import BadRequest, ConfigError, TokenRefused, Unreachable
from decreed.registry.policy.document import Policy
from decreed.registry.server.tokens import TokenCheck

from ..policy.samples import ALICE, EXPIRES_MS
from ..support.certificates import CLUSTER
from ..support.tokens import fresh, policy_with


def test_a_token_is_refused_for_good_only_under_a_policy_that_is_confirmed() -> None:
    ci, settled, now_s = fresh("ci"), [False], [0.0]
    policy: list[Policy | None] = [None]
    check = TokenCheck(CLUSTER, lambda: policy[0], lambda: settled[0], lambda: now_s[0])
    shown = ci.show().encode()
    with pytest.raises(Unreachable):
        check.bearer(shown)
    policy[0] = policy_with({ci: "2027-02-01T00:00:00Z"})
    bearer = check.bearer(shown)
    assert (bearer.identity.recorded, bearer.expires_s) == ("token/ci", EXPIRES_MS / 1000)
    assert not check.is_gone(bearer.identity) and not check.is_gone(ALICE)
    now_s[0] = EXPIRES_MS / 1000
    assert check.is_gone(bearer.identity) and not check.is_gone(ALICE)
    for is_settled, error in ((False, Unreachable), (True, TokenRefused)):
        settled[0] = is_settled
        with pytest.raises(error):
            check.bearer(shown)
    policy[0], now_s[0] = policy_with({}), 0.0
    assert check.is_gone(bearer.identity)


def test_what_is_no_source_of_a_token_is_said_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    tls = Tls()
    with pytest.raises(ConfigError, match=r"this is no token.*for a file, give its pathlib\.Path"):
        sync.connect("h:1", tls=tls, token=str(tmp_path / "token"))
    with pytest.raises(BadRequest, match="not int"):
        sync.connect("h:1", tls=tls, token=7)  # type: ignore[arg-type]
    for asked in (lambda: 7, lambda: 1 / 0, lambda: "x"):
        source = token_source(asked)  # type: ignore[arg-type]
        assert source is not None
        with pytest.raises(ConfigError, match="the function that gives the token: "):
            source.read()
