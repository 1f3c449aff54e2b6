"""A secret is shown to nodes only, and never in a log."""

import pickle
from hashlib import sha256

import pytest

from decreed.registry.locks.secret import Secret
from decreed.registry.locks.terms import Ending, How, LeaseId
from decreed.registry.wire.codec import decode, encode
from decreed.registry.wire.requests import EndRequest, GiveUpRequest, KeepAliveRequest

BYTES = bytes(range(64, 96))
HELD = LeaseId("l", 1, b"a")
REQUESTS = (
    KeepAliveRequest(1, 10, HELD, BYTES),
    EndRequest(1, 10, HELD, Ending(How.RELEASED), BYTES),
    GiveUpRequest(1, 10, "l", b"a", 1_000, BYTES),
)


def test_the_hash_of_a_secret_is_its_sha_256() -> None:
    assert Secret(BYTES).hash == sha256(BYTES).digest()


def test_a_secret_is_not_shown_as_text_and_cannot_be_pickled() -> None:
    secret = Secret(BYTES)
    for text in (repr(secret), str(secret), f"{secret}"):
        assert text == "Secret(…)"
    with pytest.raises(TypeError, match="stays in the process"):
        pickle.dumps(secret)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_messages_that_show_it_to_nodes_hide_it_as_text(request_: KeepAliveRequest) -> None:
    assert "ABCDEFGH" not in repr(request_) and "ABCDEFGH" not in str(request_)
    assert repr(request_).endswith("secret=…)")
    assert decode(encode(request_), type(request_)).secret == BYTES
