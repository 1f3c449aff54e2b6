"""S07, S32: a token is a text that scanners find, and is found by its digest, until it expires."""

import pickle
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decreed.registry.errors import BadRequest
from decreed.registry.identity import Identity
from decreed.registry.policy.document import Policy
from decreed.registry.policy.tokens import (
    MAX_TOKEN_BYTES,
    PREFIX,
    KnownTokens,
    digest_of,
    make_token,
    parse_token,
)

from .samples import BEFORE_MS, CI, EXPIRES_MS, changed, few, read

CLUSTER = "shop"
TOKEN = make_token("ci", bytes(range(32)))
TEXT = TOKEN.show().encode()


def tokens(digest: str) -> KnownTokens:
    held: Policy = read(
        changed(tokens={"ci": {"sha256": digest, "expires": "2027-02-01T00:00:00Z"}})
    )
    return KnownTokens(held)


HELD = tokens(TOKEN.digest(CLUSTER))


def whose(shown: bytes, now_ms: int = 0, cluster: str = CLUSTER) -> Identity | None:
    return HELD.identity(digest_of(shown, cluster), now_ms)


def test_a_token_is_the_identity_of_its_name_until_it_expires() -> None:
    found = whose(TEXT, BEFORE_MS)
    assert found is not None and (found.recorded, found.itself) == (CI.recorded, found)
    assert found.digest == TOKEN.digest(CLUSTER)
    assert HELD.expires_ms(found.digest) == EXPIRES_MS
    assert whose(TEXT, EXPIRES_MS) is None


@few
@given(st.binary(max_size=40))
def test_nothing_else_is_a_token(shown: bytes) -> None:
    assert whose(shown) is None


def test_neither_a_part_of_a_token_nor_its_digest_is_one() -> None:
    digest = TOKEN.digest(CLUSTER)
    renamed = TEXT.replace(b"-ci-", b"-ops-")
    for shown in (TEXT[:-1], TEXT[:20], TEXT + b"\0", TEXT.upper(), renamed, digest.encode()):
        assert whose(shown) is None
    for part in (digest[:63], digest[:32], digest[:8], digest + "0", "", "0" * 64):
        assert HELD.identity(part, 0) is None


def test_a_token_is_one_in_its_own_cluster_alone() -> None:
    assert whose(TEXT) is not None and whose(TEXT, cluster="far") is None
    assert TOKEN.digest(CLUSTER) != sha256(TEXT).hexdigest()


def test_s32_a_token_is_written_with_a_fixed_beginning_its_name_and_256_bits() -> None:
    assert TOKEN.show() == f"{PREFIX}ci-" + "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"
    for name in ("ci", "a-b-c", "a.b_c@d", "x" * 128):
        made = make_token(name, bytes(32))
        assert len(made.show()) <= MAX_TOKEN_BYTES
        found = parse_token(f" {made.show()}\n")
        assert (found.name, found.show()) == (name, made.show())
    with pytest.raises(BadRequest, match="is no name of a token"):
        make_token("a/b", bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        TOKEN.show()[1:],
        TOKEN.show()[:-1],
        TOKEN.show() + "a",
        TOKEN.show()[:-1] + "b",  # bits that no secret of 32 bytes has
        TOKEN.show().upper(),
        TOKEN.show().replace("-ci-", "--").replace("token--", "token-"),
        TOKEN.show().replace("ci", "c/i"),
        f"{TOKEN.show()} {TOKEN.show()}",
        "decreed-token-ci-\u0661" + "a" * 51,
    ],
)
def test_s82_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadRequest, match="this is no token") as refused:
        parse_token(text)
    secret = TOKEN.show()[-20:]
    assert secret not in str(refused.value)


def test_s82_a_token_is_neither_shown_nor_pickled() -> None:
    assert repr(TOKEN) == str(TOKEN) == "AuthToken('ci', …)"
    with pytest.raises(TypeError, match="stays in the process"):
        pickle.dumps(TOKEN)
