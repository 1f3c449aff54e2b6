"""S82: no token is in a log, an error, a traceback with local variables, a pickle or a line of `ps`."""

import copy
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

from decreed import client
from decreed.client import sync
from decreed.client.transport.framing import hello
from decreed.client.transport.tokens import TokenSource, token_source
from decreed.registry.errors import ConfigError, DecreedError, Denied, TokenRefused
from decreed.registry.policy.encoding import encode
from decreed.registry.policy.tokens import AuthToken, make_token
from decreed.registry.server import rates
from decreed.registry.wire.handshake import MAGIC, VERSION, Reception, TokenHello

from ..support.certificates import Authority
from ..support.tokens import expires, fresh, governed, policy_with

PATIENCE_S = 60.0


def told(text: str, token: AuthToken) -> bool:
    """Whether a text has the secret of a token, or a good part of it."""
    secret = token.show().rpartition("-")[2]
    return any(secret[at : at + 12] in text for at in range(0, len(secret) - 12, 4))


def with_locals(error: BaseException) -> str:
    """The traceback of an error as tools for crash reports make it, without this test's own frames."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    kept = [frame for frame in whole.stack if "/tests/" not in frame.filename]
    text = "\n".join(f"{frame.name} {frame.locals}" for frame in kept)
    behind = [each for each in (error.__cause__, error.__context__) if each is not None]
    return f"{error}\n{text}\n" + "".join(map(with_locals, behind))


@pytest.mark.trio
async def test_nothing_that_a_client_or_a_node_says_has_it(
    authority: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decreed.registry.server.log.RATES", rates.Rates())
    monkeypatch.setattr("decreed.registry.server.log.UNPROVEN.ask", lambda *_: 0)  # each is told
    for name in ("decreed", "trio"):
        caplog.set_level(logging.DEBUG, logger=name)
    good, wrong = fresh("ci"), fresh("ci")
    said: list[str] = []
    async with governed(authority) as place:
        await place.apply(policy_with({good: expires()}))
        for token in (good, wrong):
            async with client.connect(place.at, tls=place.tls, token=token.show()) as registry:
                said.append(f"{registry!r} {registry._sender} {vars(registry._sender)}")
                for call in (registry.claim("far", "v"), registry.get("app/x")):
                    try:
                        await call
                    except DecreedError as error:
                        assert isinstance(error, Denied | TokenRefused)
                        said.append(with_locals(error))
            for garbage in ([10, MAGIC, VERSION, VERSION, "x", token.show()], [10, token.show()]):
                raw = await place.cluster.raw("n1")
                async with raw.stream:
                    await raw.say(garbage)
                    with pytest.raises(EOFError):
                        said.append(repr(await raw.hear(Reception)))
            raw = await place.cluster.raw("n1")
            async with raw.stream:
                await raw.say(TokenHello("other", 9, 9, "x", token.show().encode()))
                with pytest.raises(EOFError):
                    said.append(repr(await raw.hear(Reception)))
        plain = await place.cluster.plain("n1")
        async with plain:
            await plain.send_all(hello("x", good))
            said.append(repr(await plain.receive_some(4096)))
        seen = await place.cluster.client("n1")
        async with seen.stream:
            said.append(str(place.cluster))
    logged = "\n".join(
        f"{each.getMessage()} {getattr(each, 'facts', '')}" for each in caplog.records
    )
    assert "a token is not accepted" in logged
    for token in (good, wrong):
        for text in (*said, logged):
            assert not told(text, token), text[:2000]


def test_no_value_that_holds_one_shows_it_or_leaves_the_process(tmp_path: Path) -> None:
    token = make_token("ci", bytes(range(1, 33)))
    file = tmp_path / "token"
    file.write_text(token.show())
    sources: list[Any] = [token_source(given) for given in (token.show(), file, token.show)]
    for held in (token, *sources):
        assert not told(f"{held!r} {held} {held:}", token)
        with pytest.raises(TypeError):
            pickle.dumps(held)
        with pytest.raises(TypeError):
            copy.copy(held)
    greeting = TokenHello(MAGIC, VERSION, VERSION, "x", token.show().encode())
    assert not told(f"{greeting!r} {greeting}", token) and "token=…" in repr(greeting)
    assert not told(repr(greeting.hello), token)
    kept = encode(policy_with({token: expires()})).decode()
    assert not told(kept, token) and token.digest("live-test") in kept


@pytest.mark.parametrize("given", ["text", "file", "function"])
def test_no_error_about_its_source_has_it(tmp_path: Path, given: str) -> None:
    almost = fresh("ci")
    text = almost.show() + "="
    file = tmp_path / "token"
    file.write_text(text)

    def ask() -> str:
        raise RuntimeError(text)

    asked: dict[str, Any] = {"text": text, "file": file, "function": ask}
    with pytest.raises(ConfigError) as refused:
        source = token_source(asked[given])
        assert isinstance(source, TokenSource)
        source.read()
    error = refused.value
    whole = f"{error}\n" + "".join(traceback.format_exception(error))
    assert not told(whole, almost)


def test_without_tls_the_traceback_of_the_refusal_does_not_have_it() -> None:
    token = fresh("ci")
    with pytest.raises(ConfigError) as refused:
        sync.connect("127.0.0.1:9", token=token.show())
    assert not told(with_locals(refused.value), token)
