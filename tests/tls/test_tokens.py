"""S07, S33: who shows a token is whom it names, at real nodes on loopback, for every kind of client."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from decreed import client
from decreed.client import Tls, blocking, sync
from decreed.client.transport.tokens import Token, token_source
from decreed.registry.errors import (
    ConfigError,
    DecreedError,
    Denied,
    TokenRefused,
    Unreachable,
)
from decreed.registry.server import connections, serve, tokens
from decreed.registry.server.tokens import TokenCheck
from decreed.registry.wire.handshake import MAGIC, VERSION, Reception, Refusal, TokenHello

from ..support.certificates import Authority
from ..support.live import live_cluster, live_config
from ..support.tokens import HOUR_MS, expires, fresh, governed, policy_with

pytestmark = pytest.mark.trio
PATIENCE_S = 60.0


async def _claim(at: str, tls: Tls | None, token: Token | None, key: str) -> str:
    async with client.connect(at, tls=tls, token=token, timeout=PATIENCE_S) as registry:
        return (await registry.claim(key, "v")).decree.identity


def in_asyncio(at: str, tls: Tls | None, token: Token | None, key: str) -> str:
    return asyncio.run(_claim(at, tls, token, key))


def in_trio(at: str, tls: Tls | None, token: Token | None, key: str) -> str:
    return trio.run(_claim, at, tls, token, key)


def in_threads(at: str, tls: Tls | None, token: Token | None, key: str) -> str:
    with sync.connect(at, tls=tls, token=token, timeout=PATIENCE_S) as registry:
        return registry.claim(key, "v").decree.identity


def without_a_loop(at: str, tls: Tls | None, token: Token | None, key: str) -> str:
    async def body(keys: Any) -> str:
        identity: str = (await keys.claim(key, "v")).decree.identity
        return identity

    source = token_source(token)
    return blocking.ask([at], body, timeout=PATIENCE_S, tls=tls, token=source)


CLIENTS = [in_asyncio, in_trio, in_threads, without_a_loop]
Ask = Callable[[str, Tls | None, Token | None, str], str]


async def met(ask: Ask, at: str, tls: Tls | None, token: Token | None, key: str = "app/x") -> Any:
    """What a client is told."""
    try:
        return await trio.to_thread.run_sync(ask, at, tls, token, key)
    except DecreedError as error:
        return error


async def test_s33_with_a_token_the_identity_is_the_tokens_and_not_the_certificates(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ci = fresh("ci")
    file = tmp_path / "token"
    file.write_text(f"{ci.show()}\n")
    async with governed(authority) as place:
        await place.apply(policy_with({ci: expires()}))
        for number, ask in enumerate(CLIENTS):
            assert await met(ask, place.at, place.tls, ci.show(), f"app/{number}") == "token/ci"
        shown: dict[str, Token] = {"path": file, "function": ci.show}
        for how, token in shown.items():
            assert await met(in_trio, place.at, place.tls, token, f"app/{how}") == "token/ci"
        as_alice = place.tls_of("alice")
        assert await met(in_trio, place.at, as_alice, None, "app/alice") == "client/alice"
        assert await met(in_trio, place.at, as_alice, ci.show(), "app/both") == "token/ci"
        # alice may claim it, and her token may not: nobody gets the rights of both
        assert isinstance(await met(without_a_loop, place.at, as_alice, ci.show(), "far"), Denied)


async def test_s33_wrong_expired_and_revoked_tokens_are_refused_in_the_same_words_and_once(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci, old, gone = fresh("ci"), fresh("old"), fresh("gone")
    async with governed(authority) as place:
        await place.apply(policy_with({ci: expires(), gone: expires()}))
        await place.apply(policy_with({ci: expires(), old: expires(-HOUR_MS)}))
        dialled = _count_greetings(monkeypatch)
        said: set[str] = set()
        for token in (fresh("ci"), fresh("nobody"), old, gone):
            for tls in (place.tls, place.tls_of("alice")):  # a certificate is no way around it
                error = await met(without_a_loop, place.at, tls, token.show())
                assert type(error) is TokenRefused, error
                said.add(str(error))
                assert token.show() not in str(error)
        assert said == {
            "the token is not accepted: it is wrong, has expired, or was revoked; look with 'decreed"
            " auth list', and make another with 'decreed auth create'"
        }
        assert len(dialled) == 8
        assert type(await met(in_trio, place.at, place.tls, gone.show())) is TokenRefused


def _count_greetings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    greeted: list[object] = []
    usual = connections.Connection.greeting

    async def greeting(self: connections.Connection, kind: Any) -> Any:
        found = await usual(self, kind)
        greeted.append(found)
        return found

    monkeypatch.setattr(connections.Connection, "greeting", greeting)
    return greeted


async def test_s33_without_tls_a_client_shows_no_token_and_a_node_takes_none(
    authority: Authority,
) -> None:
    ci = fresh("ci")
    for ask in CLIENTS:
        error = await met(ask, "127.0.0.1:9", None, ci.show())
        assert type(error) is ConfigError and "give the CA of the nodes" in str(error)
    async with live_cluster(await live_config(1)) as cluster:
        raw = await cluster.raw("n1")
        await raw.say(TokenHello(MAGIC, VERSION, VERSION, "test", ci.show().encode()))
        refusal = await raw.hear(Reception)
        assert isinstance(refusal, Refusal) and refusal.code == TokenRefused.code
        assert "came without TLS" in refusal.message
        assert await raw.ended()


async def test_s07_a_token_that_is_revoked_ends_its_connections_and_no_others(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci, cd = fresh("ci"), fresh("cd")
    async with governed(authority) as place:
        await place.apply(policy_with({ci: expires(), cd: expires()}))
        async with (
            client.connect(place.at, tls=place.tls, token=ci.show()) as revoked,
            client.connect(place.at, tls=place.tls, token=cd.show()) as other,
        ):
            await revoked.claim("app/1", "v")
            await other.claim("app/2", "v")
            again = fresh("ci")  # another token of the same name lets the old one do nothing
            await place.apply(policy_with({again: expires(), cd: expires()}))
            with pytest.raises(TokenRefused):
                await revoked.claim("app/3", "v")
            await other.claim("app/4", "v")


async def test_s33_a_token_that_expires_ends_its_connection(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci = fresh("ci")
    async with governed(authority) as place:
        await place.apply(policy_with({ci: expires(1_000)}))
        raw = await place.cluster.raw("n1")
        async with raw.stream:
            await raw.say(TokenHello(MAGIC, VERSION, VERSION, "test", ci.show().encode()))
            await raw.hear(Reception)
            assert await raw.ended()


async def test_a_file_that_changes_is_read_for_the_next_connection(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = fresh("ci-1"), fresh("ci-2")
    file = tmp_path / "token"
    file.write_text(first.show())
    async with governed(authority) as place:
        await place.apply(policy_with({first: expires(), second: expires()}))
        async with client.connect(place.at, tls=place.tls, token=file) as registry:
            assert (await registry.claim("app/1", "v")).decree.identity == "token/ci-1"
            file.write_text(second.show())
            await place.apply(policy_with({second: expires()}))
            assert (await registry.claim("app/2", "v")).decree.identity == "token/ci-2"
            file.write_text("no token")
            await place.apply(policy_with({first: expires()}))
            with pytest.raises(ConfigError, match=r"the file of the token, .*: this is no token"):
                await registry.get("app/3")
            file.unlink()
            with pytest.raises(ConfigError, match="No such file"):
                await registry.get("app/3")


async def test_a_node_that_is_behind_sends_the_bearer_elsewhere_until_it_knows(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci = fresh("ci")
    usual = tokens.token_check

    def unsure(*facts: Any) -> TokenCheck:
        check = usual(*facts)
        check._settled = lambda: False
        return check

    monkeypatch.setattr(serve, "token_check", unsure)
    async with governed(authority) as place:
        raw = await place.cluster.raw("n1")
        await raw.say(TokenHello(MAGIC, VERSION, VERSION, "test", ci.show().encode()))
        assert await raw.hear(Reception) == Refusal(Unreachable.code, tokens.NOT_YET)
        greeted = _count_greetings(monkeypatch)
        told: list[Any] = []

        async def ask() -> None:
            told.append(await met(in_trio, place.at, place.tls, ci.show()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not greeted:
                await trio.sleep(0.01)
            await place.apply(policy_with({ci: expires()}))
        assert told == ["token/ci"]
